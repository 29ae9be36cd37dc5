import { accepted, type Parsed, rejected, trimWhiteSpace } from "./text.ts";

/** One u64 integer (Rust's parser takes a leading plus) and one unit; only zero may lack the unit. */
const LINKERD_DURATION = /^\+?([0-9]+)(ms|s|m|h|d)?$/;

const MS_PER_UNIT = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
type Unit = keyof typeof MS_PER_UNIT;

const U64_MAX = 2n ** 64n - 1n;
/** Ten digits times a day stays below 2^64, so shorter integers need no overflow check. */
const SAFE_DIGITS = 10;

const WANTED = "one whole number and one unit of ms, s, m, h, d, such as 500ms";

/**
 * `parse_duration` of linkerd2 `outbound/index.rs`, in milliseconds; the same acceptance from 2.14 on. Above 2^53 ms
 * the number is the nearest one; `exactMs` has all digits.
 */
export function parseDuration(text: string): Parsed<number> {
  const match = LINKERD_DURATION.exec(trimWhiteSpace(text));
  const digits = match?.[1];
  if (digits === undefined) return rejected(text, WANTED);
  const unit = match?.[2];
  if (unit === undefined && Number(digits) !== 0) return rejected(text, "a unit of ms, s, m, h, d after the number");
  if (digits.length <= SAFE_DIGITS) return accepted(Number(digits) * msPerUnit(unit));
  const milliseconds = BigInt(digits) * BigInt(msPerUnit(unit));
  return milliseconds > U64_MAX ? rejected(text, "at most 2^64 - 1 ms") : accepted(Number(milliseconds));
}

/** `parse_duration` where Linkerd then insists on a value above zero (max_penalty, success-rate-window). */
export function parsePositiveDuration(text: string): Parsed<number> {
  const parsed = parseDuration(text);
  return parsed.ok && parsed.value === 0 ? rejected(text, "a duration above zero") : parsed;
}

/** `parse_load_biaser_config`: the penalty must fit a u32 of milliseconds, about 49.7 days. */
export function parseU32Duration(text: string): Parsed<number> {
  const parsed = parseDuration(text);
  return parsed.ok && parsed.value > 0xffff_ffff ? rejected(text, "at most 4294967295ms") : parsed;
}

/** All digits of a duration that `parseDuration` accepts, for comparisons beyond 2^53 ms. */
export function exactMs(text: string): bigint {
  const match = LINKERD_DURATION.exec(trimWhiteSpace(text));
  return BigInt(match?.[1] ?? 0) * BigInt(msPerUnit(match?.[2]));
}

/** The duration in the largest unit up to hours that divides it: `90s`, `2500ms`. Takes whole milliseconds. */
export function formatDuration(milliseconds: number): string {
  for (const unit of ["h", "m", "s"] as const) {
    if (milliseconds > 0 && milliseconds % MS_PER_UNIT[unit] === 0) return `${milliseconds / MS_PER_UNIT[unit]}${unit}`;
  }
  return milliseconds === 0 ? "0s" : `${milliseconds}ms`;
}

/** Zero may lack the unit, hence the factor for no unit does not matter. */
function msPerUnit(unit: string | undefined): number {
  return unit === undefined ? 1 : MS_PER_UNIT[unit as Unit];
}
