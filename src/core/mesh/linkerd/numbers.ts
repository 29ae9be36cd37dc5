import { accepted, type Parsed, rejected, trimWhiteSpace } from "./text.ts";

export const U16_MAX = 0xffff;
export const U32_MAX = 0xffff_ffff;

const RUST_UNSIGNED = /^\+?[0-9]+$/;

/** `f64::from_str` without its words: sign, digits with at most one point, exponent. */
const RUST_DECIMAL = /^([+-]?)(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))(?:[eE]([+-]?[0-9]+))?$/;

/** Rust's `str::parse` for u16 and u32: no spaces, one leading plus allowed, leading zeros do not overflow. */
export function parseUnsigned(text: string, maximum: number): Parsed<number> {
  const value = RUST_UNSIGNED.test(text) ? Number(text) : Number.NaN;
  return value <= maximum ? accepted(value) : rejected(text, `a whole number from 0 to ${maximum}, digits only`);
}

/** Rust's `str::parse::<f32>` and the range of `parse_consecutive_params`: 0 to 100, NaN and infinities rejected. */
export function parseJitterRatio(text: string): Parsed<number> {
  const value = nearestDouble(text);
  const ratio = value === undefined ? Number.NaN : nearestFloat32(text, value);
  return ratio >= 0 && ratio <= 100 ? accepted(ratio + 0) : rejected(text, "a number from 0 to 100");
}

/** Rust's `str::parse::<f64>` and the range of `parse_success_rate_params`: 0 to 1, NaN and infinities rejected. */
export function parseFraction(text: string): Parsed<number> {
  const value = nearestDouble(text) ?? Number.NaN;
  return value >= 0 && value <= 1 ? accepted(value + 0) : rejected(text, "a number from 0 to 1");
}

/** `parse_bool_annotation`: the tokens of Go's ParseBool, trimmed. Empty is not false. */
export function parseBool(text: string): Parsed<boolean> {
  switch (trimWhiteSpace(text)) {
    case "1":
    case "t":
    case "T":
    case "true":
    case "TRUE":
    case "True":
      return accepted(true);
    case "0":
    case "f":
    case "F":
    case "false":
    case "FALSE":
    case "False":
      return accepted(false);
    default:
      return rejected(text, "true or false");
  }
}

/** Both languages round decimal text to the nearest double; only the grammars differ. */
function nearestDouble(text: string): number | undefined {
  return RUST_DECIMAL.test(text) ? Number(text) : undefined;
}

/**
 * The f32 nearest to the decimal `text`, whose nearest double is `double`. Rounding twice is wrong only where the
 * double is exactly halfway between two f32 and the text is not: then the text decides.
 */
function nearestFloat32(text: string, double: number): number {
  const even = Math.fround(double);
  const odd = even + 2 * (double - even);
  const isHalfway = even !== double && Number.isFinite(even) && Math.fround(odd) === odd;
  if (!isHalfway) return even;
  const order = compareToDouble(text, double);
  if (order === 0) return even;
  return order > 0 ? Math.max(even, odd) : Math.min(even, odd);
}

/** Whether the decimal `text` is below (-1), exactly (0) or above (1) `double`, which has the same sign. */
function compareToDouble(text: string, double: number): number {
  const [, sign = "", whole = "", fraction = "", onlyFraction = "", exponent = "0"] = RUST_DECIMAL.exec(text) ?? [];
  const decimals = fraction + onlyFraction;
  const power = BigInt(exponent) - BigInt(decimals.length);
  let integer = Math.abs(double);
  let halvings = 0n;
  while (!Number.isInteger(integer)) {
    integer *= 2;
    halvings += 1n;
  }
  const left = BigInt(whole + decimals) * 2n ** halvings * (power > 0n ? 10n ** power : 1n);
  const right = BigInt(integer) * (power < 0n ? 10n ** -power : 1n);
  const magnitude = left < right ? -1 : left > right ? 1 : 0;
  return sign === "-" ? -magnitude : magnitude;
}
