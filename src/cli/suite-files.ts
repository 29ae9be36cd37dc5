import { readdirSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join, resolve, sep } from "node:path";
import { parseMeshVersion } from "../config.ts";
import type { MeshVersion } from "../core/mesh/version.ts";
import { UsageError } from "../usage-error.ts";
import { isException, isRule } from "./file-rules.ts";
import { checkedObject, type InputObject, readInput } from "./input.ts";
import { type Suite, type SuiteCase, suiteOf } from "./suite.ts";

/** A suite with every object that it names. */
export interface LoadedSuite {
  readonly file: string;
  readonly name: string;
  readonly suite: Suite;
  readonly meshVersion: MeshVersion;
  /** What the files with rules hold, a part of the world. */
  readonly rules: readonly InputObject[];
  /** What is in the cluster before each case: rules, exceptions, Namespaces, policies, Services and so on. */
  readonly world: readonly InputObject[];
  readonly cases: readonly LoadedCase[];
}

export interface LoadedCase extends Pick<SuiteCase, "name" | "mode" | "user" | "params" | "expect"> {
  readonly line: number;
  /** The time of the write, in milliseconds since 1970. */
  readonly nowMs: number;
  readonly object: InputObject;
  readonly oldObject: InputObject | undefined;
}

/** Only exceptions depend on the time, and where there is one the suite must tell it: a test is not to fail by waiting. */
const ANY_TIME = "2026-01-01T00:00:00Z";

/** `fairlead-test.yaml`, or `NAME.fairlead-test.yaml` where several stand side by side. */
const SUITE_FILE = /^(?:.+\.)?fairlead-test\.ya?ml$/;

/** Reads the suites in files and, at any depth, in directories; throws a UsageError where there is none. */
export function loadSuites(paths: readonly string[], baseDirectory: string): readonly LoadedSuite[] {
  const files = paths.flatMap((path) => suiteFilesIn(path, baseDirectory));
  if (files.length === 0)
    throw new UsageError(`No test found in ${paths.join(", ")}; wanted files named fairlead-test.yaml`);
  const documents = files.flatMap((file) => readInput({ filenames: [file], recursive: false, baseDirectory }));
  return documents.map((document) => load(document, baseDirectory));
}

function suiteFilesIn(path: string, baseDirectory: string): readonly string[] {
  const directory = resolve(baseDirectory, path);
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) return [path];
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((name) => SUITE_FILE.test(basename(name)) && !name.split(sep).includes("node_modules"))
    .sort()
    .map((name) => join(path, name));
}

function load(document: InputObject, baseDirectory: string): LoadedSuite {
  const suite = suiteOf(document);
  const { file, lineOf } = document;
  const reader = new References(document, baseDirectory);
  const rules = (suite.rules ?? []).flatMap((name, index) => reader.rules(name, `rules[${index}]`));
  const world = (suite.world ?? []).flatMap((reference, index) => reader.objects(reference, `world[${index}]`));
  const existing = [...rules, ...world];
  const cases = suite.cases.map(({ now = suite.now, ...item }, index): LoadedCase => {
    const at = `cases[${index}]`;
    const object = reader.object(item.object, `${at}.object`);
    const oldObject = item.oldObject === undefined ? undefined : reader.object(item.oldObject, `${at}.oldObject`);
    if (now === undefined && [...existing, object].some((one) => isException(one.object)))
      throw new UsageError(
        `${file}:${lineOf(at)}: Found no time beside a RuleException, wanted now in the case or the suite`,
      );
    return { ...item, line: lineOf(at), nowMs: Date.parse(now ?? ANY_TIME), object, oldObject };
  });
  const meshVersion = located(`${file}:${lineOf("meshVersion")}`, () => parseMeshVersion(suite.meshVersion));
  return { file, name: suite.name ?? file, suite, meshVersion, rules, world: existing, cases };
}

/** Says where in the suite stands what cannot be read. */
function located<T>(at: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`${at}: ${error.message}`, { cause: error });
  }
}

type Reference = string | Readonly<Record<string, unknown>>;

/** What the fields of one suite refer to; file names are relative to its own file. */
class References {
  readonly #suite: InputObject;
  readonly #baseDirectory: string;

  constructor(suite: InputObject, baseDirectory: string) {
    this.#suite = suite;
    this.#baseDirectory = baseDirectory;
  }

  rules(name: string, path: string): readonly InputObject[] {
    const objects = this.objects(name, path);
    if (objects.some(({ object }) => isRule(object))) return objects;
    throw new UsageError(`${this.#at(path)}: Found no AdmissionRule and no ValidatingAdmissionPolicy in ${name}`);
  }

  object(reference: Reference, path: string): InputObject {
    const objects = this.objects(reference, path);
    const [first] = objects;
    if (first !== undefined && objects.length === 1) return first;
    const where = typeof reference === "string" ? reference : "the list";
    throw new UsageError(`${this.#at(path)}: Found ${objects.length} objects in ${where}, wanted one`);
  }

  objects(reference: Reference, path: string): readonly InputObject[] {
    if (typeof reference !== "string") return [this.#inline(reference, path)];
    const directory = dirname(this.#suite.file);
    const file = isAbsolute(reference) ? reference : join(directory, reference);
    const options = { filenames: [file], recursive: false, baseDirectory: this.#baseDirectory };
    return located(this.#at(path), () => readInput(options));
  }

  #inline(value: Readonly<Record<string, unknown>>, path: string): InputObject {
    const { file, lineOf } = this.#suite;
    const object = checkedObject(value, this.#at(path));
    const below = (field: string): string =>
      field.startsWith("[") || field === "" ? `${path}${field}` : `${path}.${field}`;
    return { object, file, line: lineOf(path), lineOf: (field) => lineOf(below(field)) };
  }

  #at(path: string): string {
    return `${this.#suite.file}:${this.#suite.lineOf(path)}`;
  }
}
