import { describe, expect, test } from "vitest";
import { Budget, compile, lazyRecord } from "../../src/core/rules/cel/cel.ts";
import { kubernetesLibraries } from "../../src/core/rules/library/all.ts";
import { run, untyped } from "./running.ts";

const OBJECT = {
  object: { a: { b: 1 }, l: [1, 2, 3], m: { x: 1, y: 2 }, s: "hello", t: true },
  x: 5,
  many: Array.from({ length: 1000 }, (_, index) => index),
};
const SPENT = "operation cancelled: actual cost limit exceeded";

/** Units that the API server of Kubernetes 1.36.3 counted for the same expressions. */
describe("costs as Kubernetes counts them", () => {
  test.each([
    ["1", 0],
    ["x", 1],
    ["object.a.b", 3],
    ["has(object.a.b)", 2],
    ["object.l[0]", 3],
    ["object.s == 'hello'", 3],
    ["object.s + ' world'", 4],
    ["object.s.matches('h.*o')", 3],
    ["[1, 2, 3]", 0],
    ["{'a': x}", 31],
    ["x in [1, 2, 3]", 1],
    ["timestamp('2024-01-01T00:00:00Z')", 0],
    ["object.l.all(e, e > 0)", 18],
    ["object.l.all(e, e > 1)", 10],
    ["object.l.exists(e, e > 5)", 21],
    ["object.l.map(e, e * 2)", 45],
    ["object.m.all(k, v, v > 0)", 13],
    ["object.l.map(e, object.l.map(f, f))", 165],
    ["optional.of(x).optMap(v, v + 1)", 9],
  ])("%s", (text, cost) => {
    expect(run(text, OBJECT).cost).toBe(cost);
  });
});

describe("the limit", () => {
  test.each([
    ["a loop in a loop in a loop", "many.all(a, many.all(b, many.all(c, a + b + c >= 0)))"],
    ["a loop that does nothing", "many.exists_one(a, many.exists_one(b, many.exists_one(c, false)))"],
    ["lists of lists of lists", "many.map(a, many.map(b, many.map(c, many.map(d, [a, b, c, d]))))"],
    ["maps of maps of maps", "many.transformMap(a, b, many.transformMap(c, d, many.transformMap(e, f, f)))"],
    ["comparing something large often", "many.all(a, many == many)"],
    ["looking for something large often", "many.all(a, many in [many, many])"],
    ["a search before it begins", "optional.of('x')" + ".optMap(v, v + v)".repeat(18) + ".value().matches('(x+x+)+y')"],
    ["a list that doubles", `optional.of([1])${".optMap(v, v + v)".repeat(60)}`],
    ["text that doubles", `optional.of('a')${".optMap(v, v + v)".repeat(60)}`],
    ["something that || could do without", "many.all(a, many.all(b, many.all(c, true))) || true"],
    ["something that ?: could do without", "many.all(a, many.all(b, many.all(c, true))) ? 1 : 2"],
    ["something that exists could do without", "[1].exists(x, many.all(a, many.all(b, many.all(c, true)))) || true"],
  ])("ends %s", (_, text) => {
    const { error, cost } = run(text, OBJECT, new Budget(100_000));
    expect(error).toMatchObject({ message: SPENT, fatal: true });
    expect(cost).toBeGreaterThan(100_000);
    expect(run(text, OBJECT, new Budget(100_000)).cost).toBe(cost);
  });

  test.each([
    ["patterns that are large to compile", "texts.all(t, t.matches('(x{0,30}){0,30}' + t) || true)"],
    ["classes of Unicode", "texts.all(t, t.matches('[\\\\pL]' + t) || true)"],
    ["patterns of find", "texts.all(t, t.find('(x{0,30}){0,30}' + t) == '' || true)"],
    ["patterns of findAll", "texts.all(t, t.findAll('(x{0,30}){0,30}' + t, 1) == [] || true)"],
    ["patterns that are refused", "texts.all(t, t.matches('(x{0,1000}){2}' + t) || true)"],
    ["a list that is long to make", "lists.range(10000000000) == []"],
    ["lists whose elements are compared", "many.distinct() == []"],
    ["sets", "sets.intersects(many, many)"],
    ["the parts of a long URL", "[url(long)].all(u, texts.all(t, u.getEscapedPath() != ''))"],
    ["long URLs that are compared", "[url(long)].all(u, texts.all(t, u == u))"],
    ["long versions that are compared", "[semver('1.2.3-' + texts.join('.'))].all(v, many.all(m, v == v))"],
    ["lists that are copied into one", "many.all(m, [many, many].flatten() != [])"],
    ["a cost below nothing", "[0, 1].exists(i, i == 0 ? [1].flatten(-9000000000) == [] : sets.intersects(many, many))"],
  ])("ends %s before the work", (_, text) => {
    const long = `https://example.com/${"x".repeat(40_000)}`;
    const variables = { many: OBJECT.many, texts: OBJECT.many.map((index) => `t${index}`), long };
    const environment = { ...untyped(variables), libraries: kubernetesLibraries("1.36") };
    const costs = [1, 2].map(() => {
      const compilation = compile(text, environment);
      if (!compilation.ok) throw new Error(compilation.problems[0]?.message);
      const { error, cost } = compilation.program.run(variables, new Budget(100_000));
      expect(error).toMatchObject({ message: SPENT, fatal: true });
      return cost;
    });
    // The second time what was compiled is at hand.
    expect(costs[1]).toBe(costs[0]);
  });

  test("a pattern that the expression writes out costs what Kubernetes counts, one that it builds more", () => {
    const { cost } = run("object.s.matches('h.*o')", OBJECT);
    expect(run("object.s.matches(p)", { ...OBJECT, p: "h.*o" }).cost).toBe(cost + 1 + 20 + 16 * 4);
  });

  test("is for all runs together", () => {
    const budget = new Budget(30);
    expect(run("object.l.all(e, e > 0)", OBJECT, budget).value).toBe(true);
    expect(run("object.l.all(e, e > 0)", OBJECT, budget).error).toMatchObject({ message: SPENT });
    expect(budget.used).toBeGreaterThan(30);
  });

  test("may be tighter for each run", () => {
    const budget = new Budget(1000, 20);
    expect(run("object.l.all(e, e > 0)", OBJECT, budget).cost).toBe(18);
    expect(run("object.l.all(e, e > 0)", OBJECT, budget).cost).toBe(18);
    expect(run("object.l.exists(e, e > 5)", OBJECT, budget).error).toMatchObject({ message: SPENT });
  });

  test("a lazy variable has that of its own run, and counts for all", () => {
    const budget = new Budget(1000, 20);
    const variables = lazyRecord({ all: () => run("object.l.all(e, e > 0)", OBJECT, budget).value ?? null });
    expect(run("variables.all && object.a.b == 1", { ...OBJECT, variables }, budget).value).toBe(true);
    expect(budget.used).toBe(18 + 2 + 4);
  });
});
