import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { denialText, warningTexts } from "../../src/core/admission/text.ts";
import { annotationPath, type Finding } from "../../src/core/finding.ts";
import { list, quote, showMs, utf8Length, withArticle } from "../../src/core/text.ts";

function item(changes: Partial<Finding> = {}): Finding {
  return { code: "FL502", severity: "warn", path: "spec.timeout", message: "Kept it", fix: "remove it", ...changes };
}

const LONG_KEY = "balancer.alpha.linkerd.io/failure-accrual-success-rate-min-requests";

describe("warningTexts()", () => {
  test("code, place, message, fix", () => {
    expect(warningTexts([item()], "enforce")).toEqual(["FL502 spec.timeout: Kept it; remove it"]);
  });

  test("an annotation is named by its key", () => {
    expect(warningTexts([item({ path: annotationPath("a/b") })], "enforce")).toEqual(["FL502 a/b: Kept it; remove it"]);
  });

  test("the object as a whole has no place", () => {
    expect(warningTexts([item({ path: "" })], "enforce")).toEqual(["FL502 Kept it; remove it"]);
  });

  test("denials are no warnings in enforce mode, and say in warn mode what they would do", () => {
    const denial = item({ code: "FL401", severity: "deny" });
    expect(warningTexts([denial], "enforce")).toEqual([]);
    expect(warningTexts([denial], undefined)).toEqual([]);
    expect(warningTexts([denial], "warn")).toEqual(["FL401 would be refused: spec.timeout: Kept it; remove it"]);
  });

  test.each(["\n", "\r\n", "\t", "\u0000", "\u0085", "\u001b[31m"])("%j does not break the line", (mark) => {
    const [warning = ""] = warningTexts(
      [item({ message: `a${mark}b`, fix: `c${mark}d`, path: annotationPath(`k${mark}`) })],
      "enforce",
    );
    expect(warning).not.toMatch(/\p{Cc}/u);
    expect(warning).toContain("a b".slice(0, 1));
  });

  test.each([15, 16, 100])("of %i findings at most 15 are shown, then how many more", (count) => {
    const warnings = warningTexts(
      Array.from({ length: count }, (_, index) => item({ message: `m${index}` })),
      "enforce",
    );
    expect(warnings).toHaveLength(Math.min(count, 16));
    if (count > 15) expect(warnings.at(-1)).toBe(`${count - 15} more: fairlead review`);
  });

  test("a long message loses its last clause before its fix is cut", () => {
    const message = `Found "x", wanted ${"y".repeat(80)}; Linkerd would drop ${"z".repeat(80)}`;
    expect(warningTexts([item({ message })], "enforce")).toEqual([
      `FL502 spec.timeout: Found "x", wanted ${"y".repeat(80)}; remove it`,
    ]);
  });

  test("a long message without clauses is cut, the fix stays", () => {
    const [warning = ""] = warningTexts([item({ message: "m".repeat(300) })], "enforce");
    expect(warning).toHaveLength(200);
    expect(warning).toMatch(/m…; remove it$/);
  });

  test("the longest key leaves room for what to remove", () => {
    const found = item({
      path: annotationPath(LONG_KEY),
      message: 'Found "5"; ResiliencePolicy user-service overrides and removed it',
      fix: `remove ${LONG_KEY} from your manifest`,
    });
    const [warning = ""] = warningTexts([found], "enforce");
    expect(warning.length).toBeLessThanOrEqual(200);
    expect(warning).toContain(`remove ${LONG_KEY} from your manifest`);
  });

  test.each([0, 1, 2, 3])("a cut never halves a character (%i)", (shift) => {
    const [warning = ""] = warningTexts(
      [item({ path: "", message: `${"m".repeat(shift)}${"😀".repeat(120)}`, fix: "f" })],
      "enforce",
    );
    expect(warning.isWellFormed()).toBe(true);
    expect(warning.length).toBeLessThanOrEqual(200);
  });

  test("an endless fix is cut too", () => {
    expect(warningTexts([item({ fix: "f".repeat(500) })], "enforce")[0]).toHaveLength(200);
  });
});

describe("denialText()", () => {
  test("lists what denies, each with its fix", () => {
    const findings = [
      item({ severity: "deny", code: "FL401", path: annotationPath("a/b"), message: "Found x" }),
      item(),
      item({ severity: "deny", code: "FL202", message: "Too\nlong" }),
    ];
    expect(denialText("Service iam/a", findings)).toBe(
      [
        "Service iam/a cannot be accepted, 2 problems:",
        "- a/b: Found x (FL401)",
        "  fix: remove it",
        "- spec.timeout: Too long (FL202)",
        "  fix: remove it",
      ].join("\n"),
    );
  });
});

test.each([
  ["a", '"a"'],
  ['"', '"\\""'],
  ["\n\u0000", '"\\n\\u0000"'],
  ["x".repeat(61), `"${"x".repeat(60)}…"`],
  [`${"x".repeat(59)}😀`, `"${"x".repeat(59)}\\ud83d…"`],
])("quote(%j) is %s", (text, quoted) => {
  expect(quote(text)).toBe(quoted);
});

test.each([
  [0, "0ms"],
  [1, "1ms"],
  [1000, "1s"],
  [90_000, "90s"],
  [120_000, "2m"],
  [3_600_000, "1h"],
  [3_600_001, "3600001ms"],
])("showMs(%i) is %s", (ms, text) => {
  expect(showMs(ms)).toBe(text);
});

test("utf8Length() counts what is sent, and half of a surrogate pair as what a decoder makes of it", () => {
  const units = fc.constantFrom("a", "ÿ", "€", "\ufffd", "\ud83d", "\ude00");
  fc.assert(
    fc.property(fc.string({ unit: units }), (text) => {
      expect(utf8Length(text)).toBe(Buffer.byteLength(text));
    }),
  );
});

test("list() and withArticle()", () => {
  expect([list([]), list(["a"]), list(["a", "b"]), list(["a", "b", "c"])]).toEqual(["", "a", "a and b", "a, b and c"]);
  expect([withArticle("HTTPRoute"), withArticle("GRPCRoute")]).toEqual(["an HTTPRoute", "a GRPCRoute"]);
});
