import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Duration, toElement, Uint, type Value } from "../../src/core/rules/cel/values.ts";
import { call, costOf, shown } from "./library-call.ts";

/**
 * Expectations of k8s.io/apiserver v0.36.3, pkg/cel/library/lists.go, and google/cel-go v0.26.0, ext/lists_test.go and
 * ext/sets_test.go.
 */
describe("lists", () => {
  test.each<readonly [string, readonly Value[], unknown]>([
    ["isSorted", [[1, 2, 3]], true],
    ["isSorted", [["a", "b", "b", "c"]], true],
    ["isSorted", [[toElement(2), toElement(1)]], false],
    ["isSorted", [[1, null]], "error: no such overload"],
    ["sum", [[1, 3]], 4n],
    ["sum", [[toElement(1), toElement(3)]], 4],
    ["sum", [[]], 0n],
    ["sum", [[new Duration(60n), new Duration(1n)]], new Duration(61n)],
    ["sum", [[9223372036854775807n, 1]], "error: integer overflow"],
    ["min", [[3, 1, 2]], 1n],
    ["max", [["b", "a"]], "b"],
    ["min", [[]], "error: min called on empty list"],
    ["max", [[]], "error: max called on empty list"],
    ["indexOf", [[1, 2, 2, 3], 2n], 1n],
    ["lastIndexOf", [["a", "b", "b", "c"], "b"], 2n],
    ["indexOf", [[], "string"], -1n],
    ["slice", [[1, 2, 3, 4], 1n, 3n], [2n, 3n]],
    ["slice", [[1, 2, 3, 4], 0n, 10n], "error: cannot slice(0, 10), list is length 4"],
    ["slice", [[1, 2, 3, 4], -5n, 10n], "error: cannot slice(-5, 10), negative indexes not supported"],
    ["slice", [[1, 2, 3, 4], 3n, 0n], "error: cannot slice(3, 0), start index must be less than or equal to end index"],
    ["flatten", [[[], [[]], [[[]]]]], [[], [[]]]],
    ["flatten", [[1, [2, [3, [4]]]], 2n], [1n, 2n, 3n, [4n]]],
    ["flatten", [[1, [2, [3, 4]]], -1n], "error: level must be non-negative"],
    ["sort", [[4, 3, 2, 1]], [1n, 2n, 3n, 4n]],
    ["sort", [["d", "a", "b", "c"]], ["a", "b", "c", "d"]],
    ["sort", [["d", 3, 2, "c"]], "error: list elements must have the same type"],
    [
      "@sortByAssociatedKeys",
      [
        ["foo", "bar", "baz"],
        [3, 1, 2],
      ],
      ["bar", "baz", "foo"],
    ],
    [
      "@sortByAssociatedKeys",
      [["foo"], [1, 2]],
      "error: @sortByAssociatedKeys() expected a list of the same size as the associated keys list, but got 1 and 2 elements respectively",
    ],
    ["lists.range", [4n], [0n, 1n, 2n, 3n]],
    ["lists.range", [0n], []],
    ["first", [[1, 2]], 1n],
    ["last", [[1, 2]], 2n],
    ["last", [[]], "none"],
    ["reverse", [[5, 1, 2, 3]], [3n, 2n, 1n, 5n]],
    ["distinct", [["c", "a", "a", "b", "a", "b", "c", "c"]], ["c", "a", "b"]],
    ["distinct", [[1, toElement(1), new Uint(1n), "1"]], [1n, "1"]],
    [
      "sets.contains",
      [
        [1, 2, 3, 4],
        [2, 3],
      ],
      true,
    ],
    ["sets.contains", [[1], [1, 2]], false],
    ["sets.contains", [[[1], [2, 3]], [[2, toElement(3)]]], true],
    [
      "sets.equivalent",
      [
        [1, 2, 3],
        [new Uint(3n), toElement(2), 1],
      ],
      true,
    ],
    [
      "sets.equivalent",
      [
        [1, 2],
        [1, 2, toElement(2.3)],
      ],
      false,
    ],
    ["sets.intersects", [[1], []], false],
    [
      "sets.intersects",
      [
        [[1], [2, 3]],
        [
          [1, 2],
          [2, toElement(3)],
        ],
      ],
      true,
    ],
  ])("%s %#", (name, args, expected) => {
    expect(shown(call(name, ...args))).toEqual(expected);
  });

  test("sort gives the same elements, sorted", () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1, maxLength: 30 }), (list) => {
        const sorted = call("sort", list);
        expect(call("isSorted", sorted)).toBe(true);
        expect(call("sum", sorted)).toBe(call("sum", list));
        expect(shown(call("reverse", call("reverse", list)))).toEqual(shown(list));
      }),
    );
  });
});

