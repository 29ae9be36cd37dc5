import type { Expression } from "../cel/ast.ts";
import type { FunctionDeclaration, Library, Macro } from "../cel/library.ts";
import { Builder, STANDARD_MACROS } from "../cel/macros.ts";
import { typeName } from "../cel/standard-types.ts";
import type { Type } from "../cel/types.ts";
import { CelError, elementsOf, fromJson, isList, Optional, type Value } from "../cel/values.ts";
import { DYN, declare, INT, LIST_COST, listOf, method, plain, sizeOf, TRAVERSAL_FACTOR } from "./define.ts";
import { isSame, type List } from "./elements.ts";
import { COMPARABLE, isComparable, orderOf } from "./lists.ts";

const T: Type = { kind: "parameter", name: "T" };
const LIST = listOf(T);
const SORT_KEYS = "@sortByAssociatedKeys";
/** The list of a `sortBy`: a name that no expression can write, as in cel-go. */
const SORT_INPUT = "@__sortBy_input__";

/** For making a list of so many. */
function listCost(size: number): number {
  return 1 + LIST_COST + Math.max(0, size);
}

/** cel-go's ext/lists.go in version 3, and `first` and `last`, which come with its optional types (cel/library.go). */
export const listsExtended: Library = {
  functions: [
    declare(
      "slice",
      method({ id: "list_slice", parameters: [LIST, INT, INT], result: LIST, call: slice, cost: sliceCost }),
    ),
    declare(
      "flatten",
      method({
        id: "list_flatten",
        parameters: [LIST],
        checked: [listOf(LIST)],
        result: LIST,
        call: flatten,
        cost: flattenCost,
      }),
      method({
        id: "list_flatten_int",
        parameters: [listOf(DYN), INT],
        result: listOf(DYN),
        call: flatten,
        cost: flattenCost,
        trusts: 1,
      }),
    ),
    declare(
      "sort",
      ...COMPARABLE.map((type) =>
        method({
          id: `list_${typeName(type)}_sort`,
          parameters: [listOf(type)],
          result: listOf(type),
          call: (list: List) => sortBy(list, list),
          cost: ([list]) => pairCost(list),
          trusts: 0,
        }),
      ),
    ),
    declare(
      SORT_KEYS,
      ...COMPARABLE.map((type) =>
        method({
          id: `list_${typeName(type)}_sortByAssociatedKeys`,
          parameters: [LIST, listOf(type)],
          result: LIST,
          call: sortBy,
          cost: ([, keys]) => pairCost(keys),
          trusts: 1,
        }),
      ),
    ),
    declare(
      "lists.range",
      plain({ id: "lists_range", parameters: [INT], result: listOf(INT), call: range, cost: rangeCost }),
    ),
    declare(
      "reverse",
      method({
        id: "list_reverse",
        parameters: [LIST],
        result: LIST,
        call: (list: List) => list.toReversed(),
        cost: ([list]) => listCost(sizeOf(list)),
      }),
    ),
    declare(
      "distinct",
      method({
        id: "list_distinct",
        parameters: [LIST],
        result: LIST,
        call: distinct,
        cost: ([list]) => pairCost(list),
        trusts: 0,
      }),
    ),
    end("first", 0),
    end("last", -1),
  ],
  macros: [sortByMacro()],
};

function end(name: "first" | "last", index: 0 | -1): FunctionDeclaration {
  const call = (list: List) => (list.length === 0 ? Optional.none : new Optional(fromJson(list.at(index))));
  return declare(name, method({ id: `list_${name}`, parameters: [LIST], result: { kind: "optional", of: T }, call }));
}

function sliceCost([list, start, end]: readonly Value[]): number {
  return listCost(Math.min(Number(end), sizeOf(list)) - Math.max(0, Number(start)));
}

function rangeCost([count]: readonly Value[]): number {
  return listCost(Number(count));
}

