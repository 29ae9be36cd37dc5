import type { Type } from "./types.ts";

/**
 * A value while an expression runs. JSON is taken as it is, without a copy: a whole JavaScript number read from JSON is
 * an int when it is looked at (`fromJson`), a plain object is a map with string keys of which only own properties
 * exist. Inside the evaluator a number is always a double and a bigint always an int.
 *
 * What a list or a plain object holds is therefore read with `fromJson` and written with `toElement`, whoever made it;
 * copying an element from one list to another needs neither. A `CelMap` gives and takes values as they are.
 */
export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | Uint
  | Timestamp
  | Duration
  | TypeValue
  | Optional
  | Opaque
  | readonly unknown[]
  | CelMap
  | Readonly<Record<string, unknown>>;

/** Unsigned 64-bit. */
export class Uint {
  readonly value: bigint;

  constructor(value: bigint) {
    this.value = value;
  }
}

/** Nanoseconds since 1970 in UTC; the year is 1 to 9999. */
export class Timestamp {
  readonly nanos: bigint;
  /** Of the zone it was written in, ahead of UTC; seen only when it becomes text again. */
  readonly offsetSeconds: number;

  constructor(nanos: bigint, offsetSeconds = 0) {
    this.nanos = nanos;
    this.offsetSeconds = offsetSeconds;
  }
}

export class Duration {
  readonly nanos: bigint;

  constructor(nanos: bigint) {
    this.nanos = nanos;
  }
}

/** What `type(x)` gives. */
export class TypeValue {
  readonly type: Type;

  constructor(type: Type) {
    this.type = type;
  }
}

export class Optional {
  static readonly none = new Optional(undefined);
  /** Undefined: none. */
  readonly value: Value | undefined;

  constructor(value: Value | undefined) {
    this.value = value;
  }
}

/** A value of a library; equality is its own. */
export interface Opaque {
  /** Name of the opaque type: `kubernetes.Quantity`. */
  readonly opaque: string;
  /** What reading it as a whole costs, in units beside the one of every call; absent: nothing. */
  readonly units?: number;
  equals(other: Opaque): boolean;
  /** For messages. */
  toString(): string;
}

/** A map made by an expression; keys are bool, int, uint or string, and 1, 1u and 1.0 are one key. */
export interface CelMap {
  readonly isCelMap: true;
  readonly size: number;
  get(key: Value): Value | undefined;
  has(key: Value): boolean;
  entries(): Iterable<readonly [Value, Value]>;
}

/** Why an expression has no result. Thrown without a stack: `||` and `&&` may absorb it, which must be cheap. */
export class CelError {
  /** As cel-go words it: `no such key: x`, `divide by zero`. */
  readonly message: string;
  /** True for the end of the budget and a panic, which nothing absorbs. */
  readonly fatal: boolean;

  constructor(message: string, fatal = false) {
    this.message = message;
    this.fatal = fatal;
  }
}

/**
 * Where cel-go panics and recovers: no operator of the expression absorbs it, as it would an error. Outside of the
 * expression it is an error like any other.
 */
export class CelPanic extends CelError {
  constructor(what: string) {
    super(`internal error: ${what}`, true);
  }
}

/** What a list or a plain object holds for a value that cannot stand there as it is, or is not known yet. */
abstract class StandIn {
  /** May throw a CelError. */
  abstract readonly value: Value;
}

/** A double without fraction: a bare 1 in a list is JSON's, and an int. */
export class WholeDouble extends StandIn {
  readonly value: number;

  constructor(value: number) {
    super();
    this.value = value;
  }
}

/** A value that is computed when it is first read, once; what the computation throws is thrown again at every read. */
export class LazyValue extends StandIn {
  readonly #compute: () => Value;
  #known: { readonly value: Value } | { readonly error: unknown } | undefined;

  constructor(compute: () => Value) {
    super();
    this.#compute = compute;
  }

  get value(): Value {
    const known = (this.#known ??= this.#first());
    if ("error" in known) {
      throw known.error;
    }
    return known.value;
  }

  #first(): { readonly value: Value } | { readonly error: unknown } {
    try {
      return { value: this.#compute() };
    } catch (error) {
      return { error };
    }
  }
}

/** 2^63; a whole number from there on does not fit an int and stays a double, as in the API server's JSON decoder. */
const INT_END = 9223372036854775808;

/** The value of an element of a list or of a property of a plain object. */
export function fromJson(element: unknown): Value {
  if (typeof element === "number") {
    return Number.isInteger(element) && element >= -INT_END && element < INT_END ? BigInt(element) : element;
  }
  if (typeof element === "object" && element instanceof StandIn) {
    return element.value;
  }
  return (element ?? null) as Value;
}

/** The other way round: what to put into a list so that `fromJson` gives the value back. */
export function toElement(value: Value): unknown {
  return typeof value === "number" && Number.isInteger(value) ? new WholeDouble(value) : value;
}

export function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

/** A JSON object. Told by its prototype, as its keys are anybody's: `{"isCelMap": true}` is no CelMap. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) {
    return false;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

export function isCelMap(value: unknown): value is CelMap {
  return typeof value === "object" && value !== null && !isRecord(value) && "isCelMap" in value;
}

export function isOpaque(value: unknown): value is Opaque {
  return typeof value === "object" && value !== null && !isRecord(value) && "opaque" in value;
}

/** The elements of a list as values. */
export function* elementsOf(list: readonly unknown[]): Generator<Value> {
  for (const element of list) {
    yield fromJson(element);
  }
}
