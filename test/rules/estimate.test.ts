import { describe, expect, test } from "vitest";
import { Budget, compile } from "../../src/core/rules/cel/cel.ts";
import { Timestamp } from "../../src/core/rules/cel/values.ts";
import { kubernetesLibraries } from "../../src/core/rules/library/all.ts";
import { estimateCost, type Sizes } from "../../src/core/rules/cel/estimate.ts";
import { STANDARD_MACROS } from "../../src/core/rules/cel/macros.ts";
import { parse } from "../../src/core/rules/cel/parser.ts";
import { check } from "../../src/core/rules/cel/check.ts";
import { ENVIRONMENT } from "./check-support.ts";

const UNKNOWN: Sizes = { at: () => undefined };
const BOUNDED: Sizes = { at: () => undefined, unbounded: { items: 100, characters: 1_000 } };

function estimate(text: string, sizes: Sizes): { readonly min: number; readonly max: number } {
  const parsed = parse(text, STANDARD_MACROS);
  if (!parsed.ok) throw parsed.problem;
  return estimateCost(parsed.expression, check(parsed.expression, text, ENVIRONMENT), sizes);
}

describe("lists without a bound", () => {
  test.each([
    ["ls.all(e, e == 'x')", 100],
    ["x.all(e, e == 'x')", 100],
    ["m.exists(k, k == 'x')", 100],
    ["ls.all(e, ls.all(f, e == f))", 10_000],
    ["ls.all(e, ls.all(f, ls.all(g, true)))", 1_000_000],
    ["ls.map(e, ls.map(f, e + f))", 10_000],
  ])("%s goes round %d times", (text, rounds) => {
    expect(estimate(text, UNKNOWN).max).toBe(Number.POSITIVE_INFINITY);
    const { max } = estimate(text, BOUNDED);
    expect(max).toBeGreaterThan(rounds);
    expect(max).toBeLessThan(rounds * 300);
  });
});

test("a bound holds behind a default that is empty, and not behind another", () => {
  const sizes: Sizes = { ...BOUNDED, at: (path) => (path.join(".") === "m.a" ? 7 : undefined) };
  const rounds = (text: string): number => estimate(text, sizes).max / estimate("[1].all(e, true)", sizes).max;
  expect(rounds("m.?a.orValue([]).all(e, true)")).toBeLessThan(7);
  expect(rounds("m.?a.orValue(ls).all(e, true)")).toBeGreaterThan(7);
});

const TEXT = "x/".repeat(500);
const VARIABLES = { s: TEXT, ls: Array.from({ length: 100 }, () => TEXT), t: new Timestamp(0n) };

// What we count beyond cel-go, a rule that passes the estimate must be able to pay for.
test.each([
  "s.matches('(x{0,9}){0,9}')",
  "matches(s, '[a-z]{1,63}')",
  "s.matches('^' + s.substring(0, 100))",
  "ls.all(e, s.find(e) == '')",
  "s.findAll('x').size() == 1",
  "s.findAll(s).size() == 1",
  "isURL(s)",
  "url('https://a/' + s).getHost() == ''",
  "ls.all(e, e.size() > 0 && size(e) > 0)",
  "ls.all(e, t.getHours('Europe/Berlin') == 1)",
  "'%s %s'.format([s, s]) == s",
  "ls.join(s) == s",
  "(ls + ls).size() == 1",
])("%s costs no more than estimated", (text) => {
  const environment = { variables: ENVIRONMENT.variables, libraries: kubernetesLibraries("1.36"), typed: true };
  const compiled = compile(text, environment);
  if (!compiled.ok) throw new Error(compiled.problems[0]?.message);
  const { error, cost } = compiled.program.run(VARIABLES, new Budget(1e9));
  expect(error).toBeUndefined();
  expect(cost).toBeLessThanOrEqual(estimate(text, { ...BOUNDED, beyond: true }).max);
});

test.each([
  ["s.matches('[a-z]+')", { min: 3, max: 203 }],
  ["s.contains('abc')", { min: 1, max: 101 }],
  ["s in ls", { min: 2, max: 102 }],
  ["ls == ls", { min: 3, max: 12 }],
  ["has(object.spec.type)", { min: 2, max: 2 }],
  ["b && ls.all(e, e == 'x')", { min: 1, max: 503 }],
])("%s, of 100 items and 1,000 characters", (text, range) => {
  expect(estimate(text, BOUNDED)).toEqual(range);
});
