import { CelError, fromJson, isRecord, Uint, type CelMap, type Value } from "./values.ts";

type Canonical = string | bigint | boolean | number;
type AnyMap = CelMap | Readonly<Record<string, unknown>>;

/** One form for keys that are equal: 1, 1u and 1.0. Undefined: no key can be equal to that. */
function canonical(key: Value): Canonical | undefined {
  if (typeof key === "string" || typeof key === "bigint" || typeof key === "boolean") {
    return key;
  }
  if (typeof key === "number") {
    return Number.isInteger(key) ? BigInt(key) : key;
  }
  return key instanceof Uint ? key.value : undefined;
}

/** A map that an expression makes. */
export class ExpressionMap implements CelMap {
  readonly isCelMap = true;
  readonly #entries = new Map<Canonical, readonly [Value, Value]>();

  get size(): number {
    return this.#entries.size;
  }

  get(key: Value): Value | undefined {
    if (key instanceof Uint8Array) {
      // Go panics over it and cel-go recovers; false would be an answer where Kubernetes has none.
      throw new CelError("internal error: runtime error: hash of unhashable type types.Bytes");
    }
    const found = canonical(key);
    return found === undefined ? undefined : this.#entries.get(found)?.[1];
  }

  has(key: Value): boolean {
    return this.get(key) !== undefined;
  }

  entries(): Iterable<readonly [Value, Value]> {
    return this.#entries.values();
  }

  /** For whoever is still building it: of two values the later one stays. Throws a CelError for a key of another type. */
  set(key: Value, value: Value): void {
    const found = canonical(key);
    if (found === undefined) {
      throw new CelError("unsupported key type");
    }
    this.#entries.set(found, [key, value]);
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
