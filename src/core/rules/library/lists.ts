import type { FunctionDeclaration, Library } from "../cel/library.ts";
import { add } from "../cel/standard-arithmetic.ts";
import { compare } from "../cel/standard-compare.ts";
import type { Type } from "../cel/types.ts";
import { CelError, Duration, elementsOf, fromJson, Timestamp, Uint, type Value } from "../cel/values.ts";
import { BOOL, declare, INT, listOf, method } from "./define.ts";
import { isSame, type List } from "./elements.ts";
import { traversalOf } from "./traversal.ts";

const A: Type = { kind: "parameter", name: "A" };

/** The types with an order, in the order in which Kubernetes and cel-go try them. */
export const COMPARABLE: readonly Type[] = (
  ["int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes"] as const
).map((kind) => ({ kind }));

const ZEROS = { int: 0n, uint: new Uint(0n), double: 0, duration: new Duration(0n) } as const;

/** Kubernetes' own lists (apiserver/pkg/cel/library/lists.go in 1.36, so without `includes`). */
export const lists: Library = {
  functions: [
    declare(
      "isSorted",
      ...COMPARABLE.map((type) =>
        method({ ...on(type, "is_sorted_bool"), result: BOOL, call: isSorted, cost: traversalOf }),
      ),
    ),
    declare(
      "sum",
      ...(["int", "uint", "double", "duration"] as const).map((kind) =>
        method({
          ...on({ kind }, `sum_${kind}`),
          result: { kind },
          call: (list: List) => sum(list, ZEROS[kind]),
          cost: traversalOf,
        }),
      ),
    ),
    extreme("min", (order) => order > 0),
    extreme("max", (order) => order < 0),
    position("indexOf", "list_a_index_of_int", (list, item) => list.findIndex((element) => isItem(element, item))),
    position("lastIndexOf", "list_a_last_index_of_int", (list, item) =>
      list.findLastIndex((element) => isItem(element, item)),
    ),
  ],
};

function on(type: Type, name: string): { readonly id: string; readonly parameters: readonly Type[] } {
  return { id: `list_${type.kind}_${name}`, parameters: [listOf(type)] };
}

function extreme(name: "min" | "max", isBetter: (order: number) => boolean): FunctionDeclaration {
  const call = (list: List) => {
    let best: Value | undefined;
    for (const element of comparableElements(list)) {
      if (best === undefined || isBetter(orderOf(best, element))) best = element;
    }
    if (best === undefined) throw new CelError(`${name} called on empty list`);
    return best;
  };
  const overloads = COMPARABLE.map((type) =>
    method({ ...on(type, `${name}_${type.kind}`), result: type, call, cost: traversalOf }),
  );
  return declare(name, ...overloads);
}

function position(name: string, id: string, find: (list: List, item: Value) => number): FunctionDeclaration {
  const call = (list: List, item: Value) => BigInt(find(list, item));
  return declare(name, method({ id, parameters: [listOf(A), A], result: INT, call, cost: traversalOf }));
}

function isItem(element: unknown, item: Value): boolean {
  return isSame(fromJson(element), item);
}

function isSorted(list: List): boolean {
  let previous: Value | undefined;
  for (const element of comparableElements(list)) {
    if (previous !== undefined && orderOf(previous, element) > 0) return false;
    previous = element;
  }
  return true;
}

function sum(list: List, zero: Value): Value {
  let total = zero;
  for (const element of elementsOf(list)) total = add(total, element);
  return total;
}

function* comparableElements(list: List): Generator<Value> {
  for (const element of elementsOf(list)) {
    if (!isComparable(element)) throw new CelError("no such overload");
    yield element;
  }
}

export function isComparable(value: Value): boolean {
  if (typeof value !== "object") return true;
  return (
    value instanceof Uint || value instanceof Duration || value instanceof Timestamp || value instanceof Uint8Array
  );
}

/** Two values without an order, such as NaN and a number, are as good as equal here. */
export function orderOf(a: Value, b: Value): number {
  try {
    return compare(a, b);
  } catch (error) {
    if (error instanceof CelError && !error.fatal) return 0;
    throw error;
  }
}
