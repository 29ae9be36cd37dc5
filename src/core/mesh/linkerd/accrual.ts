import { exactMs } from "./duration.ts";
import type { Accrual, Problem } from "./reading.ts";
import { member, problem, type Scan } from "./scan.ts";
import { quote } from "./text.ts";

/** MIN_SUCCESS_RATE_WINDOW of linkerd2 core/outbound.rs; holds while the threshold is not zero. */
const SUCCESS_RATE_WINDOW_MIN_MS = 10;
/** MAX_SUCCESS_RATE_MIN_REQUESTS, there and in linkerd2-proxy's client-policy. */
const SUCCESS_RATE_MIN_REQUESTS_MAX = 1_000_000;

const MIN_PENALTY = "balancer.linkerd.io/failure-accrual-consecutive-min-penalty";
const MAX_PENALTY = "balancer.linkerd.io/failure-accrual-consecutive-max-penalty";
const WINDOW = "balancer.alpha.linkerd.io/failure-accrual-success-rate-window";
const MIN_REQUESTS = "balancer.alpha.linkerd.io/failure-accrual-success-rate-min-requests";

/**
 * `parse_accrual_config`. Without a mode none of the other keys is looked at. Linkerd stops at a bad mode; the
 * parameters are read all the same, so that people get all their mistakes at once.
 */
export function readAccrual(scan: Scan): Accrual | undefined {
  if (scan.annotations["balancer.linkerd.io/failure-accrual"] === undefined) return undefined;
  const before = scan.problems.length;
  const mode = member(scan, "balancer.linkerd.io/failure-accrual");
  const consecutive = consecutiveParameters(scan);
  const successRate = mode === "unified" ? successRateParameters(scan) : undefined;
  if (mode === undefined || consecutive === undefined || scan.problems.length > before) return undefined;
  if (successRate === undefined) return { mode, ...consecutive };
  if (successRate.minRequests > SUCCESS_RATE_MIN_REQUESTS_MAX)
    scan.problems.push(refusedByProxies(scan, successRate.minRequests));
  return { mode, ...consecutive, successRate };
}

/** `parse_consecutive_params`, for both modes. */
function consecutiveParameters(scan: Scan): Omit<Accrual, "mode"> | undefined {
  const before = scan.problems.length;
  const parameters = {
    maxFailures: member(scan, "balancer.linkerd.io/failure-accrual-consecutive-max-failures") ?? 7,
    minPenaltyMs: member(scan, MIN_PENALTY) ?? 1000,
    maxPenaltyMs: member(scan, MAX_PENALTY) ?? 60_000,
    jitterRatio: member(scan, "balancer.linkerd.io/failure-accrual-consecutive-jitter-ratio") ?? 0.5,
  };
  const penaltiesParsed = scan.problems.slice(before).every(({ key }) => key !== MIN_PENALTY && key !== MAX_PENALTY);
  if (penaltiesParsed && minPenaltyExceedsMax(scan, parameters.minPenaltyMs, parameters.maxPenaltyMs)) {
    scan.problems.push(penaltiesOutOfOrder(scan));
  }
  return scan.problems.length > before ? undefined : parameters;
}

/** The numbers decide, except where both are too large for a number to tell neighbours apart. */
function minPenaltyExceedsMax(scan: Scan, minimumMs: number, maximumMs: number): boolean {
  if (minimumMs !== maximumMs || minimumMs <= Number.MAX_SAFE_INTEGER) return minimumMs > maximumMs;
  return exactMs(scan.annotations[MIN_PENALTY] ?? "") > exactMs(scan.annotations[MAX_PENALTY] ?? "");
}

function penaltiesOutOfOrder(scan: Scan): Problem {
  const minimum = scan.annotations[MIN_PENALTY];
  const maximum = scan.annotations[MAX_PENALTY];
  const shownMinimum = minimum === undefined ? "1s, the default" : quote(minimum);
  const shownMaximum = maximum === undefined ? "60s, the default" : quote(maximum);
  const reason = `found min-penalty ${shownMinimum}, above max-penalty ${shownMaximum}; wanted at most that`;
  if (minimum === undefined) return problem(scan, MAX_PENALTY, { reason, suggestion: "1s" });
  return problem(scan, MIN_PENALTY, { reason, suggestion: maximum ?? "60s" });
}

/** `parse_success_rate_params`; undefined where it fails. */
function successRateParameters(scan: Scan): Accrual["successRate"] {
  const before = scan.problems.length;
  const threshold = member(scan, "balancer.alpha.linkerd.io/failure-accrual-success-rate-threshold") ?? 0.8;
  const windowMs = member(scan, WINDOW) ?? 10_000;
  const minRequests = member(scan, MIN_REQUESTS) ?? 5;
  if (scan.problems.length > before) return undefined;
  if (threshold !== 0 && windowMs < SUCCESS_RATE_WINDOW_MIN_MS) {
    const reason = `found ${windowMs}ms, wanted at least ${SUCCESS_RATE_WINDOW_MIN_MS}ms`;
    scan.problems.push(problem(scan, WINDOW, { reason, suggestion: "10s" }));
  }
  if (threshold !== 0 && minRequests > SUCCESS_RATE_MIN_REQUESTS_MAX) {
    scan.problems.push(problem(scan, MIN_REQUESTS, tooManyRequests(minRequests)));
  }
  return { threshold, windowMs, minRequests };
}

function tooManyRequests(minRequests: number): { readonly reason: string; readonly suggestion: string } {
  const maximum = String(SUCCESS_RATE_MIN_REQUESTS_MAX);
  return { reason: `found ${minRequests}, wanted at most ${maximum}`, suggestion: maximum };
}

/**
 * With threshold 0 the controller checks no maximum, but the proxy does (linkerd2-proxy client-policy,
 * `TryFrom<outbound::FailureAccrual>`) and then refuses the whole client policy.
 */
function refusedByProxies(scan: Scan, minRequests: number): Problem {
  const drops = "the whole policy: proxies refuse it and answer every request to this Service with an error";
  return { ...problem(scan, MIN_REQUESTS, tooManyRequests(minRequests)), drops };
}
