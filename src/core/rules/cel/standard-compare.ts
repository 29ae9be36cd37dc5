import {
  CelError,
  Duration,
  fromJson,
  isCelMap,
  isOpaque,
  isRecord,
  Optional,
  Timestamp,
  TypeValue,
  Uint,
  type CelMap,
  type Value,
} from "./values.ts";
import { keysOf, lookUp, sizeOfMap } from "./standard-maps.ts";
import { typeName } from "./standard-types.ts";

const INT_END = 9223372036854775808;
const UINT_END = 18446744073709551616;

/** As cel-go compares them: beyond the range of the other type by size, within it as doubles, which rounds. */
function compareWithDouble(whole: bigint, double: number): number {
  if (double > UINT_END || (double > INT_END && whole < BigInt(INT_END))) {
    return -1;
  }
  return double < -INT_END ? 1 : Math.sign(Number(whole) - double);
}

/** Negative, zero or positive; undefined: not both numbers, or one is NaN. */
function compareNumbers(a: Value, b: Value): number | undefined {
  const left = a instanceof Uint ? a.value : a;
  const right = b instanceof Uint ? b.value : b;
  if (typeof left === "bigint") {
    if (typeof right === "bigint") {
      return left < right ? -1 : left > right ? 1 : 0;
    }
    return typeof right === "number" && !Number.isNaN(right) ? compareWithDouble(left, right) : undefined;
  }
  if (typeof left !== "number" || Number.isNaN(left)) {
    return undefined;
  }
  if (typeof right === "bigint") {
    return -compareWithDouble(right, left);
  }
  return typeof right === "number" && !Number.isNaN(right) ? (left < right ? -1 : left > right ? 1 : 0) : undefined;
}

export function isNumber(value: Value): value is bigint | number | Uint {
  return typeof value === "bigint" || typeof value === "number" || value instanceof Uint;
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

function equalLists(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((element, at) => equalElements(element, b[at]));
}

/** Of what JSON holds: two numbers are the same value if they are the same number. */
function equalElements(a: unknown, b: unknown): boolean {
  return typeof a === "number" && typeof b === "number" ? a === b : equal(fromJson(a), fromJson(b));
}

type AnyMap = CelMap | Readonly<Record<string, unknown>>;

function equalRecords(a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): boolean {
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) {
    return false;
  }
  for (const key of keys) {
    if (!Object.hasOwn(b, key) || !equalElements(a[key], b[key])) {
      return false;
    }
  }
  return true;
}

function equalMaps(a: AnyMap, b: AnyMap): boolean {
  if (isRecord(a) && isRecord(b)) {
    return equalRecords(a, b);
  }
  if (sizeOfMap(a) !== sizeOfMap(b)) {
    return false;
  }
  for (const key of keysOf(a)) {
    const left = lookUp(a, key);
    const right = lookUp(b, key);
    if (left === undefined || right === undefined || !equal(left, right)) {
      return false;
    }
  }
  return true;
}

/**
 * Equality across all types: what cannot be compared is not equal, 1 == 1.0 == 1u, NaN equals nothing. A value of a
 * library, if it stands first, is compared with its like and null only; anything else is a CelError, as in Kubernetes.
 */
export function equal(a: Value, b: Value): boolean {
  if (typeof a !== "object" && typeof a === typeof b) {
    return a === b;
  }
  if (a === null || b === null) {
    return a === b;
  }
  if (isNumber(a)) {
    return isNumber(b) && compareNumbers(a, b) === 0;
  }
  if (typeof a !== "object") {
    return false;
  }
  if (Array.isArray(a)) {
    return Array.isArray(b) && equalLists(a, b);
  }
  if (isRecord(a) || isCelMap(a)) {
    return (isRecord(b) || isCelMap(b)) && equalMaps(a, b);
  }
  return equalObjects(a, b);
}

function equalObjects(a: Value, b: Value): boolean {
  if (a instanceof Uint8Array) {
    return b instanceof Uint8Array && equalBytes(a, b);
  }
  if (a instanceof Timestamp) {
    return b instanceof Timestamp && a.nanos === b.nanos;
  }
  if (a instanceof Duration) {
    return b instanceof Duration && a.nanos === b.nanos;
  }
  if (a instanceof TypeValue) {
    return b instanceof TypeValue && typeName(a.type) === typeName(b.type);
  }
  if (a instanceof Optional) {
    const isSame = b instanceof Optional && (a.value === undefined) === (b.value === undefined);
    return isSame && (a.value === undefined || b.value === undefined || equal(a.value, b.value));
  }
  if (!isOpaque(a)) {
    return false;
  }
  if (!isOpaque(b) || a.opaque !== b.opaque) {
    throw new CelError("no such overload");
  }
  return a.equals(b);
}

/** By code points, which for characters beyond 16 bits is not the order of JavaScript. */
export function compareStrings(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left !== right) {
      return rank(left) - rank(right);
    }
  }
  return a.length - b.length;
}

/** Surrogates stand for characters behind U+FFFF. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const at = a.findIndex((byte, index) => byte !== b[index]);
  return at < 0 || at >= b.length ? a.length - b.length : (a[at] ?? 0) - (b[at] ?? 0);
}

/** Negative, zero or positive. Throws a CelError for values without an order. */
export function compare(a: Value, b: Value): number {
  if (typeof a === "string" && typeof b === "string") {
    return compareStrings(a, b);
  }
  if (isNumber(a) && (isNumber(b) || Number.isNaN(a))) {
    const order = compareNumbers(a, b);
    if (order === undefined) {
      throw new CelError("NaN values cannot be ordered");
    }
    return order;
  }
  if (typeof a === "boolean" && typeof b === "boolean") {
    return Number(a) - Number(b);
  }
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    return compareBytes(a, b);
  }
  if ((a instanceof Timestamp && b instanceof Timestamp) || (a instanceof Duration && b instanceof Duration)) {
    return a.nanos < b.nanos ? -1 : a.nanos > b.nanos ? 1 : 0;
  }
  throw new CelError("no such overload");
}
