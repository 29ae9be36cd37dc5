import type { FunctionDeclaration, Overload, Prepared } from "../cel/library.ts";
import type { Type } from "../cel/types.ts";
import { isCelMap, isList, isRecord, type Value } from "../cel/values.ts";
import { runeCount } from "./runes.ts";

export const DYN: Type = { kind: "dyn" };
export const BOOL: Type = { kind: "bool" };
export const INT: Type = { kind: "int" };
export const DOUBLE: Type = { kind: "double" };
export const STRING: Type = { kind: "string" };
export const STRINGS: Type = { kind: "list", element: STRING };

export function listOf(element: Type): Type {
  return { kind: "list", element };
}

export function opaque(name: string): Type {
  return { kind: "opaque", name };
}

/** An {@link Overload} with `call` of the types that its parameters say. */
interface Definition {
  readonly id: string;
  readonly parameters: readonly Type[];
  readonly checked?: readonly Type[];
  readonly result: Type;
  readonly call: (...args: never[]) => Value;
  readonly cost?: Cost;
  readonly trusts?: number;
  readonly prepared?: Prepared;
}

/** All units of a call, as CallCost of apiserver/pkg/cel/library/cost.go or a tracker of cel-go's ext gives them. */
export type Cost = (args: readonly Value[]) => number;

/** `a.f(b)`. */
export function method(definition: Definition): Overload {
  return overload(definition, true);
}

/** `f(a, b)`. */
export function plain(definition: Definition): Overload {
  return overload(definition, false);
}

function overload(definition: Definition, member: boolean): Overload {
  const { id, parameters, checked = parameters, result, cost, trusts, prepared } = definition;
  // The caller has matched the arguments with `parameters`.
  const call = definition.call as unknown as Overload["call"];
  const form = {
    id,
    member,
    parameters,
    checked,
    result,
    call,
    ...(trusts !== undefined && { trusts }),
    ...(prepared && { prepared }),
  };
  // Kubernetes' number stands for the whole call, one unit of which the evaluator counts anyway.
  return cost === undefined ? form : { ...form, cost: (args) => cost(args) - 1 };
}

export function declare(name: string, ...overloads: readonly Overload[]): FunctionDeclaration {
  return { name, overloads };
}

/** Units for each character of a string that is read once (StringTraversalCostFactor of cel-go's common/cost.go). */
export const TRAVERSAL_FACTOR = 0.1;
/** Units for each character of a pattern (RegexStringLengthCostFactor). */
const PATTERN_FACTOR = 0.25;
/** Units for making a list (ListCreateBaseCost). */
export const LIST_COST = 10;

/** As actualSize of cel-go: characters, bytes, elements or entries; 1 for what has no size. */
export function sizeOf(value: Value | undefined): number {
  if (typeof value === "string") return runeCount(value);
  if (value instanceof Uint8Array || isList(value)) return value.length;
  if (isCelMap(value)) return value.size;
  if (isRecord(value)) return Object.keys(value).length;
  if (typeof value === "object" && value !== null && "size" in value) return Number(value.size);
  return 1;
}

/** Reading the first argument `times` times. */
export function traversal(times = 1): Cost {
  return ([text]) => Math.ceil(sizeOf(text) * times * TRAVERSAL_FACTOR);
}

/** A pattern of so many characters on a text of so many. */
export function patternCost(text: number, pattern: number): number {
  return Math.ceil((1 + text) * TRAVERSAL_FACTOR) * Math.ceil(pattern * PATTERN_FACTOR);
}
