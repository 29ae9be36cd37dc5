import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { estimateCost } from "../../src/core/rules/cel/estimate.ts";
import { parse } from "../../src/core/rules/cel/parser.ts";
import { STANDARD_MACROS } from "../../src/core/rules/cel/macros.ts";
import { formatProblem, problemAt } from "../../src/core/rules/cel/problems.ts";
import { shapeSize } from "../../src/core/rules/schema-types.ts";
import { check } from "../../src/core/rules/cel/check.ts";
import { checkText, ENVIRONMENT, outcome, SHAPE } from "./check-support.ts";

/** What the CEL environment of k8s.io/apiserver v0.36.3 says of each expression with the same variables. */
const RECORDED = z
  .array(
    z.object({
      expression: z.string(),
      type: z.string().optional(),
      problem: z.string().optional(),
      min: z.number().optional(),
      max: z.number().optional(),
    }),
  )
  .parse(JSON.parse(readFileSync(join(import.meta.dirname, "fixtures", "type-checks.json"), "utf8")));

function sizeAt([variable, ...path]: readonly string[]): number | undefined {
  return variable === "object" || variable === "oldObject" ? shapeSize(SHAPE, path) : undefined;
}

describe("types and problems are Kubernetes' own", () => {
  test.each(RECORDED)("$expression", ({ expression, type, problem }) => {
    expect(outcome(expression)).toBe(problem ?? type);
  });
});

describe("estimated costs are Kubernetes' own", () => {
  test.each(RECORDED.filter(({ min }) => min !== undefined))("$expression", ({ expression, min, max }) => {
    const parsed = parse(expression, STANDARD_MACROS);
    if (!parsed.ok) throw parsed.problem;
    const checked = check(parsed.expression, expression, ENVIRONMENT);
    expect(estimateCost(parsed.expression, checked, { at: sizeAt })).toEqual({ min, max });
  });
});

describe("a rule that goes wrong in one of these ways is refused", () => {
  test.each([
    ["a misspelt field", "object.spec.replcas > 3", "1:12: undefined field 'replcas'"],
    ["a misspelt field in has()", "!has(object.spec.nodPorts)", "1:5: undefined field 'nodPorts'"],
    ["a misspelt field after .?", "object.spec.?clusterIPp.orValue('') == ''", "1:12: undefined field 'clusterIPp'"],
    [
      "a misspelt field of a macro variable",
      "object.spec.ports.all(p, p.prot == 'TCP')",
      "1:27: undefined field 'prot'",
    ],
    [
      "text compared with a number",
      "object.spec.type == 3",
      "1:18: found no matching overload for '_==_' applied to '(string, int)'",
    ],
    [
      "a value of a map compared with a number",
      "object.metadata.labels['app'] > 3",
      "1:31: found no matching overload for '_>_' applied to '(string, int)'",
    ],
    [
      "a key that is no text",
      "object.metadata.labels[1] == 'x'",
      "1:23: found no matching overload for '_[_]' applied to '(map(string, string), int)'",
    ],
    ["a field by index", "object['spec']", "1:7: found no matching overload for '_[_]' applied to '(Service, string)'"],
    ["an unknown variable", "objct.spec.type == 'x'", "1:1: undeclared reference to 'objct' (in container '')"],
    ["an unknown function", "object.spec.type.isFoo()", "1:23: undeclared reference to 'isFoo' (in container '')"],
    [
      "an argument of another type",
      "object.spec.type.startsWith(1)",
      "1:28: found no matching overload for 'startsWith' applied to 'string.(int)'",
    ],
    ["a bad regular expression", "object.spec.type.matches('[')", "1:26: invalid matches argument"],
    ["a bad expression to find", "object.spec.type.find('(')", "1:23: invalid find argument"],
    ["a bad duration", "duration('5 minutes') < duration('1h')", "1:10: invalid duration argument"],
    ["a bad timestamp", "timestamp('2020-13-01')", "1:11: invalid timestamp argument"],
    [
      "a macro over what is no list",
      "object.spec.type.all(c, c == 'x')",
      "1:12: expression of type 'string' cannot be range of a comprehension (must be list, map, or dynamic)",
    ],
    ["a macro with a number as condition", "[1].exists(x, x)", "1:15: expected type 'bool' but found 'int'"],
    [
      "branches of two types",
      "b ? 1 : 'a'",
      "1:3: found no matching overload for '_?_:_' applied to '(bool, int, string)'",
    ],
    ["a list of two types", "[1, 'a']", "1:5: expected type 'int' but found 'string'"],
    ["an operand of && that is no bool", "b && object.spec.type", "1:17: expected type 'bool' but found 'string'"],
    ["a field of a text", "object.spec.type.name", "1:17: type 'string' does not support field selection"],
    [
      "an optional used as it is",
      "object.spec.?type == 1",
      "1:19: found no matching overload for '_==_' applied to '(optional_type(string), int)'",
    ],
    [
      "a number formatted as text",
      "'%d'.format([object.spec.type])",
      "1:25: error during formatting: decimal clause can only be used on integers, was given string",
    ],
  ])("%s", (_name, expression, message) => {
    expect(outcome(expression)).toContain(`ERROR: <input>:${message}\n`);
  });
});

describe("literals", () => {
  test("what Kubernetes finds out while a rule runs is refused on request only", () => {
    expect(outcome("quantity('a lot')")).toBe("kubernetes.Quantity");
    expect(outcome("quantity('a lot')", { strictLiterals: true })).toBe(
      "ERROR: <input>:1:10: invalid quantity argument\n | quantity('a lot')\n | .........^",
    );
    expect(outcome("int('3')", { strictLiterals: true })).toBe("int");
  });
});

describe("problems", () => {
  test("a line of several, tabs and wide characters are shown as cel-go shows them", () => {
    const text = "true &&\n\t'日本' == foo";
    const problem = problemAt(text, { start: 17, end: 20 }, "undeclared reference to 'foo' (in container '')");
    expect(problem).toMatchObject({ line: 2, column: 10, start: 17, end: 20 });
    expect(formatProblem(text, problem)).toBe(
      "ERROR: <input>:2:10: undeclared reference to 'foo' (in container '')\n |  '日本' == foo\n | ..．．.....^",
    );
  });

  test("come in the order of the text, at most a hundred", () => {
    expect(checkText("foo + object.spec.bar").problems.map(({ column }) => column)).toEqual([1, 18]);
    expect(checkText(`[${"foo, ".repeat(300)}foo]`).problems).toHaveLength(100);
  });
});

describe("names", () => {
  test("a container is tried before the name by itself, a macro variable before both", () => {
    const variables = { "a.b.c": { kind: "int" }, "a.c": { kind: "string" }, c: { kind: "bool" } } as const;
    expect(outcome("c", { variables, container: "a.b" })).toBe("int");
    expect(outcome(".c", { variables, container: "a.b" })).toBe("bool");
    expect(outcome("[1.5].map(c, c)", { variables, container: "a.b" })).toBe("list(double)");
    expect(outcome("d", { variables, container: "a.b" })).toContain("undeclared reference to 'd' (in container 'a.b')");
  });

  test("the evaluator is told the overloads of a call and the full names", () => {
    const { overloads, names } = checkText("i + 1 < x");
    expect([...overloads.values()]).toContainEqual(["add_int64"]);
    expect([...names.values()]).toEqual(expect.arrayContaining(["i", "x"]));
  });
});
