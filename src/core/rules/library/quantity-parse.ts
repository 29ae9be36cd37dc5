import { CelError } from "../cel/values.ts";

/** A decimal number as resource.Quantity of Kubernetes (apimachinery/pkg/api/resource) keeps it: unscaled * 10^scale. */
export interface Amount {
  readonly unscaled: bigint;
  readonly scale: number;
  /**
   * Kubernetes has two forms, a fast one in 64 bits and a slow one of any size, and calls only a value in the fast one
   * an integer. Which one it takes depends on how the number is written, not on its size alone.
   */
  readonly isFast: boolean;
}

const WRONG_FORM = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const WRONG_NUMBER = "unable to parse numeric part of quantity";
const WRONG_SUFFIX = "unable to parse quantity's suffix";

const NANO = -9;
/** Digits that surely fit 64 bits (maxInt64Factors). */
const FAST_DIGITS = 18;
/** The same for numbers with a binary suffix, before the digits of the suffix. */
const FAST_BINARY_DIGITS = 15;
const INT64_MAX = (1n << 63n) - 1n;
/** Beyond it Kubernetes computes powers of ten until its memory ends. */
const EXPONENT_MAX = 5_000;

const DECIMAL_SUFFIXES: ReadonlyMap<string, number> = new Map([
  ["n", -9],
  ["u", -6],
  ["m", -3],
  ["", 0],
  ["k", 3],
  ["M", 6],
  ["G", 9],
  ["T", 12],
  ["P", 15],
  ["E", 18],
]);
const BINARY_SUFFIXES: ReadonlyMap<string, number> = new Map([
  ["Ki", 10],
  ["Mi", 20],
  ["Gi", 30],
  ["Ti", 40],
  ["Pi", 50],
  ["Ei", 60],
]);

interface Suffix {
  readonly base: 2 | 10;
  readonly exponent: number;
}

/** Throws a CelError with Kubernetes' message. */
export function parseQuantity(text: string): Amount {
  // Kubernetes takes a number without digits, such as "Mi" or "+", for zero.
  const parts = /^([+-]?)0*(\d*)(?:\.(\d*))?([eEinumkKMGTP]*[-+]?\d*)$/.exec(text);
  if (parts === null || text === "") throw new CelError(WRONG_FORM);
  const [, sign = "", digits = "", fraction = "", rest = ""] = parts;
  const suffix = readSuffix(rest);
  const whole = digits === "" ? "0" : digits;
  const fast = fastAmount({ whole, fraction, suffix });
  const amount = fast ?? slowAmount(text.slice(0, text.length - rest.length), suffix);
  return sign === "-" ? { ...amount, unscaled: -amount.unscaled } : amount;
}

function readSuffix(text: string): Suffix {
  const decimal = DECIMAL_SUFFIXES.get(text);
  if (decimal !== undefined) return { base: 10, exponent: decimal };
  const binary = BINARY_SUFFIXES.get(text);
  if (binary !== undefined) return { base: 2, exponent: binary };
  const [, exponent] = /^[eE]([+-]?\d+)$/.exec(text) ?? [];
  if (exponent === undefined) throw new CelError(WRONG_SUFFIX);
  const value = BigInt(exponent.replace("+", ""));
  if (value !== BigInt.asIntN(64, value)) throw new CelError(WRONG_SUFFIX);
  return { base: 10, exponent: Number(BigInt.asIntN(32, value)) };
}

interface Parts {
  readonly whole: string;
  readonly fraction: string;
  readonly suffix: Suffix;
}

function fastAmount({ whole, fraction, suffix }: Parts): Amount | undefined {
  const { base, exponent } = suffix;
  const isBinary = base === 2;
  if (isBinary && fraction !== "") return undefined;
  const room = isBinary
    ? FAST_BINARY_DIGITS - whole.length - Math.trunc((exponent * 3) / 10) - 1
    : FAST_DIGITS - whole.length - fraction.length;
  const scale = (isBinary ? 0 : exponent) - fraction.length;
  if (room < 0 || scale < NANO) return undefined;
  const unscaled = BigInt(whole + fraction) * (isBinary ? 1n << BigInt(exponent) : 1n);
  return unscaled > INT64_MAX ? undefined : { unscaled, scale, isFast: true };
}

/** Without its sign. Brought to a billionth, away from zero. */
function slowAmount(number: string, { base, exponent }: Suffix): Amount {
  const [, whole = "", fraction = ""] = /^[+-]?(\d*)\.?(\d*)$/.exec(number) ?? [];
  if (whole + fraction === "" || exponent > EXPONENT_MAX) throw new CelError(WRONG_NUMBER);
  const digits = BigInt(whole + fraction) * (base === 2 ? 1n << BigInt(exponent) : 1n);
  const scale = (base === 2 ? 0 : exponent) - fraction.length;
  const isFast = false;
  if (digits === 0n) return { unscaled: 0n, scale, isFast };
  const unscaled = inBillionths(digits, scale);
  const isCapped = base === 2 && unscaled > INT64_MAX * 10n ** 9n;
  return isCapped ? { unscaled: INT64_MAX, scale: 0, isFast } : { unscaled, scale: NANO, isFast };
}

function inBillionths(digits: bigint, scale: number): bigint {
  const shift = scale - NANO;
  if (shift >= 0) return digits * 10n ** BigInt(shift);
  // So far behind the point that one billionth is left.
  if (-shift > digits.toString().length) return 1n;
  const divisor = 10n ** BigInt(-shift);
  return (digits + divisor - 1n) / divisor;
}
