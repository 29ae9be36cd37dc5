import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Budget, compile } from "../../src/core/rules/cel/cel.ts";
import { estimateCost } from "../../src/core/rules/cel/estimate.ts";
import { readType } from "../../src/core/rules/cel/type-text.ts";
import type { Type } from "../../src/core/rules/cel/types.ts";
import { Duration, Optional, Timestamp, Uint } from "../../src/core/rules/cel/values.ts";
import { check } from "../../src/core/rules/cel/check.ts";
import { STANDARD } from "../../src/core/rules/cel/standard.ts";
import { shapeType } from "../../src/core/rules/schema-types.ts";

const SEED = Number(process.env["FUZZ_SEED"] ?? Date.now() % 2 ** 31);
/** In every list, and what the estimate is told. */
const ITEMS = 20;
const TYPES: Readonly<Record<string, string>> = {
  i: "int",
  u: "uint",
  d: "double",
  s: "string",
  b: "bool",
  t: "timestamp",
  du: "duration",
  li: "list(int)",
  ls: "list(string)",
  m: "map(string, string)",
  mi: "map(string, int)",
  oi: "optional_type(int)",
};
const OBJECT = shapeType({ name: "string", size: "int", tags: { "*": "string" }, parts: [{ port: "int" }] }, "Thing");
const VARIABLES: Readonly<Record<string, Type>> = {
  object: OBJECT,
  ...Object.fromEntries(Object.entries(TYPES).map(([name, type]) => [name, readType(type)])),
};
const VALUES = {
  object: { name: "n", size: 2, tags: { a: "x" }, parts: [{ port: 80 }, { port: 443 }] },
  i: 3,
  u: new Uint(4n),
  d: 1.5,
  s: "a",
  b: true,
  t: new Timestamp(0n),
  du: new Duration(1_000_000_000n),
  li: Array.from({ length: ITEMS }, (_, index) => index),
  ls: Array.from({ length: ITEMS }, (_, index) => `a${index}`),
  m: { a: "x" },
  mi: { a: 1 },
  oi: new Optional(1n),
};

const BINARY = ["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in"];
const METHODS = ["size()", "startsWith('a')", "contains('a')", "orValue(1)", "hasValue()", "getHours()", "value()"];
const FUNCTIONS = [
  "size",
  "string",
  "int",
  "double",
  "uint",
  "bool",
  "timestamp",
  "duration",
  "type",
  "dyn",
  "optional.of",
];
const MACROS = ["all", "exists", "exists_one", "filter", "map"];
const LEAVES = ["1", "2u", "1.5", "'a'", "true", "null", "[]", "{}", "e", ...Object.keys(VARIABLES)];
const FIELDS = ["name", "size", "tags", "parts", "port", "a", "parts[0].port"];

/** Expressions, most of them of no sound type. */
const { expression } = fc.letrec<{ expression: string }>((tie) => {
  const inner = tie("expression");
  return {
    expression: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.constantFrom(...LEAVES),
      fc.tuple(inner, fc.constantFrom(...BINARY), inner).map(([a, operator, b]) => `(${a} ${operator} ${b})`),
      fc.tuple(fc.constantFrom("!", "-"), inner).map(([operator, a]) => `${operator}(${a})`),
      fc.tuple(inner, fc.constantFrom(...METHODS)).map(([a, method]) => `${a}.${method}`),
      fc.tuple(fc.constantFrom(...FUNCTIONS), inner).map(([name, a]) => `${name}(${a})`),
      fc.tuple(inner, fc.constantFrom(...MACROS), inner).map(([a, macro, b]) => `${a}.${macro}(e, ${b})`),
      fc.tuple(inner, fc.constantFrom(".", ".?"), fc.constantFrom(...FIELDS)).map((parts) => parts.join("")),
      fc.tuple(inner, inner).map(([a, b]) => `${a}[${b}]`),
      fc.tuple(inner, inner).map(([a, b]) => `[${a}, ${b}]`),
      fc.tuple(inner, inner).map(([a, b]) => `{${a}: ${b}}`),
      fc.tuple(inner, inner, inner).map(([a, b, c]) => `(${a} ? ${b} : ${c})`),
    ),
  };
});

/** dyn and null leave to the run what the checker cannot know. */
function isCertain(types: Iterable<Type>): boolean {
  return [...types].every((type) => !/"kind":"(?:dyn|null|parameter)"/.test(JSON.stringify(type)));
}

test("what the checker takes, without dyn in it, meets no missing overload when it runs, and costs what was estimated", () => {
  const environment = { variables: VARIABLES, libraries: [], typed: true };
  let taken = 0;
  fc.assert(
    fc.property(expression, (text) => {
      const compiled = compile(text, environment);
      if (!compiled.ok) return;
      const checked = check(compiled.program.expression, text, { variables: VARIABLES, libraries: [STANDARD] });
      if (!isCertain(checked.types.values())) return;
      taken++;
      const { error, cost } = compiled.program.run(VALUES, new Budget(1_000_000));
      expect(error?.message ?? "", text).not.toMatch(/no such overload|no matching overload/);
      const sizes = { at: () => undefined, unbounded: { items: ITEMS, characters: 100 } };
      const { max } = estimateCost(compiled.program.expression, checked, sizes);
      // A field of what is no variable costs two units in cel-go, of which its estimate counts one.
      expect(cost, text).toBeLessThanOrEqual(2 * max);
    }),
    { seed: SEED, numRuns: 40_000 },
  );
  console.log(`seed ${SEED}: ${taken} of 40000 expressions taken`);
  expect(taken).toBeGreaterThan(200);
});
