import { utf8Length } from "../text.ts";
import { Budget, type Outcome, type Program } from "./cel/cel.ts";
import { AUDIT_ANNOTATION_LENGTH_MAX, RULE_MESSAGE_BYTES_MAX, type RuleLimits } from "./limits.ts";
import { matchOf } from "./match.ts";
import { fieldRead, valuesRead } from "./reads.ts";
import type { CompiledRule, CompiledValidation } from "./rule.ts";
import type { Activation } from "./activation.ts";

/** One validation that is not true. */
export interface Violation {
  readonly validation: CompiledValidation;
  /** As the author words it; one line. */
  readonly message: string;
  /** The field of the object that it is about; empty where it is no single one. */
  readonly path: string;
  /** `effective.timeout.request = 45s`: what the expression has read. */
  readonly values: readonly string[];
  /** HTTP reason of the refusal. */
  readonly reason: string;
  /** Empty where the author says nothing. */
  readonly fix: string;
}

/** What one rule says of one write. */
export interface RuleRun {
  readonly rule: CompiledRule;
  /** Why the rule does not apply; undefined where it does, or where that cannot be told. */
  readonly unmatched?: string;
  readonly violations: readonly Violation[];
  /** What could not be evaluated, which is for the failure policy; each names the expression. */
  readonly errors: readonly string[];
  /** Audit annotations, by key. */
  readonly annotations: readonly (readonly [key: string, value: string])[];
  /** In the units of cel-go. */
  readonly cost: number;
}

const NOTHING: readonly never[] = Object.freeze([]);

/** Runs a rule that names the resource of the request. `spent`: what the rules before it have cost. */
export function runRule(rule: CompiledRule, activation: Activation, { limits, spent }: RuleBudget): RuleRun {
  const match = matchOf(rule.match, activation);
  if (match.matches === false) return unmatched(rule, match.because, 0);
  if (match.matches === undefined) return failed(rule, [match.problem], 0);
  const budget = new Budget(Math.min(limits.rule, Math.max(0, limits.request - spent)), limits.expression);
  const problem = activation.bind(rule, budget);
  if (problem !== undefined) return failed(rule, [problem], 0);
  if (rule.matchConditions.length > 0) {
    const conditions = conditionsOf(rule, activation, budget);
    if (conditions.unmatched !== undefined) return unmatched(rule, conditions.unmatched, budget.used);
    if (conditions.errors.length > 0) return failed(rule, conditions.errors, budget.used);
  }
  return judge(rule, activation, budget);
}

export interface RuleBudget {
  readonly limits: RuleLimits;
  /** Units that the rules before have taken of the request's. */
  readonly spent: number;
}

function unmatched(rule: CompiledRule, because: string, cost: number): RuleRun {
  return { rule, unmatched: because, violations: NOTHING, errors: NOTHING, annotations: NOTHING, cost };
}

function failed(rule: CompiledRule, errors: readonly string[], cost: number): RuleRun {
  return { rule, violations: NOTHING, errors, annotations: NOTHING, cost };
}

/** As the API server: one condition that is false decides, whatever the others cannot say. */
function conditionsOf(
  { matchConditions }: CompiledRule,
  { inputs }: Activation,
  budget: Budget,
): { readonly unmatched?: string; readonly errors: readonly string[] } {
  const errors: string[] = [];
  for (const { name, program } of matchConditions) {
    const { value, error } = program.run(inputs, budget);
    if (error !== undefined) errors.push(`matchCondition ${name} resulted in error: ${error.message}`);
    else if (value !== true) return { unmatched: `matchCondition ${name} is false`, errors };
  }
  return { errors };
}

function judge(rule: CompiledRule, activation: Activation, budget: Budget): RuleRun {
  const violations: Violation[] = [];
  const errors: string[] = [];
  for (const validation of rule.validations) {
    const { value, error } = validation.program.run(activation.inputs, budget);
    if (error !== undefined) errors.push(errorText(validation.program, error.message));
    else if (value !== true) violations.push(violation(validation, activation, budget));
    // With the budget spent, all that is left would say the same.
    if (error?.fatal) return { rule, violations, errors, annotations: NOTHING, cost: budget.used };
  }
  const annotations =
    rule.auditAnnotations.length === 0 ? NOTHING : annotationsOf(rule, activation, { budget, errors });
  return { rule, violations, errors, annotations, cost: budget.used };
}

/** As the API server words it. */
function errorText({ text }: Program, message: string): string {
  return `expression '${text.trim()}' resulted in error: ${message}`;
}

function violation(validation: CompiledValidation, { inputs, subject }: Activation, budget: Budget): Violation {
  const { program, reason, fix } = validation;
  // Before the message, whose variables might cost what is left.
  const message = messageOf(validation, validation.messageExpression?.run(inputs, budget));
  // Who may write a Secret may not be allowed to read it.
  const isSecret = subject.request.kind.kind === "Secret";
  const values = isSecret ? NOTHING : valuesRead(program, inputs);
  return { validation, message, path: fieldRead(program), values, reason, fix };
}

/** As the API server: what a messageExpression cannot say in one line that is not blank, the message says. */
function messageOf({ program, message }: CompiledValidation, dynamic: Outcome | undefined): string {
  const value = dynamic?.value;
  const text = typeof value === "string" ? value.trim() : "";
  if (text !== "" && !text.includes("\n") && utf8Length(text) <= RULE_MESSAGE_BYTES_MAX) return text;
  return message.trim() || `failed expression: ${program.text.trim()}`;
}

interface Judging {
  readonly budget: Budget;
  /** Grows. */
  readonly errors: string[];
}

function annotationsOf(
  { auditAnnotations }: CompiledRule,
  { inputs }: Activation,
  { budget, errors }: Judging,
): readonly (readonly [string, string])[] {
  return auditAnnotations.flatMap(({ name, program }) => {
    const { value, error } = program.run(inputs, budget);
    if (error !== undefined) {
      errors.push(`auditAnnotation ${name}: ${errorText(program, error.message)}`);
      return [];
    }
    if (value !== null && typeof value !== "string") {
      errors.push(`auditAnnotation ${name}: found a value that is neither text nor null`);
      return [];
    }
    const text = value?.trim() ?? "";
    return text === "" ? [] : [[name, text.slice(0, AUDIT_ANNOTATION_LENGTH_MAX)] as const];
  });
}
