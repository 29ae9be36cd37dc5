import type { GrpcRetry, HttpRetry, LoadBiaser, Timeouts } from "./reading.ts";
import { member, type Scan } from "./scan.ts";

/** `parse_load_biaser_config`: absent unless penalize-failures is true. */
export function readLoadBiaser(scan: Scan): LoadBiaser | undefined {
  if (member(scan, "balancer.alpha.linkerd.io/penalize-failures") !== true) return undefined;
  const before = scan.problems.length;
  const penaltyMs = member(scan, "balancer.alpha.linkerd.io/load-biaser-penalty") ?? 5000;
  const maxRetryAfterMs = member(scan, "balancer.alpha.linkerd.io/load-biaser-max-retry-after") ?? 300_000;
  return scan.problems.length > before ? undefined : { penaltyMs, maxRetryAfterMs };
}

export function readHonorRetryAfter(scan: Scan): boolean | undefined {
  return member(scan, "balancer.alpha.linkerd.io/failure-accrual-honor-retry-after");
}

/** `parse_timeouts`. Zero stays zero. */
export function readTimeouts(scan: Scan): Timeouts | undefined {
  const before = scan.problems.length;
  const requestMs = member(scan, "timeout.linkerd.io/request");
  const responseMs = member(scan, "timeout.linkerd.io/response");
  const idleMs = member(scan, "timeout.linkerd.io/idle");
  if (scan.problems.length > before) return undefined;
  if (requestMs === undefined && responseMs === undefined && idleMs === undefined) return undefined;
  return {
    ...(requestMs !== undefined && { requestMs }),
    ...(responseMs !== undefined && { responseMs }),
    ...(idleMs !== undefined && { idleMs }),
  };
}

/** Limit and timeout, which `parse_http_retry` and `parse_grpc_retry` both read. */
interface SharedRetry {
  /** Whether they alone already turn retries on. */
  readonly isSet: boolean;
  readonly settings: { readonly limit: number; readonly timeoutMs?: number };
}

/** A Service has both kinds of retry settings, a route the one of its protocol. A bad limit or timeout drops both. */
export function readRetry(scan: Scan): { readonly httpRetry?: HttpRetry; readonly grpcRetry?: GrpcRetry } {
  const shared = sharedRetry(scan);
  const httpRetry = scan.source === "GRPCRoute" ? undefined : readHttpRetry(scan, shared);
  const grpcRetry = scan.source === "HTTPRoute" ? undefined : readGrpcRetry(scan, shared);
  return { ...(httpRetry !== undefined && { httpRetry }), ...(grpcRetry !== undefined && { grpcRetry }) };
}

/** Zero counts as absent in both values (`filter(|v| *v != 0)` there). Undefined where one is bad. */
function sharedRetry(scan: Scan): SharedRetry | undefined {
  const before = scan.problems.length;
  const limit = member(scan, "retry.linkerd.io/limit") ?? 0;
  const timeoutMs = member(scan, "retry.linkerd.io/timeout") ?? 0;
  if (scan.problems.length > before) return undefined;
  return {
    isSet: limit !== 0 || timeoutMs !== 0,
    settings: { limit: limit === 0 ? 1 : limit, ...(timeoutMs !== 0 && { timeoutMs }) },
  };
}

/** `parse_http_retry`. */
function readHttpRetry(scan: Scan, shared: SharedRetry | undefined): HttpRetry | undefined {
  const before = scan.problems.length;
  const statusRanges = member(scan, "retry.linkerd.io/http");
  if (shared === undefined || scan.problems.length > before) return undefined;
  if (!shared.isSet && statusRanges === undefined) return undefined;
  return { ...shared.settings, statusRanges: statusRanges ?? [] };
}

/** `parse_grpc_retry`. */
function readGrpcRetry(scan: Scan, shared: SharedRetry | undefined): GrpcRetry | undefined {
  const before = scan.problems.length;
  const codes = member(scan, "retry.linkerd.io/grpc");
  if (shared === undefined || scan.problems.length > before) return undefined;
  if (!shared.isSet && codes === undefined) return undefined;
  return { ...shared.settings, codes: codes ?? [] };
}
