import { typeName } from "./standard-types.ts";
import {
  CelPanic,
  Duration,
  fromJson,
  isRecord,
  Timestamp,
  TypeValue,
  Uint,
  type CelMap,
  type Value,
} from "./values.ts";

type Canonical = string | bigint | boolean | number | null;
type AnyMap = CelMap | Readonly<Record<string, unknown>>;

/** One form for keys that are equal: 1, 1u and 1.0. Undefined: it has none. */
function canonical(key: Value): Canonical | undefined {
  if (key === null || typeof key === "string" || typeof key === "bigint" || typeof key === "boolean") {
    return key;
  }
  if (typeof key === "number") {
    return Number.isInteger(key) ? BigInt(key) : key;
  }
  return key instanceof Uint ? key.value : undefined;
}

/** Whether Go takes two keys without a canonical form for one: by value, and where it has a pointer by that. */
function isSameKey(a: Value, b: Value): boolean {
  if ((a instanceof Timestamp && b instanceof Timestamp) || (a instanceof Duration && b instanceof Duration)) {
    return a.nanos === b.nanos;
  }
  return a instanceof TypeValue && b instanceof TypeValue ? typeName(a.type) === typeName(b.type) : a === b;
}

/** Go cannot look for these in a map. */
export function refuseBytes(key: Value): void {
  if (key instanceof Uint8Array) {
    throw new CelPanic("runtime error: hash of unhashable type types.Bytes");
  }
}

/** A map that an expression makes. Any value is a key, as in cel-go, though only a canonical one can be an index. */
export class ExpressionMap implements CelMap {
  readonly isCelMap = true;
  /** The rare keys without a canonical form stand for themselves. */
  readonly #entries = new Map<unknown, readonly [Value, Value]>();
  readonly #rare: Value[] = [];

  get size(): number {
    return this.#entries.size;
  }

  get(key: Value): Value | undefined {
    if (this.#entries.size === 0) {
      return undefined;
    }
    refuseBytes(key);
    return this.#entries.get(this.#form(key))?.[1];
  }

  has(key: Value): boolean {
    return this.get(key) !== undefined;
  }

  entries(): Iterable<readonly [Value, Value]> {
    return this.#entries.values();
  }

  /** For whoever is still building it: of two values the later one stays. Throws a CelPanic for bytes. */
  set(key: Value, value: Value): void {
    refuseBytes(key);
    const form = this.#form(key);
    if (canonical(key) === undefined && !this.#entries.has(form)) {
      this.#rare.push(key);
    }
    this.#entries.set(form, [key, value]);
  }

  #form(key: Value): unknown {
    const form = canonical(key);
    return form === undefined ? (this.#rare.find((other) => isSameKey(other, key)) ?? key) : form;
  }
}

/** A field of a JSON object, undefined if it has none: only its own count, so `constructor` is a name like another. */
export function ownField(record: Readonly<Record<string, unknown>>, name: string): Value | undefined {
  const found = Object.hasOwn(record, name) ? record[name] : undefined;
  return found === undefined ? undefined : fromJson(found);
}

export function lookUp(map: AnyMap, key: Value): Value | undefined {
  if (isRecord(map)) {
    return typeof key === "string" ? ownField(map, key) : undefined;
  }
  return map.get(key);
}

export function keysOf(map: AnyMap): readonly Value[] {
  return isRecord(map) ? Object.keys(map) : [...map.entries()].map(([key]) => key);
}

export function entriesOf(map: AnyMap): readonly (readonly [Value, Value])[] {
  return isRecord(map)
    ? Object.entries(map).map(([key, value]) => [key, fromJson(value)] as const)
    : [...map.entries()];
}

export function sizeOfMap(map: AnyMap): number {
  return isRecord(map) ? Object.keys(map).length : map.size;
}
