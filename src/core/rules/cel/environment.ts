import type { Library, Macro, Overload } from "./library.ts";
import { STANDARD } from "./standard.ts";
import type { Type } from "./types.ts";
import type { Value } from "./values.ts";

/** What an expression may use. Everything that is not declared here is an error. */
export interface Environment {
  readonly variables: Readonly<Record<string, Type>>;
  /** Beside the standard library, which is always there. A function with the id of an earlier one replaces it. */
  readonly libraries: readonly Library[];
  /** False: the expression is not checked, and what is not declared is an error only where it is evaluated. */
  readonly typed: boolean;
  /** Names are looked up in this namespace first: `a.b` makes `c` mean `a.b.c`, `a.c` or `c`. */
  readonly container?: string;
  /** Takes fields in backquotes, `` a.`b-c` ``, which the API server of 1.36 refuses. */
  readonly quotedFields?: boolean;
}

/** An environment arranged for looking up. */
export interface Names {
  readonly functions: ReadonlyMap<string, readonly Overload[]>;
  readonly macros: readonly Macro[];
  readonly constants: ReadonlyMap<string, { readonly type: Type; readonly value: Value }>;
  /** The ways to read a name, most specific first; a leading dot leaves one only. */
  candidates(name: string): readonly string[];
}

const arranged = new WeakMap<Environment, Names>();

export function namesOf(environment: Environment): Names {
  const known = arranged.get(environment);
  if (known !== undefined) {
    return known;
  }
  const libraries = [STANDARD, ...environment.libraries];
  const functions = new Map<string, readonly Overload[]>();
  for (const { name, overloads } of libraries.flatMap((library) => library.functions)) {
    const others = functions.get(name)?.filter((old) => overloads.every(({ id }) => id !== old.id)) ?? [];
    functions.set(name, [...others, ...overloads]);
  }
  const names: Names = {
    functions,
    // The macro of a library goes before the standard one of the same name.
    macros: libraries.toReversed().flatMap(({ macros = [] }) => macros),
    constants: new Map(libraries.flatMap(({ constants = {} }) => Object.entries(constants))),
    candidates: (name) => candidates(environment.container ?? "", name),
  };
  arranged.set(environment, names);
  return names;
}

function candidates(container: string, name: string): readonly string[] {
  if (name.startsWith(".")) {
    return [name.slice(1)];
  }
  const parts = container === "" ? [] : container.split(".");
  return [...parts.map((_, at) => [...parts.slice(0, parts.length - at), name].join(".")), name];
}
