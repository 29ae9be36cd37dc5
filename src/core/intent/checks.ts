import type { ResiliencePolicySpec } from "../../api/v1alpha1/resilience-policy.ts";
import { type Finding, finding } from "../finding.ts";
import { showMs } from "../text.ts";
import type { Intent } from "./intent.ts";
import { checkRequests } from "./request-checks.ts";
import { checkRoutes, checkSplit, expressionsAreRead, withoutEffect } from "./route-checks.ts";

/** What a check sees: the policy as written (for paths and absent fields) and what it means. */
export interface CheckInput {
  readonly spec: ResiliencePolicySpec;
  readonly intent: Intent;
}

type Check = (input: CheckInput) => readonly Finding[];

/** Checks across the fields of one policy, independent of mesh and cluster; each reports all it finds. */
const CHECKS: readonly Check[] = [
  penaltiesInOrder,
  jitterHasRoom,
  everyRequest,
  disabledSectionsAreEmpty,
  routesHold,
  splitHolds,
  faultsAreRead,
];

export function checkIntent(input: CheckInput): readonly Finding[] {
  return CHECKS.flatMap((check) => check(input));
}

function penaltiesInOrder({ spec, intent }: CheckInput): readonly Finding[] {
  const breaker = intent.circuitBreaker;
  if (!breaker?.enabled || breaker.minPenaltyMs <= breaker.maxPenaltyMs) return [];
  const minIsDefault = spec.circuitBreaker?.minPenalty === undefined;
  const maxIsDefault = spec.circuitBreaker?.maxPenalty === undefined;
  const min = `minPenalty ${showMs(breaker.minPenaltyMs)}${minIsDefault ? " (the default)" : ""}`;
  const max = `maxPenalty ${showMs(breaker.maxPenaltyMs)}${maxIsDefault ? " (the default)" : ""}`;
  return [
    finding("FL201", minIsDefault ? "spec.circuitBreaker.maxPenalty" : "spec.circuitBreaker.minPenalty", {
      message: `Found ${min} above ${max}; Linkerd would drop the whole breaker`,
      fix: minIsDefault
        ? `set minPenalty to at most ${showMs(breaker.maxPenaltyMs)}`
        : `lower minPenalty or set maxPenalty to at least ${showMs(breaker.minPenaltyMs)}`,
    }),
  ];
}

function jitterHasRoom({ spec, intent }: CheckInput): readonly Finding[] {
  const breaker = intent.circuitBreaker;
  if (!breaker?.enabled || breaker.minPenaltyMs !== breaker.maxPenaltyMs) return [];
  if (!spec.circuitBreaker?.jitterPercent) return [];
  return [
    finding("FL208", "spec.circuitBreaker.jitterPercent", {
      message: `Found jitter ${breaker.jitterPercent}% with both penalties ${showMs(breaker.minPenaltyMs)}; penalty plus jitter is capped at maxPenalty`,
      fix: "raise maxPenalty or remove jitterPercent",
    }),
  ];
}

/** The policy as a whole: every field is its own. */
function everyRequest({ intent }: CheckInput): readonly Finding[] {
  return checkRequests({ intent, pathOf: (field) => `spec.${field}`, isOwn: () => true });
}

function routesHold({ spec, intent }: CheckInput): readonly Finding[] {
  return intent.routes === undefined ? [] : checkRoutes(spec, intent);
}

function splitHolds({ intent }: CheckInput): readonly Finding[] {
  return checkSplit(intent);
}

function faultsAreRead({ intent: { faultInjection } }: CheckInput): readonly Finding[] {
  return faultInjection === undefined ? [] : expressionsAreRead(faultInjection, "spec.faultInjection");
}

function disabledSectionsAreEmpty({ spec, intent }: CheckInput): readonly Finding[] {
  const breakerFields = Object.keys(spec.circuitBreaker ?? {}).filter((field) => field !== "enabled");
  const retryFields = Object.keys(spec.retry ?? {}).filter((field) => field !== "maxAttempts");
  return [
    ...(intent.circuitBreaker?.enabled === false
      ? withoutEffect("spec.circuitBreaker", "enabled is false", breakerFields)
      : []),
    ...(intent.retry?.maxAttempts === 0 ? withoutEffect("spec.retry", "maxAttempts is 0", retryFields) : []),
  ];
}
