/**
 * What a policy asks for, in neutral terms: integer milliseconds, defaults filled in, nothing of YAML left.
 * Compilers of meshes see only this.
 */
export interface Intent {
  readonly circuitBreaker?: CircuitBreakerIntent;
  readonly retry?: RetryIntent;
  readonly timeout?: TimeoutIntent;
  /** In the order of the spec, so that findings can name `spec.routes[1]`. The order means nothing. */
  readonly routes?: readonly RouteIntent[];
  readonly trafficSplit?: TrafficSplitIntent;
  readonly faultInjection?: FaultInjectionIntent;
  readonly rateLimit?: RateLimitIntent;
  readonly mtls?: MtlsIntent;
  readonly authorization?: AuthorizationIntent;
}

/** In the order in which they are settled on a target: retries depend on the timeouts. */
export const SECTIONS = [
  "circuitBreaker",
  "timeout",
  "retry",
  "routes",
  "trafficSplit",
  "faultInjection",
  "rateLimit",
  "mtls",
  "authorization",
] as const satisfies readonly (keyof Intent)[];
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

/** Some requests to a Service, with retries and timeouts of their own. At least one of both is there. */
export interface RouteIntent {
  readonly name: string;
  /** A request belongs to the entry when one of them fits. */
  readonly matches: readonly RouteMatchIntent[];
  readonly retry?: RetryIntent;
  readonly timeout?: TimeoutIntent;
}

/** All of it must hold. In one spelling only, so that equal meaning is equal JSON. */
export interface RouteMatchIntent {
  /** Any path is the prefix `/`. */
  readonly path: { readonly type: "Exact" | "PathPrefix" | "RegularExpression"; readonly value: string };
  readonly method?: string;
  /** Names in lower case, sorted. */
  readonly headers: readonly HeaderMatchIntent[];
}

export interface HeaderMatchIntent {
  readonly name: string;
  readonly type: "Exact" | "RegularExpression";
  readonly value: string;
}

/** Requests that go to other Services, each to one of them by chance. */
export interface TrafficSplitIntent {
  /** At least one, each Service once, and not all of weight 0. The order means nothing. */
  readonly backends: readonly BackendIntent[];
  /** The requests that are divided: those for which one fits. Empty: all of them. */
  readonly matches: readonly RouteMatchIntent[];
}

export interface BackendIntent {
  /** A Service in the namespace of the policy. */
  readonly name: string;
  /** Relative to the sum of all. */
  readonly weight: number;
  /** Absent: the one that the request is for. */
  readonly port?: number;
}

/** Faults made on purpose. At least one of both is there. */
export interface FaultInjectionIntent {
  /** `percent`: 1..100. */
  readonly abort?: { readonly percent: number; readonly status: number };
  readonly delay?: { readonly percent: number; readonly durationMs: number };
  /** The requests that get faults: those for which one fits. Empty: all of them. */
  readonly matches: readonly RouteMatchIntent[];
}

/** Limits of each Pod by itself: nothing is counted together. */
export interface RateLimitIntent {
  /** Of all clients together. 1..1,000,000, as the others. */
  readonly requestsPerSecond: number;
  /** Of each client by itself. At most requestsPerSecond. */
  readonly perClient?: number;
  /** Clients with a limit of their own in place of perClient; those of one entry share it. */
  readonly overrides: readonly RateOverrideIntent[];
}

export interface RateOverrideIntent {
  /** At least one. */
  readonly serviceAccounts: readonly ServiceAccountIntent[];
  readonly requestsPerSecond: number;
}

export interface ServiceAccountIntent {
  readonly namespace: string;
  readonly name: string;
}

export interface MtlsIntent {
  /** Strict: only clients of the mesh, by mutual TLS. Permissive: plain text, too. */
  readonly mode: "Strict" | "Permissive";
}

/** Who may send which requests. At least one of both is there, and none is empty. deny goes before allow. */
export interface AuthorizationIntent {
  /** A request is let through when one of them fits. Absent: every request that deny does not fit. */
  readonly allow?: readonly AccessIntent[];
  readonly deny?: readonly AccessIntent[];
}

/** Fits a request when both fit it. At least one of both is there. */
export interface AccessIntent {
  /** Absent: any client. */
  readonly from?: ClientIntent;
  /** Absent: any request. */
  readonly to?: RequestIntent;
}

/**
 * Fits a client that is in one of serviceAccounts or namespaces, where any is given, AND in one of cidrs, where any is
 * given. Not all are empty.
 */
export interface ClientIntent {
  readonly serviceAccounts: readonly ServiceAccountIntent[];
  readonly namespaces: readonly string[];
  readonly cidrs: readonly string[];
}

/** Fits a request with one of the paths, where any is given, and one of the methods. Not both are empty. */
export interface RequestIntent {
  readonly paths: readonly { readonly type: "Exact" | "PathPrefix"; readonly value: string }[];
  readonly methods: readonly string[];
}

/** Linkerd's defaults, which an absent field stands for (docs/linkerd.md, Annotations; linkerd2 parse_accrual_config). */
export const BREAKER_DEFAULTS = {
  enabled: true,
  consecutiveFailures: 7,
  minPenalty: "1s",
  maxPenalty: "60s",
  jitterPercent: 50,
} as const;
