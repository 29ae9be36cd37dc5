import { parseDurationMs } from "../../api/v1alpha1/common.ts";
import type { ResiliencePolicySpec } from "../../api/v1alpha1/resilience-policy.ts";
import { compareStrings } from "../finding.ts";
import {
  BREAKER_DEFAULTS,
  type CircuitBreakerIntent,
  type FaultInjectionIntent,
  type Intent,
  type RetryIntent,
  type RouteIntent,
  type RouteMatchIntent,
  type TimeoutIntent,
  type TrafficSplitIntent,
} from "./intent.ts";
import { lowerAuthorization, lowerPath, lowerRateLimit } from "./lower-access.ts";

type Sections = Required<ResiliencePolicySpec>;
type Entry = Sections["routes"][number];

/** Fills in defaults and turns durations into milliseconds. */
export function lower(spec: ResiliencePolicySpec): Intent {
  return {
    ...(spec.circuitBreaker && { circuitBreaker: lowerBreaker(spec.circuitBreaker) }),
    ...(spec.retry && { retry: lowerRetry(spec.retry) }),
    ...(spec.timeout && { timeout: lowerTimeout(spec.timeout) }),
    ...(spec.routes && { routes: spec.routes.map(lowerRoute) }),
    ...(spec.trafficSplit && { trafficSplit: lowerSplit(spec.trafficSplit) }),
    ...(spec.faultInjection && { faultInjection: lowerFault(spec.faultInjection) }),
    ...(spec.rateLimit && { rateLimit: lowerRateLimit(spec.rateLimit) }),
    ...(spec.mtls && { mtls: spec.mtls }),
    ...(spec.authorization && { authorization: lowerAuthorization(spec.authorization) }),
  };
}

function lowerBreaker(section: Sections["circuitBreaker"]): CircuitBreakerIntent {
  return {
    enabled: section.enabled ?? BREAKER_DEFAULTS.enabled,
    consecutiveFailures: section.consecutiveFailures ?? BREAKER_DEFAULTS.consecutiveFailures,
    minPenaltyMs: parseDurationMs(section.minPenalty ?? BREAKER_DEFAULTS.minPenalty),
    maxPenaltyMs: parseDurationMs(section.maxPenalty ?? BREAKER_DEFAULTS.maxPenalty),
    jitterPercent: section.jitterPercent ?? BREAKER_DEFAULTS.jitterPercent,
    ...(section.maxEjectionPercent !== undefined && { maxEjectionPercent: section.maxEjectionPercent }),
  };
}

function lowerRetry(section: Sections["retry"]): RetryIntent {
  return {
    maxAttempts: section.maxAttempts,
    statusCodes: section.statusCodes ?? [],
    grpcCodes: section.grpcCodes ?? [],
    ...(section.timeout !== undefined && { timeoutMs: parseDurationMs(section.timeout) }),
  };
}

function lowerTimeout(section: Sections["timeout"]): TimeoutIntent {
  return {
    ...(section.request !== undefined && { requestMs: parseDurationMs(section.request) }),
    ...(section.response !== undefined && { responseMs: parseDurationMs(section.response) }),
    ...(section.idle !== undefined && { idleMs: parseDurationMs(section.idle) }),
  };
}

function lowerRoute(entry: Entry): RouteIntent {
  return {
    name: entry.name,
    matches: entry.matches.map(lowerMatch),
    ...(entry.retry && { retry: lowerRetry(entry.retry) }),
    ...(entry.timeout && { timeout: lowerTimeout(entry.timeout) }),
  };
}

function lowerSplit({ backends, matches = [] }: Sections["trafficSplit"]): TrafficSplitIntent {
  return {
    backends: [...backends].sort((a, b) => compareStrings(a.name, b.name)),
    matches: matches.map(lowerMatch),
  };
}

function lowerFault({ abort, delay, matches = [] }: Sections["faultInjection"]): FaultInjectionIntent {
  return {
    ...(abort && { abort }),
    ...(delay && { delay: { percent: delay.percent, durationMs: parseDurationMs(delay.duration) } }),
    matches: matches.map(lowerMatch),
  };
}

/** With the Gateway API's defaults. */
function lowerMatch({ path, method, headers = [] }: Entry["matches"][number]): RouteMatchIntent {
  return {
    path: lowerPath(path ?? { value: "/" }),
    ...(method !== undefined && { method }),
    headers: headers
      .map((header) => ({
        name: header.name.toLowerCase(),
        type: header.type ?? ("Exact" as const),
        value: header.value,
      }))
      .sort((a, b) => compareStrings(a.name, b.name) || compareStrings(a.value, b.value)),
  };
}
