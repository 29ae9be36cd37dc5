import { OPERATORS, type Signature } from "./check-operators.ts";
import type { Library } from "./library.ts";
import type { Type } from "./types.ts";

/** What an expression may name. */
export interface CheckEnvironment {
  readonly variables: Readonly<Record<string, Type>>;
  /** All of them, the standard one too. A function with the id of an earlier one replaces it. */
  readonly libraries: readonly Library[];
  /** Prefix that names may leave out, as in cel-spec; Kubernetes has none. */
  readonly container?: string;
  /**
   * Refuses every literal that its function would not take. Kubernetes refuses only bad durations, timestamps and
   * regular expressions when a rule is written, the others fail while it runs.
   */
  readonly strictLiterals?: boolean;
}

/** A variable or a type that a name stands for. */
export interface Resolved {
  readonly name: string;
  readonly type: Type;
}

const functionTables = new WeakMap<readonly Library[], ReadonlyMap<string, readonly Signature[]>>();

/** The names of an environment and, on top, the variables of the macros that the checker is inside of. */
export class Scope {
  readonly #environment: CheckEnvironment;
  readonly #functions: ReadonlyMap<string, readonly Signature[]>;
  readonly #locals: Map<string, Type>[] = [];

  constructor(environment: CheckEnvironment) {
    this.#environment = environment;
    this.#functions = functionsOf(environment.libraries);
  }

  /** Why a name is not here that authors know from elsewhere; undefined: they do not. */
  absence(name: string): string | undefined {
    const reasons = this.#environment.libraries.map(({ absent = {} }) =>
      Object.hasOwn(absent, name) ? absent[name] : undefined,
    );
    return reasons.find((text) => text !== undefined);
  }

  /** What is wrong with a name that stands for nothing. */
  undeclared(name: string): string {
    return (
      this.absence(name) ?? `undeclared reference to '${name}' (in container '${this.#environment.container ?? ""}')`
    );
  }

  /** Runs a check with more variables in scope. */
  within(variables: readonly (readonly [string, Type])[], check: () => void): void {
    this.#locals.push(new Map(variables));
    check();
    this.#locals.pop();
  }

  /**
   * What the parts of `a.b.c` name when joined, or undefined if that is no name. A variable of a macro hides longer
   * names that start with it; a leading dot looks past it.
   */
  resolve(parts: readonly string[]): Resolved | undefined {
    const [first = ""] = parts;
    const local = first.startsWith(".") ? undefined : this.#local(first);
    if (local !== undefined) return parts.length === 1 ? { name: first, type: local } : undefined;
    for (const name of this.#candidates(parts.join("."))) {
      const type = this.#global(name);
      if (type !== undefined) return { name: this.#local(name) === undefined ? name : `.${name}`, type };
    }
    return undefined;
  }

  /** The overloads of a function by its name, or undefined. */
  function(name: string): { readonly name: string; readonly overloads: readonly Signature[] } | undefined {
    for (const candidate of this.#candidates(name)) {
      const overloads = this.#functions.get(candidate) ?? OPERATORS.get(candidate);
      if (overloads !== undefined) return { name: candidate, overloads };
    }
    return undefined;
  }

  #local(name: string): Type | undefined {
    return this.#locals.findLast((scope) => scope.has(name))?.get(name);
  }

  #global(name: string): Type | undefined {
    const { variables, libraries } = this.#environment;
    if (Object.hasOwn(variables, name)) return variables[name];
    for (const { constants = {} } of libraries) if (Object.hasOwn(constants, name)) return constants[name]?.type;
    return undefined;
  }

  /** The full names that a name may be short for, longest first. */
  #candidates(name: string): readonly string[] {
    if (name.startsWith(".")) return [name.slice(1)];
    const { container = "" } = this.#environment;
    const parts = container === "" ? [] : container.split(".");
    const prefixes = parts.map((_, index) => parts.slice(0, parts.length - index).join("."));
    return [...prefixes.map((prefix) => `${prefix}.${name}`), name];
  }
}

function functionsOf(libraries: readonly Library[]): ReadonlyMap<string, readonly Signature[]> {
  const known = functionTables.get(libraries);
  if (known !== undefined) return known;
  const table = new Map<string, readonly Signature[]>();
  for (const { name, overloads } of libraries.flatMap(({ functions }) => functions)) {
    const others = table.get(name)?.filter((old) => overloads.every(({ id }) => id !== old.id)) ?? [];
    table.set(name, [
      ...others,
      ...overloads.map((overload) => ({ ...overload, parameters: overload.checked ?? overload.parameters })),
    ]);
  }
  functionTables.set(libraries, table);
  return table;
}
