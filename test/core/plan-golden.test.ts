import { existsSync, globSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { readInput } from "../../src/cli/input.ts";
import { renderPlan } from "../../src/cli/output-plan.ts";
import { type Plan, planObjects } from "../../src/cli/plan.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { checkGolden, goldenDefaults, goldenFlags } from "./golden-file.ts";
import { NOW_MS } from "./worlds.ts";

/**
 * A case is a folder: before.yaml where something is there before, input.yaml, flags.json where flags are given,
 * expected.json and expected.txt. `UPDATE=1` rewrites what is expected: read the difference.
 */
const ROOT = join(import.meta.dirname, "../golden/plan");
const CASES = globSync("*/input.yaml", { cwd: ROOT })
  .map((path) => dirname(path))
  .sort();

function objectsIn(folder: string, file: string): readonly KubernetesObject[] {
  if (!existsSync(join(folder, file))) return [];
  return readInput({ filenames: [file], recursive: false, baseDirectory: folder }).map(({ object }) => object);
}

interface Sides {
  readonly before: readonly KubernetesObject[];
  readonly written: readonly KubernetesObject[];
}

function sidesOf(name: string): Sides {
  const folder = join(ROOT, name);
  return { before: objectsIn(folder, "before.yaml"), written: objectsIn(folder, "input.yaml") };
}

function planCase(name: string, { before, written }: Sides): Plan {
  const folder = join(ROOT, name);
  const { prune = false } = goldenFlags(folder);
  return planObjects({ before, written, prune, defaults: goldenDefaults(folder), nowMs: NOW_MS });
}

test.each(CASES)("%s", (name) => {
  const plan = planCase(name, sidesOf(name));
  checkGolden(join(ROOT, name, "expected.json"), renderPlan(plan, "json", false));
  checkGolden(join(ROOT, name, "expected.txt"), renderPlan(plan, "text", false));
});

test.each(CASES)("%s: a plan that was carried out has nothing left to do", (name) => {
  const { before, written } = sidesOf(name);
  const { prune = false } = goldenFlags(join(ROOT, name));
  const { targets } = planCase(name, { before: prune ? written : [...before, ...written], written });
  expect(targets.filter(({ change }) => change !== "none")).toEqual([]);
});

test.each(CASES)("%s: the same cluster is no change", (name) => {
  const { before } = sidesOf(name);
  const { targets, reviews } = planCase(name, { before, written: before });
  expect(targets.filter(({ change }) => change !== "none")).toEqual([]);
  expect(reviews.filter(({ result }) => !result.allowed)).toEqual([]);
});
