import { hash } from "node:crypto";

/** 16 bytes, as W3C Trace Context has it. */
const TRACE_ID_HEX_DIGITS = 32;

/**
 * The trace of one generation of a policy, 32 hexadecimal digits. It is derived, so that admission and controller agree
 * on it with nothing written on the object (docs/adr/0012-tracing.md). Logs and Events carry it, tracing or not.
 */
export function policyTrace(uid: string, generation: number): string {
  return hash("sha256", `${uid}/${generation}`, "hex").slice(0, TRACE_ID_HEX_DIGITS);
}

/** What a `traceparent` header says. */
export interface TraceContext {
  readonly traceId: string;
  readonly spanId: string;
  readonly sampled: boolean;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const SAMPLED_FLAG = 1;

/**
 * Reads a `traceparent` as W3C Trace Context says; undefined where it is absent or malformed. kube-apiserver sends one
 * with its calls of webhooks while its own tracing is on.
 */
export function traceOf(header: string | undefined): TraceContext | undefined {
  const [, version, traceId, spanId, flags, rest] = TRACEPARENT.exec(header ?? "") ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  // Version ff does not exist; version 00 has four parts, later ones may have more.
  if (version === "ff" || (version === "00" && rest !== undefined)) return undefined;
  if (isZero(traceId) || isZero(spanId)) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & SAMPLED_FLAG) !== 0 };
}

function isZero(digits: string): boolean {
  return /^0+$/.test(digits);
}
