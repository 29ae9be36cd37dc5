import { Budget, compile, type Environment, type Outcome } from "../../src/core/rules/cel/cel.ts";
import { formatDouble, toText } from "../../src/core/rules/cel/conversions.ts";
import { entriesOf } from "../../src/core/rules/cel/standard-maps.ts";
import { typeName } from "../../src/core/rules/cel/standard-types.ts";
import type { Type } from "../../src/core/rules/cel/types.ts";
import {
  fromJson,
  isCelMap,
  isRecord,
  Optional,
  TypeValue,
  Uint,
  type Value,
} from "../../src/core/rules/cel/values.ts";

const DYN: Type = { kind: "dyn" };

/** An environment in which every given name is a variable of any type. */
export function untyped(variables: Readonly<Record<string, unknown>>): Environment {
  const names = Object.keys(variables).map((name) => [name, DYN] as const);
  return { variables: Object.fromEntries(names), libraries: [], typed: false };
}

/** Compiles and runs; a problem of the text is thrown. */
export function run(
  text: string,
  variables: Readonly<Record<string, unknown>>,
  budget = new Budget(1_000_000),
): Outcome {
  const compilation = compile(text, untyped(variables));
  if (!compilation.ok) {
    throw new Error(compilation.problems.map(({ message }) => message).join("; "));
  }
  return compilation.program.run(variables, budget);
}

/** A value as an expression would write it. */
export function shown(value: Value): string {
  if (Array.isArray(value)) {
    return `[${value.map((element) => shown(fromJson(element))).join(", ")}]`;
  }
  if (isRecord(value) || isCelMap(value)) {
    return `{${entriesOf(value)
      .map(([key, entry]) => `${shown(key)}: ${shown(entry)}`)
      .join(", ")}}`;
  }
  if (value instanceof Optional) {
    return value.value === undefined ? "optional.none()" : `optional.of(${shown(value.value)})`;
  }
  if (value instanceof Uint) {
    return `${value.value}u`;
  }
  if (typeof value === "number") {
    return Number.isInteger(value) ? `${formatDouble(value)}.0` : formatDouble(value);
  }
  if (value instanceof TypeValue) {
    return typeName(value.type);
  }
  return value === null ? "null" : toText(value);
}

/** The result of an expression, or its error. */
export function result(text: string, variables: Readonly<Record<string, unknown>>): string {
  const { value, error } = run(text, variables);
  return error === undefined ? shown(value) : `error: ${error.message}`;
}
