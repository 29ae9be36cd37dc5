import { parseUnsigned, U32_MAX } from "./numbers.ts";
import { accepted, type Parsed, quote } from "./text.ts";

/** First and last status that is retried, both included. */
export type StatusRange = readonly [from: number, to: number];

/** The five conditions of `parse_grpc_retry`, in Linkerd's spelling. */
export const GRPC_CODES = ["cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"] as const;
export type GrpcCode = (typeof GRPC_CODES)[number];

const GRPC_CODE_SET: ReadonlySet<string> = new Set(GRPC_CODES);

/** `parse_http_retry`, the list: split at commas, no item is trimmed, one bad item drops all. */
export function parseStatusList(text: string): Parsed<readonly StatusRange[]> {
  const ranges: StatusRange[] = [];
  for (const item of text.split(",")) {
    const range = statusRange(item);
    if (range === undefined) return badItem(text, item, "5xx, gateway-error, 100 to 599 or a range like 500-504");
    ranges.push(range);
  }
  return accepted(ranges);
}

/** `parse_grpc_retry`, the list: split at commas, no item is trimmed, any case, one bad item drops all. */
export function parseGrpcList(text: string): Parsed<readonly GrpcCode[]> {
  const codes: GrpcCode[] = [];
  for (const item of text.split(",")) {
    const code = asciiLowerCase(item);
    if (!isGrpcCode(code)) return badItem(text, item, GRPC_CODES.join(", "));
    codes.push(code);
  }
  return accepted(codes);
}

/** One item of `retry.linkerd.io/http`; the class and the name in any case. Undefined where Linkerd takes none. */
export function statusRange(item: string): StatusRange | undefined {
  const name = asciiLowerCase(item);
  if (name === "5xx") return [500, 599];
  if (name === "gateway-error") return [502, 504];
  const code = statusCode(item);
  if (code !== undefined) return [code, code];
  const dash = item.indexOf("-");
  if (dash < 0) return undefined;
  const from = statusCode(item.slice(0, dash));
  const to = statusCode(item.slice(dash + 1));
  return from === undefined || to === undefined || from > to ? undefined : [from, to];
}

export function isGrpcCode(code: string): code is GrpcCode {
  return GRPC_CODE_SET.has(code);
}

/** `to_code` in `parse_http_retry`: a u32 (so `+500` and `0500` pass) from 100 to 599. */
function statusCode(text: string): number | undefined {
  const parsed = parseUnsigned(text, U32_MAX);
  return parsed.ok && parsed.value >= 100 && parsed.value < 600 ? parsed.value : undefined;
}

/** Rust's `eq_ignore_ascii_case`: other alphabets keep their case. */
function asciiLowerCase(text: string): string {
  return /[A-Z]/.test(text) ? text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase()) : text;
}

function badItem(text: string, item: string, wanted: string): Parsed<never> {
  const where = item === text ? quote(text) : `item ${quote(item)} in ${quote(text)}`;
  return { ok: false, reason: `found ${where}, wanted ${wanted}, without spaces` };
}
