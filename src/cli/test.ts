import { CLUSTER_DOMAIN, DEFAULT_NAMESPACE, excludedNamespaces } from "../config.ts";
import { type Miss, missesOf } from "./expectations.ts";
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
export function runTests(paths: readonly string[], baseDirectory: string, nowMs: number): readonly CaseResult[] {
  return loadSuites(paths, baseDirectory).flatMap((suite) => suite.cases.map((item) => runCase(suite, item, nowMs)));
}

/** The write of one case, in a world that holds what the suite says and the object before the write. */
function runCase(
  loaded: LoadedSuite,
  { name, line, mode, expect, object, oldObject }: LoadedCase,
  nowMs: number,
): CaseResult {
  const { file, name: suite, meshVersion } = loaded;
  const before = oldObject === undefined ? loaded.world : [...loaded.world, oldObject];
  const world = settledWorld(
    before.map((item) => item.object),
    {
      unknownNamespaceMode: mode ?? loaded.suite.mode ?? "enforce",
      mesh: loaded.suite.mesh,
      meshVersion,
      clusterDomain: CLUSTER_DOMAIN,
      excludedNamespaces: excludedNamespaces(DEFAULT_NAMESPACE),
    },
  );
  const review = reviewWrite(
    { object: object.object, oldObject: oldObject && injected(oldObject.object, world), nowMs },
    world,
  );
  return { file, line, suite, name, misses: missesOf(expect, review), review };
}
