import { globSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { readInput } from "../../src/cli/input.ts";
import { type Review, reviewObjects } from "../../src/cli/review.ts";
import { FINDINGS } from "../../src/core/findings.ts";
import { WARNING_LENGTH_MAX, WARNINGS_MAX } from "../../src/core/limits.ts";
import { checkGolden, goldenDefaults } from "./golden-file.ts";
import { NOW_MS } from "./worlds.ts";

/**
 * A case is a folder: input.yaml, flags.json where flags are given, expected.json (what `review -o json` prints) and
 * expected.txt (the denials as kubectl shows them). `UPDATE=1` rewrites what is expected: read the difference.
 */
const ROOT = join(import.meta.dirname, "../golden/review");
const CASES = globSync("*/input.yaml", { cwd: ROOT })
  .map((path) => dirname(path))
  .sort();

function reviewCase(folder: string): readonly Review[] {
  const input = readInput({ filenames: ["input.yaml"], recursive: false, baseDirectory: folder });
  return reviewObjects(
    input.map((item) => item.object),
    goldenDefaults(folder),
    NOW_MS,
  );
}

test.each(CASES)("%s", (name) => {
  const folder = join(ROOT, name);
  const reviews = reviewCase(folder);
  const denials = reviews.filter(({ result }) => !result.allowed).map(({ message }) => `${message}\n`);
  checkGolden(
    join(folder, "expected.json"),
    `${JSON.stringify(
      reviews.map(({ result }) => result),
      null,
      2,
    )}\n`,
  );
  checkGolden(join(folder, "expected.txt"), denials.length === 0 ? undefined : denials.join("\n"));
});

test("every case keeps the contract of docs/review.md", () => {
  for (const { result, message } of CASES.flatMap((name) => reviewCase(join(ROOT, name)))) {
    const { allowed, patch, warnings, findings } = result;
    expect(Object.keys(result)).toEqual(
      ["apiVersion", "kind", "namespace", "name", "allowed", "patch", "warnings", "findings"], // Every field, always.
    );
    expect(message === "").toBe(allowed);
    if (!allowed) {
      expect(patch).toEqual([]);
      expect(findings.some((item) => item.severity === "deny")).toBe(true);
    }
    expect(warnings.length).toBeLessThanOrEqual(WARNINGS_MAX + 1);
    for (const warning of warnings) {
      expect(warning.length).toBeLessThanOrEqual(WARNING_LENGTH_MAX);
      expect(warning).not.toMatch(/\p{Cc}/u);
    }
  }
});

test("every code has a case but those that no review can show", () => {
  const seen = new Set(
    CASES.flatMap((name) => reviewCase(join(ROOT, name)).flatMap(({ result }) => result.findings)).map(
      ({ code }) => code,
    ),
  );
  // FL316 needs a policy that was there before its Service had a route, FL319, FL326 and FL331 a cluster: routes.test.ts,
  // plan-routes.test.ts, discovery.test.ts and ejection.test.ts. FL505 needs an object that passed the mutating webhook of
  // another moment: decide-update.test.ts.
  const missing = Object.keys(FINDINGS).filter((code) => !(seen as ReadonlySet<string>).has(code));
  // FL70x and FL71x are about rules and exceptions, which a review takes as its world: test/rules. FL725
  // needs the object before the write: decide-rules-update.test.ts. FL728 needs a hundred targets: decide-effect.test.ts.
  expect(missing.filter((code) => !/^FL7[01]/.test(code))).toEqual([
    "FL316",
    "FL319",
    "FL326",
    "FL331",
    "FL505",
    "FL725",
    "FL728",
  ]);
});
