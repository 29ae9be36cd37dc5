import { own } from "../api/problem.ts";
import { CLUSTER_DOMAIN, DEFAULT_NAMESPACE, excludedNamespaces } from "../config.ts";
import type { World } from "../core/world.ts";
import { UsageError } from "../usage-error.ts";
import { isRule } from "./file-rules.ts";
import type { InputObject } from "./input.ts";
import { type Miss, missesOf } from "./expectations.ts";
import { checkRules } from "./rule-check.ts";
import { injected, type Review, reviewWrite, settledWorld } from "./review.ts";
import { type LoadedCase, type LoadedSuite, loadSuites } from "./suite-files.ts";

/** What became of one case. */
export interface CaseResult {
  readonly file: string;
  /** Where the case begins, from 1. */
  readonly line: number;
  readonly suite: string;
  readonly name: string;
  /** None: everything is as expected. */
  readonly misses: readonly Miss[];
  readonly review: Review;
}

/** Runs the cases of every suite in these files and directories; throws a UsageError for what cannot be read. */
export function runTests(paths: readonly string[], baseDirectory: string): readonly CaseResult[] {
  return loadSuites(paths, baseDirectory).flatMap((suite) => suite.cases.map((item) => runCase(suite, item)));
}

/** The write of one case, in a world that holds what the suite says and the object before the write. */
function runCase(loaded: LoadedSuite, item: LoadedCase): CaseResult {
  const { name, line, mode, nowMs, user, expect, object, oldObject } = item;
  const { file, name: suite, meshVersion } = loaded;
  const before = oldObject === undefined ? loaded.world : [...loaded.world, oldObject];
  const defaults = {
    unknownNamespaceMode: mode ?? loaded.suite.mode ?? "enforce",
    mesh: loaded.suite.mesh,
    meshVersion,
    clusterDomain: CLUSTER_DOMAIN,
    excludedNamespaces: excludedNamespaces(DEFAULT_NAMESPACE),
  };
  const existing = before.map((one) => withParams(one, item));
  checkRules(existing, defaults, nowMs);
  const world = settledWorld(
    existing.map((one) => one.object),
    defaults,
    nowMs,
  );
  checkJudged(loaded, world);
  const write = {
    object: object.object,
    oldObject: oldObject && injected(oldObject.object, world),
    nowMs,
    ...(user !== undefined && { user }),
  };
  const review = reviewWrite(write, world);
  return { file, line, suite, name, misses: missesOf(expect, review), review };
}

/** Of a rule that is not evaluated here every test would pass that expects nothing of it. */
function checkJudged({ rules }: LoadedSuite, world: World): void {
  const names = new Set(world.rules().map(({ name }) => name));
  const named = ({ object }: InputObject): string => object.metadata?.name ?? object.metadata?.generateName ?? "";
  const item = rules.find((one) => isRule(one.object) && !names.has(named(one)));
  if (item === undefined) return;
  const found = `Found ${item.object.kind} ${named(item)} among rules, of which nothing is evaluated here`;
  throw new UsageError(`${item.file}:${item.line}: ${found}; take it out, and try it on a cluster`);
}

/** A rule with the params that the case wants for it. */
function withParams(item: InputObject, { params = {} }: LoadedCase): InputObject {
  const { object } = item;
  const values = isRule(object) ? own(params, object.metadata?.name ?? "") : undefined;
  if (values === undefined) return item;
  return { ...item, object: { ...object, spec: { ...(object.spec as object), params: values } } };
}
