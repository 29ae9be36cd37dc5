import { globSync } from "node:fs";
import { basename, join } from "node:path";
import { expect, test } from "vitest";
import { readInput } from "../../src/cli/input.ts";
import { checkRules } from "../../src/cli/rule-check.ts";
import { type CaseResult, runTests } from "../../src/cli/test.ts";
import { DEFAULTS, NOW_MS } from "../core/worlds.ts";

const ROOT = join(import.meta.dirname, "../..");
const RULES = globSync("examples/rules/*.yaml", { cwd: ROOT }).sort();
const RESULTS = runTests(["examples/rules"], ROOT);

function rulesIn(file: string) {
  return readInput({ filenames: [file], recursive: false, baseDirectory: ROOT });
}

function casesOf(file: string): readonly CaseResult[] {
  return RESULTS.filter((result) => basename(result.file) === basename(file).replace(".yaml", ".fairlead-test.yaml"));
}

test.each(RESULTS.map((result) => [`${result.suite}: ${result.name}`, result] as const))("%s", (_, { misses }) => {
  expect(misses).toEqual([]);
});

test.each(RULES)("%s compiles, with a warning at most for a kind that only a cluster knows", (file) => {
  const warnings = checkRules(rulesIn(file), DEFAULTS, NOW_MS);
  expect(warnings.filter((text) => !text.includes('"serviceprofiles"'))).toEqual([]);
});

test.each(RULES)("%s: each rule has a case that it refuses and one that it lets pass", (file) => {
  const cases = casesOf(file).map(({ review }) => review);
  for (const { object } of rulesIn(file)) {
    const refusals = cases.filter(({ message }) => message.includes(`rule ${object.metadata?.name}: `));
    expect(refusals.length).toBeGreaterThan(0);
  }
  expect(cases.some(({ result }) => result.allowed)).toBe(true);
});

test.each(RULES)("%s: each validation has a fix, allows exceptions, and is refused by a case of its own", (file) => {
  const texts = casesOf(file)
    .map(({ review }) => review.message)
    .join("\n");
  for (const { object } of rulesIn(file)) {
    const spec = object.spec as { exceptionsAllowed?: boolean; validations: readonly { fix: string }[] };
    expect(spec.exceptionsAllowed).toBe(true);
    for (const { fix } of spec.validations) expect(texts).toContain(`fix: ${fix}`);
  }
});
