import type { Registry } from "prom-client";
import { Distribution, Tally } from "./scraped.ts";

/** What became of one rule in one review. */
interface Evaluated {
  readonly rule: string;
  readonly outcome: string;
  /** In the units of cel-go. */
  readonly cost: number;
  /** The exception that the write leans on. */
  readonly exception?: string;
}

export interface RuleMetrics {
  evaluated(rules: readonly Evaluated[], namespace: string): void;
}

/** A typical rule costs 10 to 500 units; while a request waits none may cost more than 80,000 (core/rules/limits.ts). */
const COST_BUCKETS = [10, 100, 1_000, 10_000, 80_000];

/** The metrics of rules, in the registry of a process that answers reviews. */
export function createRuleMetrics(registry: Registry): RuleMetrics {
  const outcomes = new Tally(registry, {
    name: "fairlead_rule_evaluations_total",
    help: "Evaluations of rules in reviews, by rule and outcome",
    labelNames: ["rule", "outcome"],
  });
  const exceptions = new Tally(registry, {
    name: "fairlead_rule_exceptions_used_total",
    help: "Writes that only an exception let pass, by exception and rule",
    labelNames: ["namespace", "exception", "rule"],
  });
  const costs = new Distribution(registry, {
    name: "fairlead_rule_cost_units",
    help: "What one evaluation of a rule cost, in units of Kubernetes' CEL cost, by rule",
    label: "rule",
    buckets: COST_BUCKETS,
  });
  return {
    evaluated(rules, namespace) {
      for (const { rule, outcome, cost, exception } of rules) {
        outcomes.count(rule, outcome);
        costs.observe(rule, cost);
        if (exception !== undefined) exceptions.count(namespace, exception, rule);
      }
    },
  };
}
