import type { LinkerdFeature } from "./version.ts";

/** The kinds of object that Linkerd reads resilience annotations from; HTTPRoutes of either API group. */
export type AnnotationSource = "Service" | "HTTPRoute" | "GRPCRoute";

/**
 * What Linkerd parses together and drops together. `retry` holds the keys that both the HTTP and the gRPC retry
 * settings read, so that a bad one drops both.
 */
export type LinkerdGroup =
  | "accrual"
  | "loadBiaser"
  | "honorRetryAfter"
  | "timeouts"
  | "retry"
  | "httpRetry"
  | "grpcRetry";

/** The grammar of a value; values.ts has the parser of each. */
export type ValueKind =
  | "accrualMode"
  | "u16"
  | "u32"
  | "jitterRatio"
  | "fraction"
  | "bool"
  | "duration"
  | "positiveDuration"
  | "u32Duration"
  | "statusList"
  | "grpcList";

/** What must be set for Linkerd to look at a key at all. */
export type Precondition = "accrualMode" | "unifiedMode" | "penalizeFailures";

/** One annotation as Linkerd knows it. */
export interface KeySpec {
  readonly group: LinkerdGroup;
  readonly kind: ValueKind;
  readonly readFrom: readonly AnnotationSource[];
  /** Versions without this feature ignore the key. */
  readonly since: LinkerdFeature;
  /** What Linkerd takes where the key is absent and its group is in force; absent here: nothing. */
  readonly default?: string;
  readonly needs?: Precondition;
}

const SERVICE = ["Service"] as const;
const SERVICE_AND_HTTP = ["Service", "HTTPRoute"] as const;
const SERVICE_AND_GRPC = ["Service", "GRPCRoute"] as const;
const ALL_SOURCES = ["Service", "HTTPRoute", "GRPCRoute"] as const;

/** The members shared by the keys of one parser. */
const CONSECUTIVE = {
  group: "accrual",
  readFrom: SERVICE,
  since: "consecutiveAccrual",
  needs: "accrualMode",
} as const;
const SUCCESS_RATE = { group: "accrual", readFrom: SERVICE, since: "unifiedAccrual", needs: "unifiedMode" } as const;
const LOAD_BIASER = { group: "loadBiaser", readFrom: SERVICE, since: "unifiedAccrual" } as const;
const TIMEOUT = {
  group: "timeouts",
  kind: "duration",
  readFrom: ALL_SOURCES,
  since: "retryAndTimeoutAnnotations",
} as const;
const RETRY = { since: "retryAndTimeoutAnnotations" } as const;

/**
 * Every resilience annotation that Linkerd reads, from `parse_accrual_config`, `parse_consecutive_params`,
 * `parse_success_rate_params`, `parse_load_biaser_config`, `parse_timeouts`, `parse_http_retry` and
 * `parse_grpc_retry`; the defaults are the `unwrap_or` there and the DEFAULT_ constants of core/outbound.rs.
 */
export const KEY_SPECS = {
  "balancer.linkerd.io/failure-accrual": {
    group: "accrual",
    kind: "accrualMode",
    readFrom: SERVICE,
    since: "consecutiveAccrual",
  },
  "balancer.linkerd.io/failure-accrual-consecutive-max-failures": { ...CONSECUTIVE, kind: "u32", default: "7" },
  "balancer.linkerd.io/failure-accrual-consecutive-min-penalty": { ...CONSECUTIVE, kind: "duration", default: "1s" },
  "balancer.linkerd.io/failure-accrual-consecutive-max-penalty": {
    ...CONSECUTIVE,
    kind: "positiveDuration",
    default: "60s",
  },
  "balancer.linkerd.io/failure-accrual-consecutive-jitter-ratio": {
    ...CONSECUTIVE,
    kind: "jitterRatio",
    default: "0.5",
  },
  "balancer.alpha.linkerd.io/failure-accrual-success-rate-threshold": {
    ...SUCCESS_RATE,
    kind: "fraction",
    default: "0.8",
  },
  "balancer.alpha.linkerd.io/failure-accrual-success-rate-window": {
    ...SUCCESS_RATE,
    kind: "positiveDuration",
    default: "10s",
  },
  "balancer.alpha.linkerd.io/failure-accrual-success-rate-min-requests": {
    ...SUCCESS_RATE,
    kind: "u32",
    default: "5",
  },
  "balancer.alpha.linkerd.io/failure-accrual-honor-retry-after": {
    group: "honorRetryAfter",
    kind: "bool",
    readFrom: SERVICE,
    since: "unifiedAccrual",
    default: "false",
  },
  "balancer.alpha.linkerd.io/penalize-failures": { ...LOAD_BIASER, kind: "bool", default: "false" },
  "balancer.alpha.linkerd.io/load-biaser-penalty": {
    ...LOAD_BIASER,
    kind: "u32Duration",
    default: "5s",
    needs: "penalizeFailures",
  },
  "balancer.alpha.linkerd.io/load-biaser-max-retry-after": {
    ...LOAD_BIASER,
    kind: "duration",
    default: "300s",
    needs: "penalizeFailures",
  },
  "retry.linkerd.io/http": { ...RETRY, group: "httpRetry", kind: "statusList", readFrom: SERVICE_AND_HTTP },
  "retry.linkerd.io/grpc": { ...RETRY, group: "grpcRetry", kind: "grpcList", readFrom: SERVICE_AND_GRPC },
  "retry.linkerd.io/limit": { ...RETRY, group: "retry", kind: "u16", readFrom: ALL_SOURCES, default: "1" },
  "retry.linkerd.io/timeout": { ...RETRY, group: "retry", kind: "duration", readFrom: ALL_SOURCES },
  "timeout.linkerd.io/request": TIMEOUT,
  "timeout.linkerd.io/response": TIMEOUT,
  "timeout.linkerd.io/idle": TIMEOUT,
} as const satisfies Record<string, KeySpec>;

export type LinkerdKey = keyof typeof KEY_SPECS;

export const LINKERD_KEYS = Object.keys(KEY_SPECS) as readonly LinkerdKey[];

/** The prefixes that belong to these annotations; under them every key is either known or a mistake. */
const PREFIXES = [
  "balancer.linkerd.io/",
  "balancer.alpha.linkerd.io/",
  "retry.linkerd.io/",
  "timeout.linkerd.io/",
] as const;

export function isLinkerdKey(key: string): key is LinkerdKey {
  return Object.hasOwn(KEY_SPECS, key);
}

/** Whether the key lies under one of the prefixes of Linkerd's resilience annotations, known or not. */
export function isResilienceKey(key: string): boolean {
  for (const prefix of PREFIXES) if (key.startsWith(prefix)) return true;
  return false;
}

export function keySpec(key: LinkerdKey): KeySpec {
  return KEY_SPECS[key];
}
