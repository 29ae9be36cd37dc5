import { comparePaths } from "../api/problem.ts";
import { FINDINGS, type FindingCode } from "./findings.ts";

export type Severity = "deny" | "warn";

/** One complaint, the same on every door: webhook, CLI, later status and REST. */
export interface Finding {
  /** Stable code, a key of FINDINGS, explained in docs/errors.md. */
  readonly code: FindingCode;
  readonly severity: Severity;
  /** `spec.retry.timeout` or `metadata.annotations["retry.linkerd.io/http"]`; `""` for the object as a whole. */
  readonly path: string;
  /** What was found and what is wanted, one line. */
  readonly message: string;
  /** What to do about it, one line. */
  readonly fix: string;
  /** The line of an expression with a caret under the place, for where several lines can be shown. */
  readonly excerpt?: string;
}

/** A finding with the severity that its code has in FINDINGS. */
export function finding(
  code: FindingCode,
  path: string,
  text: { readonly message: string; readonly fix: string },
): Finding {
  return { code, severity: FINDINGS[code].severity, path, message: text.message, fix: text.fix };
}

/** The path of an annotation, as findings show it. */
export function annotationPath(key: string): string {
  return `metadata.annotations["${key}"]`;
}

/** The key, where a path is that of an annotation. */
export function annotationKey(path: string): string | undefined {
  const [start, end] = [annotationPath("").slice(0, -2), '"]'];
  return path.startsWith(start) && path.endsWith(end) ? path.slice(start.length, -end.length) : undefined;
}

/** Sorted by path, code, message; equal ones once. */
export function sortFindings(findings: readonly Finding[]): readonly Finding[] {
  if (findings.length < 2) return findings;
  const sorted = [...findings].sort(compareFindings);
  return sorted.filter((item, index) => index === 0 || compareFindings(item, sorted[index - 1] as Finding) !== 0);
}

export function compareFindings(a: Finding, b: Finding): number {
  return comparePaths(a.path, b.path) || compareStrings(a.code, b.code) || compareStrings(a.message, b.message);
}

/** Ordering by code units: the same on every machine and locale. */
export function compareStrings(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
