import { parseDurationMs } from "../../api/v1alpha1/common.ts";
import {
  type ApiProblem,
  parseResiliencePolicy,
  type ResiliencePolicySpec,
} from "../../api/v1alpha1/resilience-policy.ts";
import { type Finding, finding, sortFindings } from "../finding.ts";
import { checkIntent } from "./checks.ts";
import {
  BREAKER_DEFAULTS,
  type CircuitBreakerIntent,
  type Intent,
  type RetryIntent,
  type TimeoutIntent,
} from "./intent.ts";
import { revisionOf } from "./revision.ts";

/** A policy that may be applied: it fits the schema and its meaning holds. */
export interface CompiledPolicy {
  readonly namespace: string;
  readonly name: string;
  /** RFC 3339; empty while it is being created, which counts as newest. */
  readonly createdAt: string;
  readonly spec: ResiliencePolicySpec;
  readonly intent: Intent;
  readonly revision: string;
}

export interface PolicyCompilation {
  /** Undefined when a finding denies it: such a policy is never applied. */
  readonly policy: CompiledPolicy | undefined;
  /** The policy as far as it can be read, also when its meaning does not hold; undefined when its shape is wrong. */
  readonly readable: CompiledPolicy | undefined;
  /** Sorted. */
  readonly findings: readonly Finding[];
}

/**
 * The one parser of policies, for every door: what it accepts can be compiled. It looks at the policy alone;
 * what a mesh and the cluster make of it is admission/policy.ts.
 */
export function compilePolicy(object: unknown): PolicyCompilation {
  const parsed = parseResiliencePolicy(object);
  if (!parsed.ok)
    return { policy: undefined, readable: undefined, findings: sortFindings(parsed.problems.map(schemaFinding)) };
  const { metadata, spec } = parsed.value;
  const intent = lower(spec);
  const findings = sortFindings(checkIntent({ spec, intent }));
  const readable = {
    namespace: metadata.namespace ?? "default",
    name: metadata.name ?? metadata.generateName ?? "",
    createdAt: metadata.creationTimestamp ?? "",
    spec,
    intent,
    revision: policyRevision(spec, intent),
  };
  return { policy: findings.some((item) => item.severity === "deny") ? undefined : readable, readable, findings };
}

function schemaFinding(problem: ApiProblem): Finding {
  return finding("FL101", problem.path, problem);
}

/** Fills in defaults and turns durations into milliseconds. */
export function lower(spec: ResiliencePolicySpec): Intent {
  return {
    ...(spec.circuitBreaker && { circuitBreaker: lowerBreaker(spec.circuitBreaker) }),
    ...(spec.retry && { retry: lowerRetry(spec.retry) }),
    ...(spec.timeout && { timeout: lowerTimeout(spec.timeout) }),
  };
}

function lowerBreaker(section: NonNullable<ResiliencePolicySpec["circuitBreaker"]>): CircuitBreakerIntent {
  return {
    enabled: section.enabled ?? BREAKER_DEFAULTS.enabled,
    consecutiveFailures: section.consecutiveFailures ?? BREAKER_DEFAULTS.consecutiveFailures,
    minPenaltyMs: parseDurationMs(section.minPenalty ?? BREAKER_DEFAULTS.minPenalty),
    maxPenaltyMs: parseDurationMs(section.maxPenalty ?? BREAKER_DEFAULTS.maxPenalty),
    jitterPercent: section.jitterPercent ?? BREAKER_DEFAULTS.jitterPercent,
    ...(section.maxEjectionPercent !== undefined && { maxEjectionPercent: section.maxEjectionPercent }),
  };
}

function lowerRetry(section: NonNullable<ResiliencePolicySpec["retry"]>): RetryIntent {
  return {
    maxAttempts: section.maxAttempts,
    statusCodes: section.statusCodes ?? [],
    grpcCodes: section.grpcCodes ?? [],
    ...(section.timeout !== undefined && { timeoutMs: parseDurationMs(section.timeout) }),
  };
}

function lowerTimeout(section: NonNullable<ResiliencePolicySpec["timeout"]>): TimeoutIntent {
  return {
    ...(section.request !== undefined && { requestMs: parseDurationMs(section.request) }),
    ...(section.response !== undefined && { responseMs: parseDurationMs(section.response) }),
    ...(section.idle !== undefined && { idleMs: parseDurationMs(section.idle) }),
  };
}

/** Hash of the canonical spec: defaults are elided by hashing the intent, in which they are all filled in. */
function policyRevision(spec: ResiliencePolicySpec, intent: Intent): string {
  return revisionOf({
    intent,
    mesh: spec.mesh ?? "Auto",
    conflictResolution: spec.conflictResolution ?? "PreferExisting",
    targetRefs: spec.targetRefs?.map((ref) => ({ group: ref.group ?? "", kind: ref.kind, name: ref.name })),
    targetSelector: spec.targetSelector,
  });
}
