import { isDeepStrictEqual } from "node:util";
import type { Finding } from "../core/finding.ts";
import type { Review } from "./review.ts";
import type { ExpectedFinding, Expectation } from "./suite.ts";

/** One thing that is not as expected; both sides as JSON. */
export interface Miss {
  /** The field of `expect`. */
  readonly field: keyof Expectation;
  readonly expected: unknown;
  readonly found: unknown;
}

/** What a review gave and was not expected, or the reverse. Fields that are not expected are not compared. */
export function missesOf(expect: Expectation, { result, message, stored }: Review): readonly Miss[] {
  const { allowed, warnings, findings, patch } = expect;
  const misses: readonly (Miss | false)[] = [
    allowed !== result.allowed && { field: "allowed", expected: allowed, found: result.allowed },
    // A verdict that is wrong shows its text, whether one was expected or not.
    (allowed && message !== "") || (expect.message !== undefined && !message.includes(expect.message.trim()))
      ? { field: "message", expected: expect.message ?? "", found: message }
      : false,
    warnings !== undefined &&
      !areMatched(warnings, result.warnings, (part, warning) => warning.includes(part)) && {
        field: "warnings",
        expected: warnings,
        found: result.warnings,
      },
    findings !== undefined &&
      !areMatched(findings, result.findings, isFinding) && {
        field: "findings",
        expected: findings,
        found: result.findings,
      },
    patch !== undefined &&
      !isDeepStrictEqual(patch, result.patch) && { field: "patch", expected: patch, found: result.patch },
    expect.stored !== undefined &&
      !contains(stored, expect.stored) && {
        field: "stored",
        expected: expect.stored,
        found: partOf(stored, expect.stored),
      },
  ];
  return misses.filter((miss) => miss !== false);
}

/** Whether each expected item fits one that was found, in any order, and none is left over. */
function areMatched<E, F>(expected: readonly E[], found: readonly F[], fits: (item: E, other: F) => boolean): boolean {
  if (expected.length !== found.length) return false;
  const left = [...found];
  return expected.every((item) => {
    const index = left.findIndex((other) => fits(item, other));
    if (index >= 0) left.splice(index, 1);
    return index >= 0;
  });
}

/** Texts may be parts of what is found; code, severity and path are whole. */
function isFinding(expected: ExpectedFinding, found: Finding): boolean {
  return (
    (expected.code ?? found.code) === found.code &&
    (expected.severity ?? found.severity) === found.severity &&
    (expected.path ?? found.path) === found.path &&
    found.message.includes(expected.message ?? "") &&
    found.fix.includes(expected.fix ?? "")
  );
}

/** Whether everything that is expected is there; what else there is does not matter. A list is compared as a whole. */
function contains(found: unknown, expected: unknown): boolean {
  if (!isRecord(expected)) return isDeepStrictEqual(found, expected);
  return isRecord(found) && Object.entries(expected).every(([key, value]) => contains(found[key], value));
}

/** What stands at the places that are expected, so that both sides can be compared line by line. */
function partOf(found: unknown, expected: unknown): unknown {
  if (!isRecord(expected) || !isRecord(found)) return found;
  return Object.fromEntries(Object.keys(expected).map((key) => [key, partOf(found[key], expected[key])]));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
