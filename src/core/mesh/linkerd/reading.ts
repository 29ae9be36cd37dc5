import type { AnnotationSource, LinkerdGroup, LinkerdKey } from "./keys.ts";
import type { GrpcCode, StatusRange } from "./lists.ts";
import type { AccrualMode } from "./values.ts";

/** The circuit breaker. Ratios as Linkerd holds them: jitterRatio is an f32, threshold an f64. */
export interface Accrual {
  readonly mode: AccrualMode;
  readonly maxFailures: number;
  readonly minPenaltyMs: number;
  readonly maxPenaltyMs: number;
  readonly jitterRatio: number;
  /** Under mode unified only. */
  readonly successRate?: { readonly threshold: number; readonly windowMs: number; readonly minRequests: number };
}

export interface LoadBiaser {
  readonly penaltyMs: number;
  readonly maxRetryAfterMs: number;
}

/** At least one of the three. Zero is a deadline of now, not "none". */
export interface Timeouts {
  readonly requestMs?: number;
  readonly responseMs?: number;
  readonly idleMs?: number;
}

interface RetrySettings {
  /** Retries after the first try, at least one. */
  readonly limit: number;
  /** For the response headers of one try. */
  readonly timeoutMs?: number;
}

export interface HttpRetry extends RetrySettings {
  /** Empty where retry keys are set without `retry.linkerd.io/http`: then no status is retried. */
  readonly statusRanges: readonly StatusRange[];
}

export interface GrpcRetry extends RetrySettings {
  /** Empty where retry keys are set without `retry.linkerd.io/grpc`: then no status is retried. */
  readonly codes: readonly GrpcCode[];
}

/** A value that Linkerd does not take, or that its proxies refuse. */
export interface Problem {
  readonly key: LinkerdKey;
  readonly value: string;
  readonly group: LinkerdGroup;
  /** What stops working because of it, in words: "every retry setting of this Service". */
  readonly drops: string;
  /** What was found and what is wanted, one line. */
  readonly reason: string;
  /** A value for this key that works together with the other annotations and the other suggestions. */
  readonly suggestion?: string;
}

/** What Linkerd makes of the annotations of one object. A group with a problem is absent, as in Linkerd. */
export interface Reading {
  readonly accrual?: Accrual;
  readonly loadBiaser?: LoadBiaser;
  /** Present where the key is. Proxies up to v2.366 ignore it. */
  readonly honorRetryAfter?: boolean;
  readonly timeouts?: Timeouts;
  readonly httpRetry?: HttpRetry;
  readonly grpcRetry?: GrpcRetry;
  readonly problems: readonly Problem[];
  /** Keys under Linkerd's prefixes that no version knows, with the known key they look like. */
  readonly unknown: readonly { readonly key: string; readonly nearest?: LinkerdKey }[];
  /** Known keys that Linkerd never reads from this kind of object. */
  readonly notReadHere: readonly LinkerdKey[];
  /** Known keys that this version ignores, with the first one that reads them. */
  readonly tooNew: readonly { readonly key: LinkerdKey; readonly since: string }[];
  /** Known keys that have no effect, since another one is not set as they need it. */
  readonly notConsulted: readonly { readonly key: LinkerdKey; readonly because: string }[];
}

/** The reading of an object without any of these annotations. */
export const EMPTY_READING: Reading = Object.freeze({
  problems: Object.freeze([]),
  unknown: Object.freeze([]),
  notReadHere: Object.freeze([]),
  tooNew: Object.freeze([]),
  notConsulted: Object.freeze([]),
});

/** What a problem in this group takes away from this kind of object. */
export function dropped(group: LinkerdGroup, source: AnnotationSource): string {
  if (source === "Service") return `${DROPPED_FROM_SERVICE[group]} of this Service`;
  if (group === "accrual") return `the write itself: Linkerd's webhook refuses this ${source}`;
  return `this whole ${source}, matches, weights and filters included`;
}

const DROPPED_FROM_SERVICE: Readonly<Record<LinkerdGroup, string>> = {
  accrual: "the circuit breaker",
  loadBiaser: "the load biasing",
  honorRetryAfter: "the Retry-After switch",
  timeouts: "every timeout annotation",
  retry: "every retry setting",
  httpRetry: "every HTTP retry setting",
  grpcRetry: "every gRPC retry setting",
};