/** Numbers of k8s.io/apiserver v0.36.3, pkg/cel/library/cost_test.go and cost.go. */
test.each<readonly [string, readonly Value[], number]>([
  ["lowerAscii", ["ABCDEFGHIJ abcdefghij"], 3],
  ["replace", ["abc 123 def 123", "123", "456"], 3],
  // What makes a text longer is counted by us alone: 300 more characters, and 10 in an empty text.
  ["replace", ["abc 123 def 123", "1", "1".repeat(151)], 33],
  ["replace", ["abc 123 def 123", "1", "1".repeat(151), 1n], 18],
  ["replace", ["", "", "0123456789"], 1],
  ["split", ["abc 123 def 123", " "], 3],
  ["join", [["aa", "bb", "cc", "d", "e", "f", "g", "h", "i", "j"], " "], 5],
  ["find", ["abc 123", "[0-9]*"], 2],
  ["ip", ["192.168.0.1"], 2],
  ["ip.isCanonical", ["192.168.0.1"], 3],
  ["containsIP", [call("cidr", "192.168.0.0/24"), "192.168.0.1"], 3],
  ["containsCIDR", [call("cidr", "192.168.0.0/24"), "192.168.0.0/24"], 5],
  ["quantity", ["12Mi"], 1],
  ["add", [call("quantity", "5Mi"), 1n], 1],
  ["semver", ["1.2.3"], 1],
  ["validate", [call("format.dns1123Subdomain"), "my-name"], 15],
  ["format.dns1123Subdomain", [], 1],
  ["isSorted", [[1, 2, 3, 4, 5]], 5],
  ["isSorted", [["ab", "cd"]], 0],
  // Half of a pair is U+FFFD to the API server, three bytes.
  ["isSorted", [["\ud800".repeat(10), "cd"]], 3],
  ["indexOf", ["abcdefghij abcdefghij", "x"], 2],
  [
    "sets.contains",
    [
      [1, 2, 3, 4],
      [2, 3],
    ],
    9,
  ],
  ["sets.equivalent", [[1], [1, 1]], 5],
  ["distinct", [["a", "a", "b"]], 29],
  ["slice", [[1, 2, 3, 4], 1n, 3n], 13],
  ["charAt", ["tacocat", 3n], 1],
])("%s costs what Kubernetes counts, row %#", (name, args, units) => {
  expect(costOf(name, ...args)).toBe(units);
});

test.each<readonly [string, readonly Value[], number]>([
  ["findAll", ["x".repeat(100), "x"], 111],
  ["url", ["https://example.com/"], 40],
  ["isURL", ["https://example.com/"], 40],
  ["getHost", [call("url", "https://example.com:80/")], 44],
  ["getEscapedPath", [call("url", `https://example.com/${"x".repeat(1000)}`)], 1041],
  ["getQuery", [call("url", `https://example.com/?${"x".repeat(1000)}`)], 1042],
  ["masked", [call("cidr", "2001:db8::/32")], 4],
  ["masked", [call("cidr", "10.0.0.0/8")], 1],
  ["string", [call("cidr", "2001:db8::/32")], 4],
  ["string", [call("ip", "::1")], 4],
  ["ip.isCanonical", ["2001:db8::1"], 7],
  ["isLessThan", [call("semver", `1.2.3-${"x.".repeat(497)}x`), call("semver", "1.2.3")], 102],
  ["flatten", [[Array.from({ length: 1000 }, () => 1), [1]]], 114],
])("%s costs more than Kubernetes counts, as that is no measure of the work, row %#", (name, args, units) => {
  expect(costOf(name, ...args)).toBe(units);
});
