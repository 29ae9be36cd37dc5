import { INT_MAX, INT_MIN, UINT_MAX } from "./parser-literals.ts";
import { addTimes, subtractTimes } from "./timestamps.ts";
import { CelError, Uint, type Value } from "./values.ts";

/** Throws a CelError if that is no 64-bit integer. */
export function int(value: bigint): bigint {
  if (value > INT_MAX || value < INT_MIN) {
    throw new CelError("integer overflow");
  }
  return value;
}

/** Throws a CelError if that is no unsigned 64-bit integer. */
export function uint(value: bigint): Uint {
  if (value < 0n || value > UINT_MAX) {
    throw new CelError("unsigned integer overflow");
  }
  return new Uint(value);
}

const NO_SUCH_OVERLOAD = "no such overload";

function concatenated(a: Uint8Array, b: Uint8Array): Uint8Array {
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}

/** `a + b`; throws a CelError, as all of these do. */
export function add(a: Value, b: Value): Value {
  if (typeof a === "bigint" && typeof b === "bigint") {
    return int(a + b);
  }
  if (typeof a === "string" && typeof b === "string") {
    return a + b;
  }
  if (typeof a === "number" && typeof b === "number") {
    return a + b;
  }
  if (a instanceof Uint && b instanceof Uint) {
    return uint(a.value + b.value);
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.concat(b);
  }
  return a instanceof Uint8Array && b instanceof Uint8Array ? concatenated(a, b) : addTimes(a, b);
}

export function subtract(a: Value, b: Value): Value {
  if (typeof a === "bigint" && typeof b === "bigint") {
    return int(a - b);
  }
  if (typeof a === "number" && typeof b === "number") {
    return a - b;
  }
  return a instanceof Uint && b instanceof Uint ? uint(a.value - b.value) : subtractTimes(a, b);
}

export function multiply(a: Value, b: Value): Value {
  if (typeof a === "bigint" && typeof b === "bigint") {
    return int(a * b);
  }
  if (typeof a === "number" && typeof b === "number") {
    return a * b;
  }
  if (a instanceof Uint && b instanceof Uint) {
    return uint(a.value * b.value);
  }
  throw new CelError(NO_SUCH_OVERLOAD);
}

function divisor(value: bigint, message: string): bigint {
  if (value === 0n) {
    throw new CelError(message);
  }
  return value;
}

export function divide(a: Value, b: Value): Value {
  if (typeof a === "bigint" && typeof b === "bigint") {
    return int(a / divisor(b, "division by zero"));
  }
  if (typeof a === "number" && typeof b === "number") {
    return a / b;
  }
  if (a instanceof Uint && b instanceof Uint) {
    return uint(a.value / divisor(b.value, "division by zero"));
  }
  throw new CelError(NO_SUCH_OVERLOAD);
}

export function modulo(a: Value, b: Value): Value {
  if (typeof a === "bigint" && typeof b === "bigint") {
    // cel-go calls this one an overflow though the rest would be 0.
    return a === INT_MIN && b === -1n ? int(-a) : a % divisor(b, "modulus by zero");
  }
  if (a instanceof Uint && b instanceof Uint) {
    return uint(a.value % divisor(b.value, "modulus by zero"));
  }
  throw new CelError(NO_SUCH_OVERLOAD);
}

export function negate(a: Value): Value {
  if (typeof a === "bigint") {
    return int(-a);
  }
  if (typeof a === "number") {
    return -a;
  }
  throw new CelError(NO_SUCH_OVERLOAD);
}
