import { Optional, Uint, type Value, isCelMap, isRecord, fromJson } from "./values.ts";
import { entriesOf, sizeOfMap } from "./standard-maps.ts";

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

export function matchCost(text: Value | undefined, pattern: Value | undefined): number {
  return traversal(1 + costSize(text)) * Math.ceil(costSize(pattern) * PATTERN);
}

/** Of comparing two values: what can be told from the shorter. */
export function compareCost(a: Value, b: Value): number {
  if (typeof a !== "object" && typeof a !== "string") {
    return 1;
  }
  const size = costSize(a);
  return traversal(size === costSize(b) ? deepSize(a) : Math.min(size, costSize(b)));
}

/** What a value holds at all depths: cel-go counts the outermost only, and a loop over large objects would be free. */
function deepSize(value: Value): number {
  if (Array.isArray(value)) {
    return value.reduce((sum: number, element) => sum + deepSize(fromJson(element)), 0);
  }
  if (isRecord(value) || isCelMap(value)) {
    return entriesOf(value).reduce((sum, [, entry]) => sum + deepSize(entry), 0);
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
