import type { RuleResult } from "../admission/review.ts";
import { type Finding, finding } from "../finding.ts";
import type { FindingCode } from "../findings.ts";
import type { KubernetesObject } from "../kubernetes.ts";
import { toText } from "./cel/conversions.ts";
import { Timestamp } from "./cel/values.ts";
import { exceptionFor } from "./exceptions.ts";
import { EXCEPTION_WARNING_MS, KUBERNETES_LIMITS } from "./limits.ts";
import { readsSame } from "./reads.ts";
import type { CompiledException, CompiledRule } from "./rule.ts";
import { type RuleBudget, type RuleRun, runRule, type Violation } from "./run.ts";
import { type Activation, activationFor, type Subject } from "./activation.ts";

/** What one rule makes of one write. */
export interface Judged {
  readonly rule: CompiledRule;
  readonly result: RuleResult;
  /** As in `enforce` mode. */
  readonly findings: readonly Finding[];
  /** Of the violations and errors that stand. */
  readonly messages: readonly string[];
  /** HTTP reason of the first violation that denies; empty where none does. */
  readonly reason: string;
  readonly annotations: RuleRun["annotations"];
}

/** The judgement of every rule that applies, in the order of the rules. */
export function judgeAll(rules: readonly CompiledRule[], subject: Subject): readonly Judged[] {
  if (rules.length === 0) return [];
  const limits = subject.world.defaults.ruleLimits ?? KUBERNETES_LIMITS;
  const activation = activationFor(subject);
  const results: Judged[] = [];
  let spent = 0;
  for (const rule of rules) {
    const judged = judgeRule(rule, activation, { limits, spent });
    spent += judged.result.cost;
    if (judged.result.outcome !== "unmatched") results.push(judged);
  }
  return results;
}

function judgeRule(rule: CompiledRule, activation: Activation, budget: RuleBudget): Judged {
  const run = runRule(rule, activation, budget);
  if (run.violations.length === 0 && run.errors.length === 0) return untouched(run);
  const { subject } = activation;
  const exception = exceptionFor(rule, subject);
  if (exception !== undefined) return excepted(run, exception, subject.request.nowMs);
  const spent = budget.spent + run.cost;
  const before = runBefore(run, subject, { ...budget, spent });
  if (before === undefined) return standing(run, { isTolerated: () => false });
  return standing({ ...run, cost: run.cost + before.run.cost }, { isTolerated: wasThere(activation, before) });
}

/** A rule on a subject, with what it has read. */
export interface Earlier {
  readonly run: RuleRun;
  readonly activation: Activation;
}

/**
 * Whether a violation is one of those that were there before: what the same expression reads is what it read then. A
 * message proves nothing, as most are the same whatever the value.
 */
export function wasThere({ inputs }: Activation, { run, activation }: Earlier): (violation: Violation) => boolean {
  return ({ validation }) =>
    run.violations.some((old) => old.validation === validation) &&
    readsSame(validation.program, inputs, activation.inputs);
}

/** Nearly every run of a rule ends here. */
function untouched({ rule, unmatched, cost, annotations }: RuleRun): Judged {
  const outcome = unmatched === undefined ? "passed" : "unmatched";
  return { rule, result: { rule: rule.name, cost, outcome }, annotations, findings: NONE, messages: NONE, reason: "" };
}

const NONE: readonly never[] = Object.freeze([]);

function judgedOf(
  { rule, annotations, cost }: RuleRun,
  result: Pick<RuleResult, "outcome" | "exception">,
  found: Pick<Judged, "findings" | "messages" | "reason">,
): Judged {
  return { rule, result: { rule: rule.name, cost, ...result }, annotations, ...found };
}

function excepted(run: RuleRun, exception: CompiledException, nowMs: number): Judged {
  const leftMs = exception.expiresAtMs - nowMs;
  const findings = leftMs > EXCEPTION_WARNING_MS ? NONE : [endsSoon(run.rule, exception)];
  return judgedOf(run, { outcome: "excepted", exception: exception.name }, { findings, messages: NONE, reason: "" });
}

