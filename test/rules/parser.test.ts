import { describe, expect, test } from "vitest";
import type { Expression } from "../../src/core/rules/cel/ast.ts";
import { STANDARD_MACROS } from "../../src/core/rules/cel/macros.ts";
import { MAX_EXPRESSION_LENGTH, parse } from "../../src/core/rules/cel/parser.ts";
import { Uint } from "../../src/core/rules/cel/values.ts";

/** A tree in one line: every operation in brackets. */
function shown(node: Expression): string {
  switch (node.kind) {
    case "literal":
      return node.value instanceof Uint ? `${node.value.value}u` : literal(node.value);
    case "identifier":
      return node.name;
    case "select":
      return `${node.test ? "has " : ""}${shown(node.operand)}.${node.optional ? "?" : ""}${node.field}`;
    case "index":
      return `${shown(node.operand)}[${node.optional ? "?" : ""}${shown(node.index)}]`;
    case "call": {
      const target = node.target === undefined ? "" : `${shown(node.target)}.`;
      return `${target}${node.name}(${node.arguments.map(shown).join(", ")})`;
    }
    case "list":
      return `[${node.elements.map(({ value, optional }) => (optional ? "?" : "") + shown(value)).join(", ")}]`;
    case "map":
    case "struct": {
      const name = node.kind === "struct" ? node.name : "";
      const entries = node.entries.map(
        (entry) => `${entry.optional ? "?" : ""}${shown(entry.key)}: ${shown(entry.value)}`,
      );
      return `${name}{${entries.join(", ")}}`;
    }
    case "comprehension":
      return `${node.macro} of ${shown(node.range)}: ${shown(node.step)}`;
  }
  return "";
}

function literal(value: unknown): string {
  if (value instanceof Uint8Array) {
    return `bytes ${value.join(" ")}`;
  }
  return typeof value === "number"
    ? `double ${value}`
    : typeof value === "string"
      ? JSON.stringify(value)
      : String(value);
}

function tree(text: string): string {
  const parsed = parse(text, STANDARD_MACROS, true);
  return parsed.ok ? shown(parsed.expression) : `${parsed.problem.start}: ${parsed.problem.message}`;
}

describe("trees", () => {
  test.each([
    ["a + b * c - d", "_-_(_+_(a, _*_(b, c)), d)"],
    ["a == b in c", "@in(_==_(a, b), c)"],
    ["a ? b : c ? d : e", "_?_:_(a, b, _?_:_(c, d, e))"],
    ["a && b && c && d", "_&&_(_&&_(a, b), _&&_(c, d))"],
    ["a || b && c || d", "_||_(a, _||_(_&&_(b, c), d))"],
    ["!!a", "a"],
    ["!!!a", "!_(a)"],
    ["--a", "a"],
    ["-a", "-_(a)"],
    ["-1.abs()", "-1.abs()"],
    ["-9223372036854775808", "-9223372036854775808"],
    ["18446744073709551615u", "18446744073709551615u"],
    ["0xff + 0xFu", "_+_(255, 15u)"],
    ["1.5e3 + .5", "_+_(double 1500, double 0.5)"],
    ["a.b[0].c(d)", "a.b[0].c(d)"],
    ["a.?b[?c]", "a.?b[?c]"],
    ["[?a, b,]", "[?a, b]"],
    ["{?'a': b, 1: c,}", '{?"a": b, 1: c}'],
    ["a.`b-c/d`", "a.b-c/d"],
    ["a.while.namespace()", "a.while.namespace()"],
    [".a.b", ".a.b"],
    ["a.B{c: 1}", 'a.B{"c": 1}'],
    ["a // comment\n + b", "_+_(a, b)"],
    ["has(a.b)", "has a.b"],
    ["has(a[0].b)", "has a[0].b"],
    ["a.all(x, x > 0)", "all of a: _&&_(@result, _>_(x, 0))"],
    ["a.map(x, x > 0, x)", "map of a: _?_:_(_>_(x, 0), _+_(@result, [x]), @result)"],
    ["a.transformMap(k, v, v)", "transformMap of a: cel.@mapInsert(@result, k, v)"],
  ])("%s", (text, expected) => {
    expect(tree(text)).toBe(expected);
  });

  test.each([
    [String.raw`'a\n\x41\101\u00e9\U0001F431\?'`, '"a\\nAAé🐱?"'],
    [String.raw`r'a\n'`, '"a\\\\n"'],
    [`"""a\n"b" """`, String.raw`"a\n\"b\" "`],
    ["'''a\r\nb'''", String.raw`"a\nb"`],
    [String.raw`b'é\xff\377'`, "bytes 195 169 255 255"],
    [String.raw`br'\x'`, "bytes 92 120"],
    ["''", '""'],
    ["''''''", '""'],
  ])("%s", (text, expected) => {
    expect(tree(text)).toBe(expected);
  });
});

