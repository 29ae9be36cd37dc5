import { encodeUtf8, INT_MAX, INT_MIN, UINT_MAX } from "./parser-literals.ts";
import { int, uint } from "./standard-arithmetic.ts";
import { typeName, typeOf } from "./standard-types.ts";
import {
  floorDivide,
  formatDuration,
  formatTimestamp,
  parseDuration,
  parseTimestamp,
  timestampOf,
} from "./timestamps.ts";
import { CelError, Duration, Timestamp, Uint, type Value } from "./values.ts";

function impossible(value: Value, target: string): never {
  throw new CelError(`type conversion error from '${typeName(typeOf(value))}' to '${target}'`);
}

function noOverload(name: string, value: Value): never {
  throw new CelError(`no such overload: ${name}(${typeName(typeOf(value))})`);
}

/** 2^63; the ends themselves are refused, as in cel-go. */
const INT_END = 9223372036854775808;

export function toInt(value: Value): bigint {
  if (typeof value === "bigint") {
    return value;
  }
  if (value instanceof Uint) {
    return int(value.value);
  }
  if (typeof value === "number") {
    if (!(value > -INT_END && value < INT_END)) {
      throw new CelError("integer overflow");
    }
    return BigInt(Math.trunc(value));
  }
  if (typeof value === "string") {
    const found = /^[+-]?\d+$/.test(value) ? BigInt(value.replace(/^\+/, "")) : impossible(value, "int");
    return found > INT_MAX || found < INT_MIN ? impossible(value, "int") : found;
  }
  if (value instanceof Timestamp) {
    return floorDivide(value.nanos, 1_000_000_000n);
  }
  return value instanceof Duration ? value.nanos : noOverload("int", value);
}

export function toUint(value: Value): Uint {
  if (value instanceof Uint) {
    return value;
  }
  if (typeof value === "bigint") {
    return uint(value);
  }
  if (typeof value === "number") {
    if (!(value >= 0 && value < 2 * INT_END)) {
      throw new CelError("unsigned integer overflow");
    }
    return new Uint(BigInt(Math.trunc(value)));
  }
  if (typeof value === "string") {
    const found = /^\d+$/.test(value) ? BigInt(value) : impossible(value, "uint");
    return found > UINT_MAX ? impossible(value, "uint") : new Uint(found);
  }
  return noOverload("uint", value);
}

const HEXADECIMAL = /^([+-]?)0[xX]([0-9a-fA-F]*)\.?([0-9a-fA-F]*)[pP]([+-]?\d+)$/;

/** As Go's strconv.ParseFloat, with its words for what is no number. */
function parseDouble(literal: string): number | undefined {
  const text = literal.replaceAll(/(?<=\d)_(?=\d)/g, "");
  if (/^[+-]?(?:inf|infinity)$/i.test(text)) {
    return text.startsWith("-") ? -Infinity : Infinity;
  }
  if (/^nan$/i.test(text)) {
    return Number.NaN;
  }
  const [, sign, whole = "", fraction = "", exponent = ""] = HEXADECIMAL.exec(text) ?? [];
  if (sign !== undefined && whole + fraction !== "") {
    const size = Number(BigInt(`0x${whole}${fraction}`)) * 2 ** (Number(exponent) - 4 * fraction.length);
    return sign === "-" ? -size : size;
  }
  const value = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text) ? Number(text) : Number.NaN;
  return Number.isFinite(value) ? value : undefined;
}

export function toDouble(value: Value): number {
  if (typeof value === "number") {
    return value;
  }
  if (typeof value === "bigint") {
    return Number(value);
  }
  if (value instanceof Uint) {
    return Number(value.value);
  }
  return typeof value === "string" ? (parseDouble(value) ?? impossible(value, "double")) : noOverload("double", value);
}

const BOOLS: ReadonlyMap<string, boolean> = new Map([
  ...["1", "t", "T", "true", "TRUE", "True"].map((text) => [text, true] as const),
  ...["0", "f", "F", "false", "FALSE", "False"].map((text) => [text, false] as const),
]);

export function toBool(value: Value): boolean {
  if (typeof value === "boolean") {
    return value;
  }
  return typeof value === "string" ? (BOOLS.get(value) ?? impossible(value, "bool")) : noOverload("bool", value);
}

/** The shortest digits that give the double back, with an exponent below 1e-4 and from 1e6 on: Go's `%g`. */
export function formatDouble(value: number): string {
  if (!Number.isFinite(value)) {
    return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
  }
  if (Object.is(value, -0)) {
    return "-0";
  }
  const [digits = "", exponent = ""] = value.toExponential().split("e");
  const power = Number(exponent);
  if (power >= -4 && power < 6) {
    return String(value);
  }
  return `${digits}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}

/** Undefined: those bytes are no UTF-8. */
function decodeUtf8(bytes: Uint8Array): string | undefined {
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at] ?? 0;
    const length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    const rest = bytes.subarray(at + 1, at + length);
    if (length === 0 || rest.length < length - 1 || !rest.every((byte) => (byte & 0xc0) === 0x80)) {
      return undefined;
    }
    const code = rest.reduce((sum, byte) => (sum << 6) | (byte & 63), length === 1 ? first : first & (0x7f >> length));
    const least = [0, 0, 0x80, 0x800, 0x10000][length] ?? 0;
    if (code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
      return undefined;
    }
    text += String.fromCodePoint(code);
    at += length;
  }
  return text;
}

export function toText(value: Value): string {
  if (typeof value === "string") {
    return value;
  }
  if (typeof value === "boolean" || typeof value === "bigint") {
    return String(value);
  }
  if (typeof value === "number") {
    return formatDouble(value);
  }
  if (value instanceof Uint) {
    return String(value.value);
  }
  if (value instanceof Uint8Array) {
    const text = decodeUtf8(value);
    if (text === undefined) {
      throw new CelError("invalid UTF-8 in bytes, cannot convert to string");
    }
    return text;
  }
  if (value instanceof Timestamp) {
    return formatTimestamp(value);
  }
  return value instanceof Duration ? formatDuration(value) : noOverload("string", value);
}

export function toBytes(value: Value): Uint8Array {
  if (value instanceof Uint8Array) {
    return value;
  }
  return typeof value === "string" ? encodeUtf8(value) : noOverload("bytes", value);
}

export function toTimestamp(value: Value): Timestamp {
  if (value instanceof Timestamp) {
    return value;
  }
  if (typeof value === "bigint") {
    return timestampOf(value * 1_000_000_000n);
  }
  const target = "google.protobuf.Timestamp";
  return typeof value === "string"
    ? (parseTimestamp(value) ?? impossible(value, target))
    : noOverload("timestamp", value);
}

export function toDuration(value: Value): Duration {
  if (value instanceof Duration) {
    return value;
  }
  if (typeof value === "string") {
    return parseDuration(value) ?? impossible(value, "google.protobuf.Duration");
  }
  return typeof value === "bigint" ? impossible(value, "google.protobuf.Duration") : noOverload("duration", value);
}

/** A key or an index as messages name it. */
export function keyText(key: Value): string {
  return key === null || typeof key !== "object" || key instanceof Uint ? toText(key ?? "null") : typeName(typeOf(key));
}