/** Each element against each other, strings and bytes a little dearer (trackListSelfCompare). */
function pairCost(list: Value | undefined): number {
  const size = sizeOf(list);
  const first = isList(list) ? fromJson(list[0]) : null;
  const factor = typeof first === "string" || first instanceof Uint8Array ? 2 + TRAVERSAL_FACTOR : 2;
  return Math.floor(size * size * factor) + 1 + LIST_COST;
}

/** Kubernetes counts the lists that are flattened, not what they hold, which is copied. */
function flattenCost([list, depth = 1n]: readonly Value[]): number {
  const copied = isList(list) && typeof depth === "bigint" ? Math.ceil(flatSize(list, depth) * TRAVERSAL_FACTOR) : 0;
  return sizeOf(list) * (typeof depth === "bigint" ? Number(depth) : 1) + copied + 1 + LIST_COST;
}

/** Elements of a list when it is flattened. */
function flatSize(list: List, depth: bigint): number {
  if (depth <= 0n) return list.length;
  let size = 0;
  for (const element of list) size += isList(element) ? flatSize(element, depth - 1n) : 1;
  return size;
}

function slice(list: List, start: bigint, end: bigint): List {
  const refusal = (why: string) => new CelError(`cannot slice(${start}, ${end}), ${why}`);
  if (start < 0n || end < 0n) throw refusal("negative indexes not supported");
  if (start > end) throw refusal("start index must be less than or equal to end index");
  if (end > list.length) throw refusal(`list is length ${list.length}`);
  return list.slice(Number(start), Number(end));
}

function flatten(list: List, depth = 1n): List {
  if (depth < 0n) throw new CelError("level must be non-negative");
  const flat: unknown[] = [];
  const put = (elements: List, levels: bigint) => {
    for (const element of elements) {
      if (levels > 0n && isList(element)) put(element, levels - 1n);
      else flat.push(element);
    }
  };
  put(list, depth);
  return flat;
}

function range(count: bigint): List {
  if (count <= 0n) return [];
  return Array.from({ length: Number(count) }, (_, index) => BigInt(index));
}

function distinct(list: List): List {
  const found: { readonly element: unknown; readonly value: Value }[] = [];
  for (const element of list) {
    const value = fromJson(element);
    if (!found.some((other) => isSame(value, other.value))) found.push({ element, value });
  }
  return found.map(({ element }) => element);
}

/** The list in the order of its keys, one for each element. */
function sortBy(list: List, keys: List): List {
  if (list.length !== keys.length) {
    throw new CelError(
      `${SORT_KEYS}() expected a list of the same size as the associated keys list, but got ` +
        `${list.length} and ${keys.length} elements respectively`,
    );
  }
  const values = [...elementsOf(keys)];
  const [first] = values;
  if (first === undefined) return list;
  if (!isComparable(first)) throw new CelError("list elements must be comparable");
  const isOfFirstType = (value: Value) => typeof value === typeof first && value?.constructor === first?.constructor;
  if (!values.every(isOfFirstType)) throw new CelError("list elements must have the same type");
  const entries = list.map((element, index) => ({ element, key: values[index] ?? null }));
  return entries.sort((a, b) => orderOf(a.key, b.key)).map(({ element }) => element);
}

/** `list.sortBy(e, key)`: the list, given a name, is sorted by what `map` makes of it. */
function sortByMacro(): Macro {
  return {
    name: "sortBy",
    member: true,
    arity: 2,
    expand: (call, help) => {
      if (call.target === undefined) return undefined;
      if (!["list", "select", "index", "identifier", "comprehension", "call"].includes(call.target.kind)) {
        const allowed = "a list, identifier, comprehension, call or select expression";
        throw help.problem(call.target, `sortBy can only be applied to ${allowed}`);
      }
      const build = new Builder(call);
      const input = build.name(SORT_INPUT);
      const map = STANDARD_MACROS.find(({ name, arity }) => name === "map" && arity === 2);
      const keys = map?.expand({ ...call, target: input }, help);
      if (keys === undefined) return undefined;
      const sorted: Expression = { ...call, name: SORT_KEYS, target: input, arguments: [keys] };
      return build.bind(SORT_INPUT, call.target, sorted);
    },
  };
}
