import type {
  CircuitBreakerIntent,
  FaultInjectionIntent,
  Intent,
  RetryIntent,
  RouteIntent,
  Section,
  TimeoutIntent,
} from "../intent/intent.ts";
import { Duration } from "./cel/values.ts";

export type Json = Readonly<Record<string, unknown>>;

/**
 * Each section as rules see it (its type is in effective.ts); undefined where it is off. A list has who asked for it in
 * each of its items. Forgetting a section does not compile.
 */
export const SHOWN: Readonly<Record<Section, (settings: Intent) => Json | readonly Json[] | undefined>> = {
  circuitBreaker: ({ circuitBreaker }) => (circuitBreaker?.enabled ? breakerShown(circuitBreaker) : undefined),
  retry: ({ retry }) => (retry !== undefined && retry.maxAttempts > 0 ? retryShown(retry) : undefined),
  timeout: ({ timeout }) => timeout && timeoutShown(timeout),
  routes: ({ routes }) => routes?.map(routeShown),
  trafficSplit: ({ trafficSplit }) => trafficSplit && { ...trafficSplit },
  faultInjection: ({ faultInjection }) => faultInjection && faultShown(faultInjection),
  rateLimit: ({ rateLimit }) => rateLimit && { ...rateLimit },
  mtls: ({ mtls }) => mtls && { ...mtls },
  authorization: ({ authorization }) => authorization && { ...authorization },
};

function breakerShown(breaker: CircuitBreakerIntent): Json {
  const { consecutiveFailures, jitterPercent, maxEjectionPercent } = breaker;
  return {
    consecutiveFailures,
    minPenalty: durationOf(breaker.minPenaltyMs),
    maxPenalty: durationOf(breaker.maxPenaltyMs),
    jitterPercent,
    ...(maxEjectionPercent !== undefined && { maxEjectionPercent }),
  };
}

function retryShown({ maxAttempts, statusCodes, grpcCodes, timeoutMs }: RetryIntent): Json {
  return { maxAttempts, statusCodes, grpcCodes, ...(timeoutMs !== undefined && { timeout: durationOf(timeoutMs) }) };
}

function timeoutShown({ requestMs, responseMs, idleMs }: TimeoutIntent): Json {
  return {
    ...(requestMs !== undefined && { request: durationOf(requestMs) }),
    ...(responseMs !== undefined && { response: durationOf(responseMs) }),
    ...(idleMs !== undefined && { idle: durationOf(idleMs) }),
  };
}

/** A retry of no attempts is shown here: it is what keeps the entry from being retried as the rest is. */
function routeShown({ name, matches, retry, timeout }: RouteIntent): Json {
  return {
    name,
    matches,
    ...(retry !== undefined && { retry: retryShown(retry) }),
    ...(timeout !== undefined && { timeout: timeoutShown(timeout) }),
  };
}

function faultShown({ abort, delay, matches }: FaultInjectionIntent): Json {
  return {
    matches,
    ...(abort !== undefined && { abort }),
    ...(delay !== undefined && { delay: { percent: delay.percent, duration: durationOf(delay.durationMs) } }),
  };
}

const NANOS_PER_MS = 1_000_000;

/** Linkerd's routes know fractions of a millisecond. */
function durationOf(ms: number): Duration {
  return new Duration(BigInt(Math.round(ms * NANOS_PER_MS)));
}
