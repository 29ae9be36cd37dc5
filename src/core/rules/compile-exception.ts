import { parseRuleException } from "../../api/v1alpha1/rule-exception.ts";
import { type Finding, finding } from "../finding.ts";
import { quote } from "../text.ts";
import { parseTimestamp } from "./cel/timestamps.ts";
import { lowerSelector } from "./compile-match.ts";
import type { CompiledException } from "./rule.ts";

const NANOS_PER_MS = 1_000_000n;

export interface ExceptionCompilation {
  /** Undefined when a finding denies it: such an exception is never applied. */
  readonly exception: CompiledException | undefined;
  readonly findings: readonly Finding[];
}

/** The one parser of exceptions, for every door. Whether one is still in force depends on the time of each request. */
export function compileException(object: unknown): ExceptionCompilation {
  const parsed = parseRuleException(object);
  if (!parsed.ok) {
    const findings = parsed.problems.map((problem) => finding("FL701", problem.path, problem));
    return { exception: undefined, findings };
  }
  const { metadata, spec } = parsed.value;
  const { rules, objectNames = [], objectSelector, owner, reason, expiresAt } = spec;
  const end = parseTimestamp(expiresAt);
  if (end === undefined) {
    const message = `Found ${quote(expiresAt)}, wanted a time that exists`;
    const fix = "check the day of the month, the hours and the minutes";
    return { exception: undefined, findings: [finding("FL701", "spec.expiresAt", { message, fix })] };
  }
  const exception = {
    namespace: metadata.namespace ?? "default",
    name: metadata.name ?? metadata.generateName ?? "",
    rules,
    objectNames,
    selector: objectSelector && lowerSelector(objectSelector),
    owner,
    reason,
    expiresAtMs: Number(end.nanos / NANOS_PER_MS),
  };
  return { exception, findings: [] };
}
