/** The annotations that Fairlead writes for Linkerd (docs/linkerd.md, Annotations). Everything that Linkerd reads is in keys.ts. */
export const BREAKER_KEYS = {
  mode: "balancer.linkerd.io/failure-accrual",
  maxFailures: "balancer.linkerd.io/failure-accrual-consecutive-max-failures",
  minPenalty: "balancer.linkerd.io/failure-accrual-consecutive-min-penalty",
  maxPenalty: "balancer.linkerd.io/failure-accrual-consecutive-max-penalty",
  jitterRatio: "balancer.linkerd.io/failure-accrual-consecutive-jitter-ratio",
} as const;

export const RETRY_KEYS = {
  http: "retry.linkerd.io/http",
  grpc: "retry.linkerd.io/grpc",
  limit: "retry.linkerd.io/limit",
  timeout: "retry.linkerd.io/timeout",
} as const;

export const TIMEOUT_KEYS = {
  request: "timeout.linkerd.io/request",
  response: "timeout.linkerd.io/response",
  idle: "timeout.linkerd.io/idle",
} as const;
