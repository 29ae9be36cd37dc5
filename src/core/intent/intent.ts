/**
 * What a policy asks for, in neutral terms: integer milliseconds, defaults filled in, nothing of YAML left.
 * Compilers of meshes see only this.
 */
export interface Intent {
  readonly circuitBreaker?: CircuitBreakerIntent;
  readonly retry?: RetryIntent;
  readonly timeout?: TimeoutIntent;
}

/** In the order in which they are settled on a target: retries depend on the timeouts. */
export const SECTIONS = ["circuitBreaker", "timeout", "retry"] as const satisfies readonly (keyof Intent)[];
export type Section = (typeof SECTIONS)[number];

export interface CircuitBreakerIntent {
  /** False asks for no breaker. */
  readonly enabled: boolean;
  readonly consecutiveFailures: number;
  readonly minPenaltyMs: number;
  readonly maxPenaltyMs: number;
  /** 0..100 */
  readonly jitterPercent: number;
  /** 0..100; Istio only. */
  readonly maxEjectionPercent?: number;
}

export interface RetryIntent {
  /** Tries after the first; 0 asks for no retries. */
  readonly maxAttempts: number;
  /** `503`, `5xx`, `gateway-error` or `500-504`. */
  readonly statusCodes: readonly string[];
  /** Linkerd's names, lower case. */
  readonly grpcCodes: readonly string[];
  /** For each try. */
  readonly timeoutMs?: number;
}

export interface TimeoutIntent {
  /** The whole request with all its retries. */
  readonly requestMs?: number;
  readonly responseMs?: number;
  readonly idleMs?: number;
}

/** Linkerd's defaults, which an absent field stands for (docs/linkerd.md, Annotations; linkerd2 parse_accrual_config). */
export const BREAKER_DEFAULTS = {
  enabled: true,
  consecutiveFailures: 7,
  minPenalty: "1s",
  maxPenalty: "60s",
  jitterPercent: 50,
} as const;
