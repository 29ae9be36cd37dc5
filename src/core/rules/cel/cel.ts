import type { Expression } from "./ast.ts";
import type { Budget } from "./budget.ts";
import { type Checked, check } from "./check.ts";
import { type Environment, namesOf } from "./environment.ts";
import { Compiler } from "./evaluate.ts";
import { type EmptyFrame, newFrame, type Run } from "./evaluate-frame.ts";
import { parse } from "./parser.ts";
import { ParseProblem } from "./parser-problem.ts";
import { type Problem, problemAt } from "./problems.ts";
import { STANDARD } from "./standard.ts";
import type { Type } from "./types.ts";
import { CelError, CelPanic, LazyValue, type Value } from "./values.ts";

export { Budget } from "./budget.ts";
export type { Environment } from "./environment.ts";
export type { Problem } from "./problems.ts";

/** What a run gives, and what it cost, also if it ended early. */
export type Outcome =
  | { readonly value: Value; readonly error?: undefined; readonly cost: number }
  | { readonly value?: undefined; readonly error: CelError; readonly cost: number };

export interface Program {
  readonly text: string;
  readonly expression: Expression;
  /** What the result will be; dyn if the expression was not checked. */
  readonly type: Type;
  /**
   * Evaluates the expression. What `variables` holds is read as JSON (`fromJson` in values.ts). Properties of `variables` may be getters: each is read at most once in a run, and only if
   * the expression needs it; a CelError that a getter throws is the error of the expression that reads it. Never throws
   * a CelError itself.
   */
  run(variables: Readonly<Record<string, unknown>>, budget: Budget): Outcome;
}

export type Compilation =
  /** `checked` is what estimates need of it; undefined where the environment is not typed. */
  | { readonly ok: true; readonly program: Program; readonly checked: Checked | undefined }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Deeper than any expression within the limits of the parser goes; met only if the caller's own stack is nearly full. */
const TOO_DEEP = "expression is nested too deeply";

/** Parses, checks (if the environment is typed) and compiles an expression. */
export function compile(text: string, environment: Environment): Compilation {
  try {
    const parsed = parse(text, namesOf(environment).macros, environment.quotedFields);
    if (!parsed.ok) {
      const { start, end, message } = parsed.problem;
      return { ok: false, problems: [problemAt(text, { start, end }, message)] };
    }
    const { expression } = parsed;
    const checked = environment.typed ? check(expression, text, withStandard(environment)) : undefined;
    if (checked !== undefined && checked.problems.length > 0) {
      return { ok: false, problems: checked.problems };
    }
    const compiler = new Compiler(environment, checked?.overloads);
    const compiled = { run: compiler.compile(expression), empty: compiler.empty };
    const type: Type = checked?.type ?? { kind: "dyn" };
    const program: Program = {
      text,
      expression,
      type,
      run: (variables, budget) => start(compiled, variables, budget),
    };
    return { ok: true, program, checked };
  } catch (error) {
    if (error instanceof ParseProblem) {
      return { ok: false, problems: [problemAt(text, error, error.message)] };
    }
    if (error instanceof RangeError) {
      return { ok: false, problems: [problemAt(text, { start: 0, end: text.length }, TOO_DEEP)] };
    }
    throw error;
  }
}

const completed = new WeakMap<Environment, Environment>();

/** The environment with the standard library among its libraries, one and the same each time. */
function withStandard(environment: Environment): Environment {
  const known = completed.get(environment);
  const complete = known ?? { ...environment, libraries: [STANDARD, ...environment.libraries] };
  completed.set(environment, complete);
  return complete;
}

interface Compiled {
  readonly run: Run;
  readonly empty: EmptyFrame;
}

function start({ run, empty }: Compiled, inputs: Readonly<Record<string, unknown>>, budget: Budget): Outcome {
  const usedBefore = budget.used;
  const outer = budget.enter();
  const frame = newFrame(inputs, budget, empty);
  try {
    const value = run(frame);
    return { value, cost: budget.leave(outer, usedBefore) };
  } catch (error) {
    const cost = budget.leave(outer, usedBefore);
    if (error instanceof CelPanic) {
      return { error: new CelError(error.message), cost };
    }
    if (error instanceof CelError) {
      return { error, cost };
    }
    if (error instanceof RangeError) {
      return { error: new CelError(TOO_DEEP, true), cost };
    }
    throw error;
  }
}

/**
 * An object whose properties are computed when they are first read, each once; what a computation throws is thrown again
 * at every read. For the `variables` of a rule, whose runs may read each other.
 */
export function lazyRecord(members: Readonly<Record<string, () => Value>>): Readonly<Record<string, unknown>> {
  const record: Record<string, unknown> = Object.create(null);
  for (const [name, compute] of Object.entries(members)) record[name] = new LazyValue(compute);
  return record;
}