const NANOS_PER_MS = 1_000_000n;

function endsSoon({ name }: CompiledRule, exception: CompiledException): Finding {
  const end = toText(new Timestamp(BigInt(exception.expiresAtMs) * NANOS_PER_MS));
  return finding("FL726", "", {
    message: `rule ${name}: only RuleException ${exception.name} lets this pass, which ends at ${end}`,
    fix: `meet the rule before then, or ask ${exception.owner} to renew it`,
  });
}

/** What the rule says of the object as it was, in the world of today; undefined where that changes nothing. */
function runBefore({ rule, violations }: RuleRun, subject: Subject, budget: RuleBudget): Earlier | undefined {
  const { oldObject } = subject;
  const isAsked = rule.existingViolations === "Allow" && rule.actions.has("Deny") && violations.length > 0;
  if (oldObject === undefined || !isAsked) return undefined;
  const activation = activationFor(asItWas(subject, oldObject));
  return { run: runRule(rule, activation, budget), activation };
}

function asItWas(subject: Subject, oldObject: KubernetesObject): Subject {
  return { ...subject, object: oldObject, request: { ...subject.request, object: oldObject } };
}

interface Standing {
  readonly isTolerated: (violation: Violation) => boolean;
  /** Said before each message, where it is about another object than the written one. */
  readonly about?: { readonly path: string; readonly prefix: string };
}

/** The findings of what neither an exception nor tolerance takes away. */
export function standing(run: RuleRun, { isTolerated, about }: Standing): Judged {
  const { rule, violations, errors } = run;
  const denies = rule.actions.has("Deny");
  const found = violations.map((violation) => ({ violation, tolerated: isTolerated(violation) }));
  const prefix = about?.prefix ?? "";
  const violated = denies ? (about === undefined ? "FL720" : "FL727") : rule.actions.has("Warn") ? "FL721" : "FL722";
  const findings = [
    ...found.map(({ violation, tolerated }) => {
      const code: FindingCode = tolerated ? "FL725" : violated;
      const message = `${prefix}${violationText(rule, violation)}${tolerated ? "; it was so before this write" : ""}`;
      return finding(code, about?.path ?? violation.path, { message, fix: violationFix(rule, violation) });
    }),
    ...errors.map((error) =>
      finding(denies && rule.failurePolicy === "Fail" ? "FL723" : "FL724", about?.path ?? "", {
        message: `${prefix}rule ${rule.name} cannot be evaluated: ${error}`,
        fix: `correct the rule: kubectl edit admissionrule ${rule.name}`,
      }),
    ),
  ];
  const standingViolations = found.filter(({ tolerated }) => !tolerated).map(({ violation }) => violation);
  return judgedOf(
    run,
    { outcome: outcomeOf(run, standingViolations) },
    {
      findings,
      messages: [...standingViolations.map(({ message }) => message), ...errors],
      reason: denies ? (standingViolations[0]?.reason ?? "") : "",
    },
  );
}

function outcomeOf({ errors }: RuleRun, violations: readonly Violation[]): RuleResult["outcome"] {
  if (errors.length > 0) return "error";
  return violations.length > 0 ? "violated" : "tolerated";
}

/** `rule timeout-bounded: at most 30s; found effective.timeout.request = 45s`. */
function violationText({ name }: CompiledRule, { message, values }: Violation): string {
  const found = values.length === 0 ? "" : `; found ${values.join(", ")}`;
  return `rule ${name}: ${message}${found}`;
}

/** What to do: the author's words, else where to read on. */
function violationFix({ name, exceptionsAllowed }: CompiledRule, { fix }: Violation): string {
  if (fix !== "") return fix;
  const exception = exceptionsAllowed ? ", or ask for a RuleException" : "";
  return `see kubectl get admissionrule ${name} -o yaml for what is wanted${exception}`;
}
