import type { Overload } from "../../src/core/rules/cel/library.ts";
import { isOfType } from "../../src/core/rules/cel/standard-types.ts";
import {
  CelError,
  elementsOf,
  isCelMap,
  isList,
  isOpaque,
  Optional,
  type Value,
} from "../../src/core/rules/cel/values.ts";
import { kubernetesLibraries } from "../../src/core/rules/library/all.ts";

export interface Call {
  readonly name: string;
  readonly args: readonly Value[];
}

/** The first overload of a function that takes these arguments. Throws if there is none. */
export function overloadOf({ name, args }: Call): Overload {
  const overloads = kubernetesLibraries("1.36")
    .flatMap(({ functions }) => functions.filter((declaration) => declaration.name === name))
    .flatMap((declaration) => declaration.overloads);
  const fits = ({ parameters }: Overload) =>
    parameters.length === args.length && parameters.every((type, at) => isOfType(args[at] ?? null, type));
  const found = overloads.find(fits);
  if (found === undefined) throw new Error(`No overload of ${name} takes these ${args.length} arguments`);
  return found;
}

/** What a function of the library returns; a CelError that it throws is the text `error: ...`. */
export function call(name: string, ...args: readonly Value[]): Value {
  try {
    return overloadOf({ name, args }).call(...args);
  } catch (error) {
    if (error instanceof CelError) return `error: ${error.message}`;
    throw error;
  }
}

/** For tables: lists and maps without wrappers, opaque values as text, an empty optional as `none`. */
export function shown(value: Value): unknown {
  if (isList(value)) return Array.from(elementsOf(value), shown);
  if (isCelMap(value)) return Object.fromEntries(Array.from(value.entries(), ([key, entry]) => [key, shown(entry)]));
  if (value instanceof Optional) return value.value === undefined ? "none" : shown(value.value);
  return isOpaque(value) ? value.toString() : value;
}

/** Units that a call of a function counts for, its own one included. */
export function costOf(name: string, ...args: readonly Value[]): number {
  const overload = overloadOf({ name, args });
  return 1 + (overload.cost?.(args) ?? 0);
}
