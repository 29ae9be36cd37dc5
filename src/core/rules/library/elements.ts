import { equal } from "../cel/standard-compare.ts";
import { CelError, fromJson, type Value } from "../cel/values.ts";

export type List = readonly unknown[];

/** Equality where an error, such as that of two things that cannot be compared, means no. */
export function isSame(a: Value, b: Value): boolean {
  try {
    return equal(a, b);
  } catch (error) {
    if (error instanceof CelError && !error.fatal) return false;
    throw error;
  }
}

/** Whether a list has an element that is equal to the given one, both as lists hold them. */
export function includes(list: List, element: unknown): boolean {
  const wanted = fromJson(element);
  return list.some((other) => isSame(fromJson(other), wanted));
}
