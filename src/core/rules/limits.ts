/** What expressions may cost, in the units of `Budget` (cel/budget.ts). */

/** One expression in Kubernetes (apiserver/pkg/apis/cel/config.go, PerCallLimit). */
export const EXPRESSION_COST_MAX = 1_000_000;
/** All expressions of one rule in Kubernetes (RuntimeCELCostBudget, same file). */
export const RULE_COST_MAX = 10_000_000;

/**
 * All expressions of one rule while a request waits: 50 ms at most. Of the hostile expressions that `npm run bench` tries,
 * on a core of a cloud machine with Node 24, the slowest got through 2,300 units a millisecond (numbers in 20 digits,
 * IPv6 ranges as text), most through 4,000 and more; beside other load they took up to twice as long. Typical ones get
 * through 10,000 to 100,000, and a typical rule costs 10 to 500.
 */
export const SERVE_RULE_COST_MAX = 80_000;
/** All rules of one request. */
export const SERVE_REQUEST_COST_MAX = 150_000;

/** Furthest end of an exception when it is written: 90 days. */
export const EXCEPTION_MAX_MS = 90 * 24 * 60 * 60 * 1_000;

/** What rules may cost where they run. Going over is an error of the rule that does. */
export interface RuleLimits {
  /** For one expression. */
  readonly expression: number;
  /** For one rule on one object, with its conditions, variables and messages. */
  readonly rule: number;
  /** For all rules that judge one request. */
  readonly request: number;
}

/** Offline and in tests: the API server's. */
export const KUBERNETES_LIMITS: RuleLimits = {
  expression: EXPRESSION_COST_MAX,
  rule: RULE_COST_MAX,
  request: Number.POSITIVE_INFINITY,
};
/** While a request waits, unless `serve` is told otherwise. */
export const SERVE_LIMITS: RuleLimits = {
  expression: SERVE_RULE_COST_MAX,
  rule: SERVE_RULE_COST_MAX,
  request: SERVE_REQUEST_COST_MAX,
};

/** Longest result of a messageExpression, in bytes (MaxEvaluatedMessageExpressionSizeBytes of apiserver/pkg/apis/cel). */
export const RULE_MESSAGE_BYTES_MAX = 5 * 1024;
/** Longest value of an audit annotation, in characters; longer ones are cut. */
export const AUDIT_ANNOTATION_LENGTH_MAX = 10 * 1024;
/** So many values that a failed expression has read are told. */
export const READ_VALUES_MAX = 3;
/** An exception that ends within this time is warned about: seven days. */
export const EXCEPTION_WARNING_MS = 7 * 24 * 60 * 60 * 1_000;
