import { add, divide, modulo, multiply, negate, subtract } from "./standard-arithmetic.ts";
import { compare, equal } from "./standard-compare.ts";
import { addCost, compareCost, searchCost } from "./standard-cost.ts";
import { lookUp } from "./standard-maps.ts";
import { CelError, fromJson, isCelMap, isRecord, type Value } from "./values.ts";

export interface BinaryOperator {
  readonly call: (a: Value, b: Value) => Value;
  /** All units of a call, known before it. */
  readonly cost: (a: Value, b: Value) => number;
}

const one = (): number => 1;

/** Elements that cannot be compared are not the one that is looked for. */
function isSame(value: Value, element: Value): boolean {
  try {
    return equal(value, element);
  } catch (error) {
    if (error instanceof CelError && !error.fatal) {
      return false;
    }
    throw error;
  }
}

/** `a in b`. Throws a CelError if b is neither a list nor a map. */
export function isIn(value: Value, container: Value): boolean {
  if (Array.isArray(container)) {
    return container.some((element) => isSame(value, fromJson(element)));
  }
  if (isRecord(container) || isCelMap(container)) {
    return lookUp(container, value) !== undefined;
  }
  throw new CelError("no such overload");
}

/**
 * An operator whose first operand decides: cel-go names the operator only if a value of that kind never takes it, text
 * and times excepted, which it asks first.
 */
function arithmetic(name: string, call: (a: Value, b: Value) => Value): (a: Value, b: Value) => Value {
  return (a, b) => {
    if (a === null || typeof a === "boolean" || (typeof a === "object" && !takes(name, a))) {
      throw new CelError(`no such overload: ${name}`);
    }
    return call(a, b);
  };
}

function takes(name: string, value: Value & object): boolean {
  const isContainer = Array.isArray(value) ? name !== "_+_" : isRecord(value) || isCelMap(value);
  return !isContainer;
}

function ordering(name: string, holds: (order: number) => boolean): BinaryOperator {
  const call = (a: Value, b: Value): boolean => {
    if (a === null || (typeof a === "object" && (Array.isArray(a) || isRecord(a) || isCelMap(a)))) {
      throw new CelError(`no such overload: ${name}`);
    }
    return holds(compare(a, b));
  };
  return { call, cost: compareCost };
}

export const BINARY_OPERATORS: ReadonlyMap<string, BinaryOperator> = new Map([
  ["_==_", { call: equal, cost: compareCost }],
  ["_!=_", { call: (a, b) => !equal(a, b), cost: compareCost }],
  ["_<_", ordering("_<_", (order) => order < 0)],
  ["_<=_", ordering("_<=_", (order) => order <= 0)],
  ["_>_", ordering("_>_", (order) => order > 0)],
  ["_>=_", ordering("_>=_", (order) => order >= 0)],
  ["_+_", { call: arithmetic("_+_", add), cost: addCost }],
  ["_-_", { call: arithmetic("_-_", subtract), cost: one }],
  ["_*_", { call: arithmetic("_*_", multiply), cost: one }],
  ["_/_", { call: arithmetic("_/_", divide), cost: one }],
  ["_%_", { call: arithmetic("_%_", modulo), cost: one }],
  ["@in", { call: isIn, cost: searchCost }],
] satisfies (readonly [string, BinaryOperator])[]);

export const UNARY_OPERATORS: ReadonlyMap<string, (a: Value) => Value> = new Map<string, (a: Value) => Value>([
  [
    "!_",
    (a) => {
      if (typeof a !== "boolean") {
        throw new CelError("no such overload");
      }
      return !a;
    },
  ],
  [
    "-_",
    (a) => {
      if (a === null || typeof a === "boolean" || (typeof a === "object" && !takes("-_", a))) {
        throw new CelError("no such overload: -_");
      }
      return negate(a);
    },
  ],
  ["@not_strictly_false", (a) => a !== false],
]);
