/**
 * How `format` of CEL writes doubles for `%f` and `%e`: golang.org/x/text with English rules. Digits are exact and ties
 * go to the even digit, while toFixed and toExponential of JavaScript round ties up.
 */

/** Fraction digits behind which every double is zero: the least is 5e-324, a sum of halves down to 2^-1074. */
const FRACTION_MAX = 1074;
/** Of `%e`, which takes its precision as a width instead (as cel-go does up to version 3 of its strings). */
const SCIENTIFIC_DIGITS = 6;
const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
/** Fraction bits of a double, and how far behind the point its very last bit may be (IEEE 754). */
const FRACTION_BITS = 52n;
const LEAST_SHIFT = 1074n;

/** Doubles from here on are whole (2^52). */
const WHOLE_FROM = 4_503_599_627_370_496;

/** Digits of Go's `%f`. */
const PLAIN_DIGITS = 6;

/** `%.3f`: 1234.5 is `1,234.500`. */
export function fixed(value: number, precision: number): string {
  const special = specialText(value);
  if (special !== undefined) return special;
  const [whole, fraction] = fixedParts(Math.abs(value), precision);
  return `${sign(value)}${grouped(whole)}${fraction}`;
}

/** The digits before the point, and what comes from the point on. */
function fixedParts(value: number, precision: number): readonly [string, string] {
  const digits = fixedDigits(value, precision).padStart(precision + 1, "0");
  const whole = digits.slice(0, digits.length - precision);
  return [whole, precision === 0 ? "" : `.${digits.slice(-precision)}`];
}

function grouped(digits: string): string {
  const first = digits.length % 3;
  const groups = digits.slice(first).match(/\d{3}/g) ?? [];
  return (first === 0 ? groups : [digits.slice(0, first), ...groups]).join(",");
}

/** As `%.6f` of Go's own fmt: without groups. */
export function plainFixed(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  const minus = value < 0 || Object.is(value, -0) ? "-" : "";
  return minus + fixedParts(Math.abs(value), PLAIN_DIGITS).join("");
}

/** `%e`: 1052.03 is `1.052030×10⁰³`. */
export function scientific(value: number, width: number): string {
  return (specialText(value) ?? scientificText(value)).padStart(width);
}

function specialText(value: number): string | undefined {
  if (Number.isNaN(value)) return "NaN";
  if (Number.isFinite(value)) return undefined;
  return value > 0 ? "∞" : "-∞";
}

function sign(value: number): string {
  return value < 0 ? "-" : "";
}

/** The digits of the value times ten to the power of `precision`, rounded. */
function fixedDigits(value: number, precision: number): string {
  if (value >= WHOLE_FROM) return BigInt(value).toString() + "0".repeat(precision);
  // Far from the half that would be rounded up.
  if (value * 10 ** (precision + 1) < 1) return "0".repeat(precision);
  const exact = Math.min(precision, FRACTION_MAX);
  const [numerator, denominator] = fraction(value);
  return divideToEven(numerator * 10n ** BigInt(exact), denominator).toString() + "0".repeat(precision - exact);
}

function scientificText(value: number): string {
  if (value === 0) return `${sign(value)}0.${"0".repeat(SCIENTIFIC_DIGITS)}×10${superscript(0)}`;
  const [numerator, denominator] = fraction(Math.abs(value));
  // The logarithm may be off by one near a power of ten, and rounding may reach the next power.
  for (let exponent = Math.floor(Math.log10(Math.abs(value))) - 1; ; exponent++) {
    const digits = digitsAt(numerator, denominator, SCIENTIFIC_DIGITS - exponent);
    if (digits.length > SCIENTIFIC_DIGITS + 1) continue;
    return `${sign(value)}${digits.slice(0, 1)}.${digits.slice(1)}×10${superscript(exponent)}`;
  }
}

function digitsAt(numerator: bigint, denominator: bigint, shift: number): string {
  const scale = 10n ** BigInt(Math.abs(shift));
  return (
    shift < 0 ? divideToEven(numerator, denominator * scale) : divideToEven(numerator * scale, denominator)
  ).toString();
}

function superscript(exponent: number): string {
  const digits = Math.abs(exponent).toString().padStart(2, "0");
  return (exponent < 0 ? "⁻" : "") + digits.replace(/\d/g, (digit) => SUPERSCRIPTS.charAt(Number(digit)));
}

/** The value, not negative, as a quotient of two integers, exactly. */
function fraction(value: number): readonly [bigint, bigint] {
  const bits = new BigUint64Array(new Float64Array([value]).buffer)[0] ?? 0n;
  const stored = bits >> FRACTION_BITS;
  const mantissa = bits & ((1n << FRACTION_BITS) - 1n);
  if (stored === 0n) return [mantissa, 1n << LEAST_SHIFT];
  const whole = mantissa | (1n << FRACTION_BITS);
  const shift = stored - 1n - LEAST_SHIFT;
  return shift < 0n ? [whole, 1n << -shift] : [whole << shift, 1n];
}

function divideToEven(numerator: bigint, denominator: bigint): bigint {
  const quotient = numerator / denominator;
  const twice = (numerator % denominator) * 2n;
  const up = twice > denominator || (twice === denominator && quotient % 2n === 1n);
  return up ? quotient + 1n : quotient;
}
