import type { LeaseSpec } from "./lease.ts";

/** All in milliseconds of a monotonic clock. Every candidate of one Lease must be given the same. */
export interface LeaseTiming {
  /** How long a candidate waits, without seeing a renewal, before it takes the Lease from its holder. */
  readonly leaseDurationMs: number;
  /** How long a leader leads after the last renewal that succeeded. */
  readonly renewDeadlineMs: number;
  /** How long to wait from one attempt to the next; up to {@link RETRY_JITTER} is added. */
  readonly retryPeriodMs: number;
}

/** Those of kube-controller-manager and kube-scheduler (`--leader-elect-lease-duration` and its siblings). */
export const LEASE_TIMING: LeaseTiming = { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 };

/** Candidates that started together drift apart by up to this part of the retry period with each attempt. */
export const RETRY_JITTER = 0.2;

/** What is wrong with a timing: found, wanted, fix. Undefined: nothing. */
export function leaseTimingProblem(timing: LeaseTiming): string | undefined {
  const { leaseDurationMs, renewDeadlineMs, retryPeriodMs } = timing;
  const retryMaxMs = retryPeriodMs * (1 + RETRY_JITTER);
  if (!Object.values(timing).every((value) => Number.isFinite(value) && value > 0)) {
    return `Found ${describeTiming(timing)}, wanted positive times: give each at least 1 ms`;
  }
  if (leaseDurationMs <= renewDeadlineMs) {
    return (
      `Found lease duration ${leaseDurationMs} ms and renew deadline ${renewDeadlineMs} ms, wanted a duration longer ` +
      "than the deadline, so that a leader stops before another one starts: raise the duration or lower the deadline"
    );
  }
  if (renewDeadlineMs <= retryMaxMs) {
    return (
      `Found renew deadline ${renewDeadlineMs} ms and retry period ${retryPeriodMs} ms, wanted a deadline longer than ` +
      `${retryMaxMs} ms (the period and its jitter), so that a renewal comes in time: raise the deadline or lower the period`
    );
  }
  return undefined;
}

/** The whole seconds that the API can hold: rounded up, so that a reader with another timing never expires it early. */
export function leaseSeconds(leaseDurationMs: number): number {
  return Math.ceil(leaseDurationMs / 1000);
}

/** What a candidate knows of the Lease. */
export interface Observation {
  /** Undefined: there is none. */
  readonly spec: LeaseSpec | undefined;
  /**
   * When the candidate first saw it so, by its monotonic clock. -Infinity for a Lease that was absent from the first
   * look on: nobody is known who might still lead.
   */
  readonly sinceMs: number;
}

export interface Candidate {
  readonly identity: string;
  readonly leaseDurationMs: number;
  readonly isLeader: boolean;
}

export type ElectionStep =
  /** Take the Lease, or create it. */
  | { readonly kind: "acquire" }
  /** It is ours: write it again. */
  | { readonly kind: "renew" }
  /** It is another's until then at least, if it does not change. */
  | { readonly kind: "wait"; readonly untilMs: number };

/**
 * What a candidate does with the Lease that it sees. Times written in the Lease play no part, so no clock has to be
 * right: a holder is given the lease duration from the moment at which this candidate saw it write.
 */
export function electionStep(observation: Observation, candidate: Candidate, nowMs: number): ElectionStep {
  const { spec, sinceMs } = observation;
  if (spec !== undefined && spec.holderIdentity === candidate.identity) return { kind: "renew" };
  if (spec === undefined ? candidate.isLeader : !spec.holderIdentity) return { kind: "acquire" };
  const untilMs = sinceMs + heldForMs(spec?.leaseDurationSeconds, candidate.leaseDurationMs);
  return nowMs >= untilMs ? { kind: "acquire" } : { kind: "wait", untilMs };
}

/**
 * A holder with our own timing is given exactly that, also where the API can only hold it rounded up. A Lease that was
 * deleted under its leader is left to it for as long: it will make it again, or has stopped leading by then.
 */
function heldForMs(seconds: number | undefined, ownMs: number): number {
  return seconds === undefined || seconds === leaseSeconds(ownMs) ? ownMs : seconds * 1000;
}

function describeTiming(timing: LeaseTiming): string {
  return `lease duration ${timing.leaseDurationMs} ms, renew deadline ${timing.renewDeadlineMs} ms, retry period ${timing.retryPeriodMs} ms`;
}
