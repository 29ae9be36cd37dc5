/** What both servers write: the breaker that every policy of the benchmark asks for (Linkerd's defaults). */
export const BREAKER_ANNOTATIONS: Readonly<Record<string, string>> = {
  "balancer.linkerd.io/failure-accrual": "consecutive",
  "balancer.linkerd.io/failure-accrual-consecutive-max-failures": "7",
  "balancer.linkerd.io/failure-accrual-consecutive-min-penalty": "1000ms",
  "balancer.linkerd.io/failure-accrual-consecutive-max-penalty": "60000ms",
  "balancer.linkerd.io/failure-accrual-consecutive-jitter-ratio": "0.5",
};

/** The bare server's record: the same members as Fairlead's, about the same length. */
export const RECORD_KEY = "bench.fairlead.dev/injected";
export const RECORD_TEXT = JSON.stringify({ policy: "bare", revision: "0123456789ab", keys: BREAKER_ANNOTATIONS });