describe("problems", () => {
  test.each([
    ["", "0: Syntax error: found '<EOF>', expected an expression"],
    ["1 +", "3: Syntax error: found '<EOF>', expected an expression"],
    ["a b", "2: Syntax error: found 'b', expected the end of the expression or an operator"],
    ["f(a", "3: Syntax error: found '<EOF>', expected ')'"],
    ["a.1", "1: Syntax error: found '.1', expected the end of the expression or an operator"],
    ["a.in", "2: Syntax error: found 'in', expected the name of a field"],
    ["a ? b ? c : d : e", "6: Syntax error: found '?', expected ':'"],
    ["1 @ 2", "2: Syntax error: token recognition error at: '@'"],
    ["a &&& b", "4: Syntax error: token recognition error at: '&'"],
    ["'abc", "0: Syntax error: token recognition error at: '''; is the string closed, are its escapes valid?"],
    [
      String.raw`'\q'`,
      "0: Syntax error: token recognition error at: '''; is the string closed, are its escapes valid?",
    ],
    [String.raw`'\ud800'`, "0: invalid unicode code point"],
    [String.raw`b'\u0041'`, "0: unable to unescape string"],
    ["for", "0: reserved identifier: for"],
    ["package.a + 1", "0: reserved identifier: package"],
    ["9223372036854775808", "0: invalid int literal"],
    ["18446744073709551616u", "0: invalid uint literal"],
    ["1e999", "0: invalid double literal"],
    ["has(a)", "4: invalid argument to has() macro"],
    ["a.all(x.y, true)", "7: argument must be a simple name"],
    ["a.all(x, x, true)", "9: duplicate variable name: x"],
    ["a.map(__result__, 1)", "6: iteration variable overwrites accumulator variable"],
    ["a.optMap(1, 2)", "9: optMap() variable name must be a simple identifier"],
  ])("%s", (text, expected) => {
    expect(tree(text)).toBe(expected);
  });
});

describe("limits", () => {
  const TOO_DEEP = "expression recursion limit exceeded: 250";

  test.each([
    ["parentheses", `${"(".repeat(10_000)}1${")".repeat(10_000)}`],
    ["lists", `${"[".repeat(10_000)}${"]".repeat(10_000)}`],
    ["sums", Array(10_000).fill("1").join("+")],
    ["comparisons", Array(10_000).fill("1").join("==")],
    ["fields", `a${".b".repeat(10_000)}`],
    ["methods", `a${".b()".repeat(10_000)}`],
    ["conditions", `${"a?b:".repeat(10_000)}c`],
  ])("10,000 %s are refused", (_, text) => {
    expect(tree(text)).toContain(TOO_DEEP);
  });

  test.each([
    ["&&", Array(10_000).fill("a").join("&&")],
    ["||", Array(10_000).fill("a").join("||")],
    ["!", `${"!".repeat(10_000)}a`],
    ["-", `${"-".repeat(10_000)}a`],
  ])("10,000 %s are not", (_, text) => {
    expect(parse(text, STANDARD_MACROS).ok).toBe(true);
  });

  test("an expression may have 100,000 characters", () => {
    expect(parse(`'${"é".repeat(MAX_EXPRESSION_LENGTH - 2)}'`, []).ok).toBe(true);
    expect(tree(" ".repeat(MAX_EXPRESSION_LENGTH + 1))).toBe(
      "0: expression code point size exceeds limit: size: 100001, limit 100000",
    );
  });

  test("fields in backquotes are refused unless they are asked for", () => {
    const parsed = parse("a.`b`", STANDARD_MACROS);
    expect(parsed.ok ? undefined : parsed.problem).toMatchObject({ message: "unsupported syntax: '`'", start: 2 });
  });

  test("macros may not multiply it", () => {
    const text = `x${".optMap(v, v)".repeat(200)}`;
    expect(parse(text, STANDARD_MACROS).ok).toBe(true);
  });
});
