import type { Budget } from "./budget.ts";
import { CelError, type Value } from "./values.ts";

/** One run of one program. */
export interface Frame {
  readonly budget: Budget;
  /** What the caller has bound, looked up when it is first needed. */
  readonly inputs: Readonly<Record<string, unknown>>;
  /** Of the inputs, those looked up so far. */
  readonly roots: (Value | undefined)[];
  /** The variables of macros, by their depth. */
  readonly locals: Value[];
}

/** The arrays of a frame before the run, as long as the program needs them: one that grows takes room for many more. */
export type EmptyFrame = Pick<Frame, "roots" | "locals">;

export function emptyFrame(roots: number, locals: number): EmptyFrame {
  return { roots: Array.from({ length: roots }, () => undefined), locals: Array.from({ length: locals }, () => null) };
}

export function newFrame(inputs: Frame["inputs"], budget: Budget, { roots, locals }: EmptyFrame): Frame {
  return { budget, inputs, roots: roots.slice(), locals: locals.slice() };
}

/** A compiled expression. Throws a CelError. */
export type Run = (frame: Frame) => Value;

/** A variable of a macro while it is in force. */
export interface Scope {
  readonly name: string;
  readonly slot: number;
  readonly outer: Scope | undefined;
}

export function findLocal(scope: Scope | undefined, name: string): Scope | undefined {
  let at = scope;
  while (at !== undefined && at.name !== name) {
    at = at.outer;
  }
  return at;
}

export function bindLocal(scope: Scope | undefined, name: string): Scope {
  return { name, slot: scope === undefined ? 0 : scope.slot + 1, outer: scope };
}

/** The error if an operator may do without this operand; whatever ends the whole run is thrown on. */
export function absorbed(error: unknown): CelError {
  if (error instanceof CelError && !error.fatal) {
    return error;
  }
  throw error;
}

export const NO_SUCH_OVERLOAD = "no such overload";
