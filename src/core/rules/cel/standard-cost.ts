import { Optional, Uint, type Value, isCelMap, isOpaque, isRecord, fromJson } from "./values.ts";
import { patternSize } from "../library/pattern-size.ts";
import { keysOf, lookUp, sizeOfMap } from "./standard-maps.ts";

/** Units for each character that is read, and for each of a pattern (StringTraversalCostFactor, RegexStringLengthCostFactor of cel-go's common/cost.go). */
export const TRAVERSAL = 0.1;
const PATTERN = 0.25;

/** What a value counts for when it is read: its length, 1 for what has none. */
export function costSize(value: Value | undefined): number {
  if (typeof value === "string" || Array.isArray(value)) {
    return value.length;
  }
  if (typeof value !== "object" || value === null || value instanceof Uint) {
    return 1;
  }
  if (value instanceof Uint8Array) {
    return value.length;
  }
  if (isRecord(value) || isCelMap(value)) {
    return sizeOfMap(value);
  }
  return value instanceof Optional && value.value !== undefined ? costSize(value.value) : 1;
}

/** Of reading that many. */
export function traversal(size: number): number {
  return Math.ceil(size * TRAVERSAL);
}

/** Characters for a unit where cel-go counts none for reading a text, however long it is. */
export const CHARACTERS_A_UNIT = 128;

/** For asking the time zone database, and for parsing a URL however short, which cel-go counts as nothing. */
export const ZONE_UNITS = 20;
export const URL_UNITS = 20;

export function lengthCost(text: Value | undefined): number {
  return typeof text === "string" ? Math.floor(text.length / CHARACTERS_A_UNIT) : 0;
}

export function matchCost(text: Value | undefined, pattern: Value | undefined): number {
  const size = typeof pattern === "string" ? patternSize(pattern) : costSize(pattern);
  return traversal(1 + costSize(text)) * Math.ceil(size * PATTERN);
}

/** Of comparing two values: what can be told from the shorter. */
export function compareCost(a: Value, b: Value): number {
  if (typeof a !== "object" && typeof a !== "string") {
    return 1;
  }
  if (isOpaque(a)) {
    return 1 + (a.units ?? 0) + (isOpaque(b) ? (b.units ?? 0) : 0);
  }
  const size = costSize(a);
  return traversal(size === costSize(b) ? deepSize(a) : Math.min(size, costSize(b)));
}

/** What finding and comparing an element of a list, or an entry of a map, counts for beside what it holds. */
const ELEMENT_SIZE = 1;
const ENTRY_SIZE = 6;

/** What a value holds at all depths: cel-go counts the outermost only, and a loop over large objects would be free. */
function deepSize(value: Value): number {
  let size = 0;
  if (Array.isArray(value)) {
    for (const element of value) {
      size += ELEMENT_SIZE + (typeof element === "object" ? deepSize(fromJson(element)) : costSize(element));
    }
    return size;
  }
  if (isRecord(value)) {
    for (const key of Object.keys(value)) {
      size += ENTRY_SIZE + deepSize(fromJson(value[key]));
    }
    return size;
  }
  if (isCelMap(value)) {
    for (const key of keysOf(value)) {
      size += ENTRY_SIZE + deepSize(lookUp(value, key) ?? null);
    }
    return size;
  }
  return value instanceof Optional && value.value !== undefined ? deepSize(value.value) : Math.max(1, costSize(value));
}

/** Of looking for a value among the elements of a list. */
export function searchCost(value: Value, container: Value): number {
  if (!Array.isArray(container)) {
    return 1;
  }
  return container.length * (typeof value === "object" ? Math.max(1, traversal(deepSize(value))) : 1);
}

/** Of joining two; lists are copied here, which cel-go avoids and therefore counts as 1. */
export function addCost(a: Value, b: Value): number {
  if (typeof a === "string" || a instanceof Uint8Array) {
    return traversal(costSize(a) + costSize(b));
  }
  return Array.isArray(a) ? Math.max(1, traversal(costSize(a) + costSize(b))) : 1;
}
