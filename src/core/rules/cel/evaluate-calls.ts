import type { Overload } from "./library.ts";
import { absorbed, NO_SUCH_OVERLOAD, type Frame, type Run } from "./evaluate-frame.ts";
import { refuseBytes } from "./standard-maps.ts";
import type { BinaryOperator } from "./standard-operators.ts";
import { goTypeName, isOfType, typeName, typeOf } from "./standard-types.ts";
import type { Type } from "./types.ts";
import { CelError, CelPanic, fromJson, Optional, Uint, type Value } from "./values.ts";

/** What cel-go says without naming the function, because strings look these up themselves. */
const OF_STRINGS: ReadonlySet<string> = new Set(["startsWith", "endsWith", "contains", "matches"]);

function mismatch(name: string, args: readonly Value[]): CelError {
  if (OF_STRINGS.has(name)) {
    return new CelError(NO_SUCH_OVERLOAD);
  }
  const types = name === "size" ? "" : `(${args.map((value) => typeName(typeOf(value))).join(", ")})`;
  return new CelError(`${NO_SUCH_OVERLOAD}: ${name}${types}`);
}

/** A call whose overload the arguments decide, evaluated all of them from left to right. */
export function compileCall(name: string, overloads: readonly Overload[], args: readonly Run[]): Run {
  const [first, second] = args;
  if (args.length === 1 && first !== undefined) {
    return (frame) => {
      const value = first(frame);
      frame.budget.charge(1);
      for (const overload of overloads) {
        const [type] = overload.parameters;
        if (type !== undefined && isOfType(value, type)) {
          if (overload.cost !== undefined) {
            pay(frame, overload.cost([value]));
          }
          return overload.call(value);
        }
      }
      throw mismatch(name, [value]);
    };
  }
  const [only] = overloads;
  if (
    args.length === 2 &&
    first !== undefined &&
    second !== undefined &&
    only !== undefined &&
    overloads.length === 1
  ) {
    const [left, right] = only.parameters;
    return (frame) => {
      const a = first(frame);
      const b = second(frame);
      frame.budget.charge(1);
      if (left === undefined || right === undefined || !isOfType(a, left) || !isOfType(b, right)) {
        throw mismatch(name, [a, b]);
      }
      if (only.cost !== undefined) {
        pay(frame, only.cost([a, b]));
      }
      return only.call(a, b);
    };
  }
  return (frame) => {
    const values = args.map((argument) => argument(frame));
    frame.budget.charge(1);
    const found = overloads.find(({ parameters }) =>
      parameters.every((type, at) => isOfType(values[at] ?? null, type)),
    );
    if (found === undefined) {
      throw mismatch(name, values);
    }
    return charged(frame, found, values);
  };
}

/** Go types that have the first method of a list, by which Go says what they lack. */
const ADDERS: ReadonlySet<string> = new Set(
  "Int Uint Double String Bytes Timestamp Duration".split(" ").map((name) => `types.${name}`),
);

/** As Go words it. */
function conversionPanic(found: string, wanted: "list" | "int"): CelPanic {
  const missing = ADDERS.has(found) ? "Contains" : "Add";
  const lacks = `${found} is not traits.Lister: missing method ${missing}`;
  return new CelPanic(`interface conversion: ${wanted === "int" ? `ref.Val is ${found}, not types.Int` : lacks}`);
}

/** An argument whose error is a panic: cel-go takes it for a value when it counts the cost of the call. */
export function panicking(argument: Run, wanted: "list" | "int" = "list"): Run {
  return (frame) => {
    try {
      return argument(frame);
    } catch (error) {
      absorbed(error);
      throw conversionPanic("*types.Err", wanted);
    }
  };
}

/** The same for an argument that cel-go takes for a list, or an int, without looking. */
export function trusted(argument: Run, { kind }: Type): Run {
  const wanted = kind === "int" ? "int" : "list";
  const run = panicking(argument, wanted);
  return (frame) => {
    const value = run(frame);
    if (typeOf(value).kind !== wanted) {
      throw conversionPanic(goTypeName(value), wanted);
    }
    return value;
  };
}

/** An argument after whose error the next one is evaluated all the same: it may panic. */
export function settled(argument: Run, next: Run): Run {
  return (frame) => {
    try {
      return argument(frame);
    } catch (error) {
      absorbed(error);
      next(frame);
      throw error;
    }
  };
}

/** The overload for a second argument that is this constant, or for one that the run makes: then compiling it costs as well. */
export function withPrepared(overload: Overload, constant: Value | undefined): Overload {
  const { prepared, cost } = overload;
  if (prepared === undefined) {
    return overload;
  }
  if (typeof constant !== "string") {
    return { ...overload, cost: (args) => (cost?.(args) ?? 0) + prepared.cost(args[1] ?? null) };
  }
  let call: ReturnType<typeof prepared.call> | undefined;
  return {
    ...overload,
    call: (first = null, _second, ...others) => {
      // Not before the first call, as an expression may never come to it and a bad pattern be no error.
      call ??= prepared.call(constant);
      return call(first, ...others);
    },
  };
}

/** The result, and what it costs beyond the one unit of every call. */
function charged(frame: Frame, { call, cost }: Overload, values: readonly Value[]): Value {
  if (cost !== undefined) {
    pay(frame, cost(values));
  }
  return call(...values);
}

/** What an argument out of range makes negative must not give units back; the one of the call itself may. */
function pay(frame: Frame, units: number): void {
  frame.budget.charge(Math.max(-1, units));
}

export function compileBinary({ call, cost }: BinaryOperator, left: Run, right: Run): Run {
  return (frame) => {
    const a = left(frame);
    const b = right(frame);
    frame.budget.charge(cost(a, b));
    return call(a, b);
  };
}

export function compileUnary(call: (a: Value) => Value, operand: Run): Run {
  return (frame) => {
    const value = operand(frame);
    frame.budget.charge(1);
    return call(value);
  };
}

/** `or` and `orValue`: the other is evaluated only if there is no value; what is no optional is returned, as in cel-go. */
export function compileOr(name: "or" | "orValue", optional: Run, other: Run): Run {
  return (frame) => {
    const value = optional(frame);
    if (!(value instanceof Optional)) {
      return value;
    }
    if (value.value === undefined) {
      return other(frame);
    }
    return name === "or" ? value : value.value;
  };
}

/** `a in [...]` with a constant list of numbers, bools or text: a look-up, which is free as in cel-go. */
export function membership(container: Value | undefined, value: Run): Run | undefined {
  if (!Array.isArray(container)) {
    return undefined;
  }
  const keys = container.map((element) => hashed(fromJson(element)));
  if (keys.includes(undefined)) {
    return undefined;
  }
  const set = new Set(keys);
  return (frame) => {
    const wanted = value(frame);
    refuseBytes(wanted);
    const key = hashed(wanted);
    return key !== undefined && set.has(key);
  };
}

/** One form for values that are equal, numbers of all types included; undefined: this value has none. */
function hashed(value: Value): string | number | boolean | undefined {
  if (typeof value === "string") {
    return `"${value}`;
  }
  if (typeof value === "bigint") {
    return value > -SAFE && value < SAFE ? Number(value) : String(value);
  }
  if (typeof value === "number") {
    return Number.isNaN(value) ? undefined : value;
  }
  if (typeof value === "boolean") {
    return value;
  }
  return value instanceof Uint ? hashed(value.value) : undefined;
}

/** 2^53: as far as every integer is a double of its own. */
const SAFE = 9007199254740992n;
