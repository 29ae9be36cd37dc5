import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CelError, toElement, type Value } from "../../src/core/rules/cel/values.ts";
import { PATTERN_MAX, patternSize } from "../../src/core/rules/library/pattern-size.ts";
import { MATCHES, patternProblem } from "../../src/core/rules/library/regex.ts";
import { call, shown } from "./library-call.ts";

/** Expectations of google/cel-go v0.26.0, ext/strings_test.go; those about limits are our own. */
describe("strings", () => {
  test.each<readonly [string, readonly Value[], unknown]>([
    ["charAt", ["tacocat", 3n], "o"],
    ["charAt", ["tacocat", 7n], ""],
    ["charAt", ["©αT", 0n], "©"],
    ["charAt", ["tacocat", 30n], "error: index out of range: 30"],
    ["indexOf", ["ta©o©αT", "©"], 2n],
    ["indexOf", ["ta©o©αT", "©", 3n], 4n],
    ["indexOf", ["hello wello", "ello", 0n], 1n],
    ["indexOf", ["hello wello", "elbo room!!"], -1n],
    ["indexOf", ["tacocat", "a", 30n], -1n],
    ["indexOf", ["tacocat", "a", -1n], "error: index out of range: -1"],
    ["lastIndexOf", ["tacocat", "at"], 5n],
    ["lastIndexOf", ["tacocat", ""], 7n],
    ["lastIndexOf", ["ta©o©αT", "©α"], 4n],
    ["lastIndexOf", ["hello wello", "low", 6n], -1n],
    ["lastIndexOf", ["bbbb", "bbb", 1n], 1n],
    ["lastIndexOf", ["tacocat", "a", -1n], "error: index out of range: -1"],
    ["lowerAscii", ["TacoCÆt Xii"], "tacocÆt xii"],
    ["upperAscii", ["tacoCαt Xii"], "TACOCαT XII"],
    ["lowerAscii", ["KELVIN \u212a"], "kelvin \u212a"],
    ["replace", ["12 days 12 hours", "{0}", "2"], "12 days 12 hours"],
    ["replace", ["{0} days {0} hours", "{0}", "2"], "2 days 2 hours"],
    ["replace", ["{0} days {0} hours", "{0}", "2", 1n], "2 days {0} hours"],
    ["replace", ["1 ©αT taco", "αT", "o©α"], "1 ©o©α taco"],
    ["replace", ["", "", "_"], "_"],
    ["replace", ["a".repeat(4_000), "", "b".repeat(4_000)], "error: the text after replace is too long"],
    ["split", ["hello world", ""], ["h", "e", "l", "l", "o", " ", "w", "o", "r", "l", "d"]],
    ["split", ["hello world events!", " ", 0n], []],
    ["split", ["hello world events!", " ", 1n], ["hello world events!"]],
    ["split", ["o©o©o©o", "©", -1n], ["o", "o", "o", "o"]],
    ["substring", ["tacocat", 4n], "cat"],
    ["substring", ["ta©o©αT", 2n, 6n], "©o©α"],
    ["substring", ["ta©o©αT", 7n, 7n], ""],
    ["substring", ["a😀b", 2n], "b"],
    ["substring", ["tacocat", 40n], "error: index out of range: 40"],
    ["substring", ["tacocat", 1n, 50n], "error: index out of range: 50"],
    ["substring", ["tacocat", 2n, 1n], "error: invalid substring range. start: 2, end: 1"],
    ["trim", [" \f\n\r\t\vtext  "], "text"],
    ["trim", ["\u2028\u3000x\u00a0y\u0085"], "x\u00a0y"],
    ["trim", ["\u180etext\u200b\ufeff"], "\u180etext\u200b\ufeff"],
    ["join", [["x", "y"]], "xy"],
    ["join", [["x", "y"], "-"], "x-y"],
    ["join", [[], "-"], ""],
    ["join", [["x", 1]], "error: join: invalid input: 1"],
    ["strings.quote", ['mid string " quote'], '"mid string \\" quote"'],
    ["strings.quote", ["\x07\b\f\r\t\v\\"], '"\\a\\b\\f\\r\\t\\v\\\\"'],
    ["strings.quote", ["size('ÿ') 😀"], "\"size('ÿ') 😀\""],
  ])("%s, row %#", (name, args, expected) => {
    expect(shown(call(name, ...args))).toEqual(expected);
  });

  test("split and join are each other's reverse", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.string({ minLength: 1, unit: "grapheme" }), (text, separator) => {
        expect(call("join", call("split", text, separator), separator)).toBe(text);
      }),
    );
  });

  test("an index found in a text is where the part begins, in code points", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), (before, part) => {
        const index = call("indexOf", `${before}${part}x`, `${part}x`);
        const rest = call("substring", `${before}${part}x`, index);
        expect(typeof rest === "string" && rest.startsWith(`${part}x`)).toBe(true);
      }),
    );
  });
});

