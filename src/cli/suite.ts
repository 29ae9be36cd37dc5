import * as z from "zod";
import { check } from "../api/check.ts";
import { hint } from "../api/hints.ts";
import { groupOf, type KubernetesObject } from "../core/kubernetes.ts";
import { MESH_NAMES, MODES } from "../core/names.ts";
import { UsageError } from "../usage-error.ts";
import type { InputObject } from "./input.ts";

const SUITE_GROUP = "cli.fairlead.dev";
const SUITE_API_VERSION = `${SUITE_GROUP}/v1alpha1`;
const SUITE_KIND = "Test";

const TEXT = z.string().max(100_000);
const TEXTS = z.array(TEXT).max(100);
const NAME = hint(z.string().min(1).max(200), { wanted: "a name of 1 to 200 characters" });
const OBJECT = hint(z.record(z.string(), z.unknown()), { wanted: "a map" });
const MODE = z.enum(MODES);
const TIME = hint(z.iso.datetime({ offset: true }), {
  wanted: "a time of RFC 3339",
  fix: 'write it like "2026-03-01T12:00:00Z"',
});
/** A whole object, or the name of a file with one. */
const REFERENCE = hint(z.union([NAME, OBJECT]), {
  wanted: "a Kubernetes object, or the name of a file with one",
});

const USER = z.strictObject({
  username: TEXT.exactOptional(),
  uid: TEXT.exactOptional(),
  groups: TEXTS.exactOptional(),
  extra: hint(z.record(z.string(), TEXTS), { wanted: "a map of lists of strings" }).exactOptional(),
});

const FINDING = z.strictObject({
  code: TEXT.exactOptional(),
  severity: z.enum(["deny", "warn"]).exactOptional(),
  path: TEXT.exactOptional(),
  message: TEXT.exactOptional(),
  fix: TEXT.exactOptional(),
});

const EXPECTATION = z.strictObject({
  allowed: z.boolean(),
  message: TEXT.exactOptional(),
  warnings: TEXTS.exactOptional(),
  findings: z.array(FINDING).max(100).exactOptional(),
  patch: z.array(OBJECT).max(1000).exactOptional(),
  stored: OBJECT.exactOptional(),
});

const CASE = z.strictObject({
  name: NAME,
  object: REFERENCE,
  oldObject: REFERENCE.exactOptional(),
  mode: MODE.exactOptional(),
  now: TIME.exactOptional(),
  user: USER.exactOptional(),
  params: hint(z.record(z.string(), OBJECT), {
    wanted: "a map from the names of rules to their params",
  }).exactOptional(),
  expect: EXPECTATION,
});

const SUITE = z.strictObject({
  apiVersion: TEXT,
  kind: TEXT,
  name: NAME.exactOptional(),
  rules: TEXTS.exactOptional(),
  world: z.array(REFERENCE).max(1000).exactOptional(),
  mode: MODE.exactOptional(),
  mesh: z.enum(MESH_NAMES).exactOptional(),
  meshVersion: TEXT.exactOptional(),
  now: TIME.exactOptional(),
  cases: z.array(CASE).min(1).max(1000),
});

/** What a suite may hold (docs/rules.md). Objects are checked where they are read. */
export type Suite = z.output<typeof SUITE>;
export type SuiteCase = z.output<typeof CASE>;
export type Expectation = z.output<typeof EXPECTATION>;
export type ExpectedFinding = z.output<typeof FINDING>;

/** Of whatever version: no cluster has objects of this group. */
export function isSuite({ apiVersion = "" }: KubernetesObject): boolean {
  return groupOf(apiVersion) === SUITE_GROUP;
}

/** Checks a document as a suite of tests; throws a UsageError with file and line of all that is wrong. */
export function suiteOf({ object, file, line, lineOf }: InputObject): Suite {
  const { apiVersion, kind } = object;
  if (apiVersion !== SUITE_API_VERSION || kind !== SUITE_KIND) {
    const found = `Found kind ${kind} of ${apiVersion}`;
    throw new UsageError(`${file}:${line}: ${found}, wanted kind ${SUITE_KIND} of ${SUITE_API_VERSION}`);
  }
  const checked = check(SUITE, object, []);
  if (!checked.ok) {
    const lines = checked.problems.map(
      ({ path, message, fix }) => `${file}:${lineOf(path)}: ${path === "" ? "" : `${path}: `}${message}; ${fix}`,
    );
    throw new UsageError(lines.join("\n"));
  }
  const problems = contradictions(checked.value);
  if (problems.length === 0) return checked.value;
  throw new UsageError(problems.map(({ path, message }) => `${file}:${lineOf(path)}: ${message}`).join("\n"));
}

interface Contradiction {
  readonly path: string;
  readonly message: string;
}

/** What no single field shows. */
function contradictions({ cases }: Suite): readonly Contradiction[] {
  const seen = new Set<string>();
  return cases.flatMap(({ name, expect }, index) => {
    const at = `cases[${index}]`;
    const found: Contradiction[] = [];
    if (seen.has(name))
      found.push({ path: `${at}.name`, message: `Found a second case "${name}", wanted a name for each` });
    seen.add(name);
    if (expect.allowed && expect.message !== undefined)
      found.push({
        path: `${at}.expect.message`,
        message: "Found a message of a write that is allowed; remove it, or expect warnings",
      });
    if (!expect.allowed && (expect.stored !== undefined || expect.patch?.length))
      found.push({
        path: `${at}.expect`,
        message: "Found stored or patch of a write that is refused; nothing of it is stored",
      });
    return found;
  });
}
