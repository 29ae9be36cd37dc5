import { expect, test } from "vitest";
import { BUDGET_SPENT } from "../../src/core/rules/cel/budget.ts";
import { Budget, compile } from "../../src/core/rules/cel/cel.ts";
import type { Type } from "../../src/core/rules/cel/types.ts";
import { ENVIRONMENT } from "./engine-outcome.ts";
import { CORPUS_FILES, corpusInputs, expressionsIn } from "./library-corpus.ts";
import { mutated } from "./mutations.ts";
import { generator, pick, seedOf } from "./random.ts";

const RUNS = 100_000;
/** Small, so that what explodes is cut off at once. */
const LIMIT = 5000;
const DYN: Type = { kind: "dyn" };
const VARIABLES = { object: { a: [1, 2.5, "x", null, { b: true }], s: "héllo😀", n: -1, m: { k: 1 } }, x: 3 };

const SEEDS = [
  "object.a.all(e, e > 0 && has(object.m.k)) || object.s.startsWith('h')",
  "object.a.filter(e, type(e) == int).map(e, e * 2)[0] + x",
  "object.?m[?'k'].orValue(3) in [1, 2, 3] ? {'a': x, 1: 2u} : {}",
  "timestamp('2024-01-01T00:00:00Z') + duration('1h30m') < timestamp('2025-01-01T00:00:00.5+01:00')",
  "object.s.matches('^h.*$') && string(object.n).size() != 1.5e3 && b'a\\xff' != bytes('a')",
  "object.m.transformMap(k, v, v > 0, [k, v]).exists(k, v, k == 'k')",
  "optional.of(x).optMap(v, v / 0).hasValue() || optional.none() == optional.of(null)",
  "-9223372036854775808 - x % 7 <= uint(x) - 1u || !true == false // end",
  "object.a.transformMapEntry(i, v, {v: i}).`k-1` == '''a\"b''' + r'\\d' + \"\\u00e9\"",
];
/** What is mutated, and what it is compiled and run with. */
const TARGETS = [
  ...[true, false].map((typed) => ({
    texts: SEEDS,
    environment: { variables: { object: DYN, x: DYN }, libraries: [], typed },
    variables: VARIABLES,
  })),
  { texts: CORPUS_FILES.flatMap(expressionsIn), environment: ENVIRONMENT, variables: corpusInputs() },
];

test("no text makes the parser, the checker or the evaluator throw or hang", { timeout: 300_000 }, () => {
  const seed = seedOf("FUZZ_SEED");
  console.log(`FUZZ_SEED=${seed}`);
  const random = generator(seed);
  const counts = { problem: 0, error: 0, value: 0 };
  for (let index = 0; index < RUNS; index++) {
    const { texts, environment, variables } = pick(random, TARGETS);
    const text = mutated(random, texts);
    try {
      const compilation = compile(text, environment);
      if (!compilation.ok) {
        counts.problem++;
        continue;
      }
      const { error, cost } = compilation.program.run({ ...variables }, new Budget(LIMIT));
      if (cost > LIMIT) expect(error).toMatchObject({ message: BUDGET_SPENT, fatal: true });
      counts[error === undefined ? "value" : "error"]++;
    } catch (error) {
      throw new Error(`FUZZ_SEED=${seed}, text ${index}: ${JSON.stringify(text)}`, { cause: error });
    }
  }
  // Texts of all three kinds, or the mutations have become too wild to say anything.
  expect(Math.min(...Object.values(counts))).toBeGreaterThan(RUNS / 100);
});
