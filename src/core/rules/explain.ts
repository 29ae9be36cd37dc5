import { modeOf } from "../admission/mode.ts";
import type { RuleResult } from "../admission/review.ts";
import type { Finding } from "../finding.ts";
import { type Activation, activationFor, type Subject } from "./activation.ts";
import { Budget, type Program } from "./cel/cel.ts";
import { typeOf } from "./cel/standard-types.ts";
import { typeText } from "./cel/type-text.ts";
import { toJson } from "./eval.ts";
import { judgeAll } from "./judge.ts";
import { KUBERNETES_LIMITS, type RuleLimits } from "./limits.ts";
import type { CompiledRule } from "./rule.ts";
import { runRule } from "./run.ts";

/** One expression of a rule and what it gives, looked at alone; what does not apply is null. */
export interface ExplainedExpression {
  /** Of a condition or variable; null for a validation. */
  readonly name: string | null;
  readonly expression: string;
  /** As cel-go names it. */
  readonly type: string | null;
  /** As JSON, like that of `eval`. */
  readonly value: unknown;
  readonly error: string | null;
  /** In units of cel-go; what other variables cost is theirs. */
  readonly cost: number;
}

/** Why a rule says what it says about one write. */
export interface Explanation {
  readonly rule: string;
  /** `unmatched`: the rule does not apply, and `because` tells which part of it says so. */
  readonly outcome: RuleResult["outcome"];
  readonly because: string | null;
  /** The exception that lets the write pass. */
  readonly exception: string | null;
  /** Of the rule as a whole, with its messages; in units of cel-go. */
  readonly cost: number;
  readonly conditions: readonly ExplainedExpression[];
  readonly variables: readonly ExplainedExpression[];
  readonly validations: readonly ExplainedExpression[];
  /** As in `enforce` mode. */
  readonly findings: readonly Finding[];
}

/**
 * Judges a write by one rule, as `decide` does, and then evaluates each part of the rule alone, also those that the judgement
 * does not need. Where the rule does not apply to the kind of object there is nothing to evaluate.
 */
export function explainRule(rule: CompiledRule, subject: Subject): Explanation {
  const because = whyUnmatched(rule, subject);
  const [judged] = because === null ? judgeAll([rule], subject) : [];
  const { outcome, exception = null, cost } = judged?.result ?? { outcome: "unmatched" as const, cost: 0 };
  return {
    rule: rule.name,
    outcome,
    because,
    exception,
    cost,
    ...expressionsOf(rule, subject, because === null || because.startsWith(CONDITION)),
    findings: judged?.findings ?? [],
  };
}

/** How `runRule` begins its reason where the rule is about such objects, and a condition says no. */
const CONDITION = "matchCondition ";

function whyUnmatched(rule: CompiledRule, subject: Subject): string | null {
  const { request, world } = subject;
  if (modeOf(request.namespace, world).mode === undefined) return `namespace ${request.namespace} is not opted in`;
  return runRule(rule, activationFor(subject), { limits: limitsOf(subject), spent: 0 }).unmatched ?? null;
}

type Expressions = Pick<Explanation, "conditions" | "variables" | "validations">;

function expressionsOf(rule: CompiledRule, subject: Subject, isAbout: boolean): Expressions {
  if (!isAbout) return { conditions: [], variables: [], validations: [] };
  const activation = activationFor(subject);
  const limits = limitsOf(subject);
  activation.bind(rule, new Budget(limits.rule, limits.expression));
  const explained = (name: string | null, program: Program): ExplainedExpression =>
    explainExpression(name, program, { activation, limits });
  return {
    conditions: rule.matchConditions.map(({ name, program }) => explained(name, program)),
    variables: rule.variables.map(({ name, program }) => explained(name, program)),
    validations: rule.validations.map(({ program }) => explained(null, program)),
  };
}

function limitsOf({ world }: Subject): RuleLimits {
  return world.defaults.ruleLimits ?? KUBERNETES_LIMITS;
}

function explainExpression(
  name: string | null,
  program: Program,
  { activation, limits }: { readonly activation: Activation; readonly limits: RuleLimits },
): ExplainedExpression {
  const { value, error, cost } = program.run(activation.inputs, new Budget(limits.expression));
  const expression = program.text.trim();
  if (error !== undefined) return { name, expression, type: null, value: null, error: error.message, cost };
  return { name, expression, type: typeText(typeOf(value)), value: toJson(value), error: null, cost };
}
