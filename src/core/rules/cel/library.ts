import type { Expression } from "./ast.ts";
import type { Type } from "./types.ts";
import type { Value } from "./values.ts";

/** One form of a function. Arguments reach it evaluated and of the declared types; `dyn` takes any. */
export interface Overload {
  /** Unique, as cel-go names it: `string_index_of_string`. */
  readonly id: string;
  /** True: called on its first parameter, `a.indexOf(b)`. */
  readonly member: boolean;
  readonly parameters: readonly Type[];
  /** For the checker, where it asks for more than the call does. */
  readonly checked?: readonly Type[];
  readonly result: Type;
  /** Throws a CelError. */
  readonly call: (...args: readonly Value[]) => Value;
  /**
   * Units beyond the one of every call; absent: none. Charged before the call, so that no work begins that is not paid
   * for. As Kubernetes' CostEstimator counts at run time, more where that is less than the work.
   */
  readonly cost?: (args: readonly Value[]) => number;
  /** The argument that cel-go, once it is bound to this overload, takes to be of its type without looking. */
  readonly trusts?: number;
  /** Where the second argument is compiled first, such as a pattern. */
  readonly prepared?: Prepared;
}

/** A function that compiles its second argument: once and for free if the expression writes it out, else before each call. */
export interface Prepared {
  /** Units of compiling, the same whether or not a compiled one is at hand. */
  readonly cost: (argument: Value) => number;
  /** Compiles, and gives the call of the other arguments. Throws a CelError. */
  readonly call: (argument: Value) => (...others: readonly Value[]) => Value;
}

export interface FunctionDeclaration {
  readonly name: string;
  readonly overloads: readonly Overload[];
}

/** Turns a call into another expression while parsing; undefined: not this macro after all. Throws a ParseProblem. */
export interface Macro {
  readonly name: string;
  readonly member: boolean;
  /** How many arguments beside the target; undefined: any. */
  readonly arity: number | undefined;
  readonly expand: (call: Expression & { readonly kind: "call" }, help: MacroHelp) => Expression | undefined;
}

export interface MacroHelp {
  /** A name that no expression can write. */
  freshName(): string;
  problem(at: Expression, message: string): Error;
}

/** A set of functions, macros and constants that an environment is built from. */
export interface Library {
  readonly functions: readonly FunctionDeclaration[];
  readonly macros?: readonly Macro[];
  /** Names with a value of their own, such as `optional.none` written as a function elsewhere. */
  readonly constants?: Readonly<Record<string, { readonly type: Type; readonly value: Value }>>;
  /** Names that authors know from elsewhere and that are not here, with the message that says why. */
  readonly absent?: Readonly<Record<string, string>>;
}