/** Expectations of google/cel-go v0.26.0, ext/formatting_test.go. */
describe("format", () => {
  test.each<readonly [string, readonly Value[], string]>([
    ["%s", [["foo", toElement(3)]], '["foo", 3.000000]'],
    ["%b this is 5 in binary", [5n], "101 this is 5 in binary"],
    ["%x is %X", [30n, "Hello"], "1e is 48656C6C6F"],
    ["%o", [11n], "13"],
    ["%.3f", [1.2345], "1.234"],
    ["%.0f %.0f", [2.5, 3.5], "2 4"],
    ["%f", [10000.1234], "10,000.123400"],
    ["%.3e", [1052.032911275], "1.052033×10⁰³"],
    ["%d %d", [-1n, 2n], "-1 2"],
    ["%%%s%%", ["text"], "%text%"],
    ["%s", [{ key2: "value2", key1: "value1" }], '{"key1":"value1", "key2":"value2"}'],
    ["%s", [["\u2028\u00ad"]], '["\\u2028\\u00ad"]'],
    ["%s", [], "error: index 0 out of range"],
    ["%", [1n], "error: unexpected end of string"],
    ["%a", [1n], 'error: could not parse formatting clause: unrecognized formatting clause "a"'],
    ["%d", ["x"], "error: error during formatting: decimal clause can only be used on integers, was given string"],
  ])("%s, row %#", (text, args, expected) => {
    expect(call("format", text, args.map(toElement))).toBe(expected);
  });

  test("a fixed number is the nearest with its digits", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e15, max: 1e15 }), (value) => {
        const text = shown(call("format", "%.17f", [toElement(value)]));
        expect(text).toMatch(/^-?\d{1,3}(,\d{3})*\.\d{17}$/);
        expect(Number((text as string).replaceAll(",", ""))).toBeCloseTo(value, 10);
      }),
    );
  });
});

/** Messages are those of Go's regexp/syntax, tried with Go 1.26.8. */
describe("regular expressions", () => {
  test.each<readonly [string, readonly Value[], unknown]>([
    ["find", ["abc 123", "[0-9]+"], "123"],
    ["find", ["abc 123", "xyz"], ""],
    ["find", ["a", "("], "error: Illegal regex: error parsing regexp: missing closing ): `(`"],
    ["findAll", ["123 abc 456", "[0-9]+"], ["123", "456"]],
    ["findAll", ["123 abc 456", "[0-9]+", 1n], ["123"]],
    ["findAll", ["baaac", "a*"], ["", "aaa", ""]],
    ["findAll", ["a", "a**"], "error: Illegal regex: error parsing regexp: invalid nested repetition operator: `**`"],
  ])("%s, row %#", (name, args, expected) => {
    expect(shown(call(name, ...args))).toEqual(expected);
  });

  test.each<readonly [string, string, boolean]>([
    ["hubba", "ubb", true],
    ["😀", "^.$", true],
    ["é", "^\\w$", false],
    ["K\u212a", "(?i)^kk$", true],
    [`${"a".repeat(50)}!`, "(a+)+$", false],
  ])("%j matches %s: %s", (text, pattern, expected) => {
    expect(MATCHES.call(text, pattern)).toBe(expected);
  });

  test("what Go refuses is refused in its words, a long pattern in ours", () => {
    expect(patternProblem("(?=a)")).toBe("error parsing regexp: invalid or unsupported Perl syntax: `(?=`");
    expect(patternProblem("a{1001}")).toBe("error parsing regexp: invalid repeat count: `{1001}`");
    expect(patternProblem("a")).toBeUndefined();
    const long = "a".repeat(PATTERN_MAX + 1);
    expect(() => MATCHES.call("", long)).toThrow(CelError);
    expect(patternProblem(long)).toBe("error parsing regexp: expression of 4097 characters, at most 4096");
  });

  test.each(["(?:a?){1000}".repeat(300), "(?:a{99}[(]){1000}", "(\\Q(\\E{999}){12}", "\\pL".repeat(1000)])(
    "a program that would take too long to compile is refused, row %#",
    (pattern) => {
      expect(patternProblem(pattern)).toBe("error parsing regexp: expression too large");
    },
  );

  // What stands in a class or is quoted is no group and no repetition.
  test.each([
    ["(ab){3}", 12],
    ["(x{0,30}){0,30}", 960],
    ["(?:ab[(]){1000}", 7000],
    ["([)]x{10}[]()]){100}", 1400],
    ["(\\Qab(\\E){100}", 900],
    ["([[:alpha:](]ab){100}", 500],
    ["\\p{Greek}x{10}", 14],
    ["[", 1],
    ["[{".repeat(2000), 4000],
  ])("the size of a pattern, row %#", (pattern, size) => {
    expect(patternSize(pattern)).toBe(size);
  });

  test("more patterns than are kept still give the same answers", () => {
    for (const round of [1, 2]) {
      for (let index = 0; index < 600; index++)
        expect(MATCHES.call(`x${index}`, `^x${index}$`), `round ${round}`).toBe(true);
    }
  });
});
