import { expect, test } from "vitest";
import { Budget, compile } from "../../src/core/rules/cel/cel.ts";
import { generator, seedOf } from "./random.ts";
import type { Type } from "../../src/core/rules/cel/types.ts";

const RUNS = 100_000;
/** Small, so that what explodes is cut off at once. */
const LIMIT = 5000;
const DYN: Type = { kind: "dyn" };
const VARIABLES = { object: { a: [1, 2.5, "x", null, { b: true }], s: "héllo😀", n: -1, m: { k: 1 } }, x: 3 };
const ENVIRONMENTS = [true, false].map((typed) => ({ variables: { object: DYN, x: DYN }, libraries: [], typed }));

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
const PIECES = (
  "( ) [ ] { } . ? : , + - * / % ! < > <= >= == != && || in true false null 0 1 1u 1.0 -1 9223372036854775807 1e308 " +
  "'a' \"\" b'' object x e .a .s .all(e, .map(e, .exists(e, .filter(e, has( size( int( string( type( duration( ' \" ` \\ " +
  "__proto__ constructor .?a [?0] .size() .matches('(') optional.of( /* // 😀 \u0000"
).split(" ");

function mutated(random: () => number): string {
  const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)];
  let text = pick(SEEDS) ?? "";
  for (let changes = 1 + Math.floor(random() * 4); changes > 0; changes--) {
    const at = Math.floor(random() * (text.length + 1));
    const end = at + Math.floor(random() * 8);
    const other = pick(SEEDS) ?? "";
    const from = Math.floor(random() * other.length);
    const piece = [pick(PIECES), other.slice(from, from + 20), "", text.slice(at, end).repeat(3)];
    text = text.slice(0, at) + (pick(piece) ?? "") + text.slice(random() < 0.5 ? at : end);
  }
  return text;
}

test("no text makes the parser, the checker or the evaluator throw or hang", { timeout: 300_000 }, () => {
  const seed = seedOf("FUZZ_SEED");
  console.log(`FUZZ_SEED=${seed}`);
  const random = generator(seed);
  const counts = { problem: 0, error: 0, value: 0 };
  for (let index = 0; index < RUNS; index++) {
    const text = mutated(random);
    const environment = ENVIRONMENTS[index % 2];
    try {
      const compilation = environment === undefined ? undefined : compile(text, environment);
      if (compilation?.ok !== true) {
        counts.problem++;
        continue;
      }
      const { error, cost } = compilation.program.run(VARIABLES, new Budget(LIMIT));
      expect(cost).toBeLessThan(LIMIT * 10);
      counts[error === undefined ? "value" : "error"]++;
    } catch (error) {
      throw new Error(`FUZZ_SEED=${seed}, text ${index}: ${JSON.stringify(text)}`, { cause: error });
    }
  }
  // Texts of all three kinds, or the mutations have become too wild to say anything.
  expect(Math.min(...Object.values(counts))).toBeGreaterThan(RUNS / 100);
});
