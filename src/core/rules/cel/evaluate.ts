import type { Comprehension, Expression, MapEntry } from "./ast.ts";
import type { Checked } from "./check.ts";
import type { Environment, Names } from "./environment.ts";
import { namesOf } from "./environment.ts";
import { canBeKey, compileIndex, compileSelect } from "./evaluate-access.ts";
import {
  compileBinary,
  compileCall,
  compileOr,
  compileUnary,
  membership,
  panicking,
  settled,
  trusted,
  withPrepared,
} from "./evaluate-calls.ts";
import { compileList, compileMap } from "./evaluate-literals.ts";
import { collect, existsOne, fold, insert, quantifier, shapeOf, type FoldParts, type Shape } from "./evaluate-fold.ts";
import { bindLocal, findLocal, emptyFrame, type EmptyFrame, newFrame, type Run, type Scope } from "./evaluate-frame.ts";
import { compileConditional, compileLogic } from "./evaluate-logic.ts";
import type { Overload } from "./library.ts";
import { qualifiedName } from "./parser.ts";
import { ParseProblem } from "./parser-problem.ts";
import { Budget } from "./budget.ts";
import { BINARY_OPERATORS, UNARY_OPERATORS } from "./standard-operators.ts";
import { typeName, typeOf } from "./standard-types.ts";
import { CelError, fromJson, type Value } from "./values.ts";

/** Calls of constants that are computed once; cel-go does the same, and they cost nothing. */
const FOLDED: ReadonlySet<string> = new Set("bool bytes double duration int string timestamp type uint dyn".split(" "));

/**
 * Functions with one implementation for all their overloads. Of every other function cel-go calls the one overload that
 * its checker has found, if it has found one, and nothing else: even where that was a guess, as of what a list from
 * `distinct` of untyped data holds.
 */
const SHARED: ReadonlySet<string> = new Set("dyn matches size sort type @sortByAssociatedKeys".split(" "));

/** Turns expressions of one environment into functions. */
export class Compiler {
  readonly #names: Names;
  readonly #environment: Environment;
  readonly #overloads: Checked["overloads"];
  /** Places of the inputs in `Frame.roots`. */
  readonly #roots = new Map<string, number>();
  #locals = 0;
  readonly #constants = new WeakMap<Run, { readonly value: Value }>();

  /** With `overloads`, a call prefers what the checker has found for it. */
  constructor(environment: Environment, overloads: Checked["overloads"] = new Map()) {
    this.#environment = environment;
    this.#names = namesOf(environment);
    this.#overloads = overloads;
  }

  /** What the programs that were compiled so far need. */
  get empty(): EmptyFrame {
    return emptyFrame(this.#roots.size, this.#locals);
  }

  compile(expression: Expression, scope?: Scope): Run {
    switch (expression.kind) {
      case "literal":
        return this.#constant(expression.value);
      case "identifier":
      case "select":
        return this.#named(expression, scope) ?? this.#select(expression, scope);
      case "index": {
        const key = this.compile(expression.index, scope);
        this.#refuseKey(expression, this.#constants.get(key)?.value);
        return compileIndex(expression, { operand: this.compile(expression.operand, scope), key });
      }
      case "call":
        return this.#call(expression, scope);
      case "list": {
        const elements = expression.elements.map(({ value, optional }) => ({
          value: this.compile(value, scope),
          optional,
        }));
        return this.#folded(
          compileList(elements),
          elements.map(({ value }) => value),
        );
      }
      case "map":
        return this.#map(expression.entries, scope);
      case "struct":
        return failing(`unknown type: '${expression.name}'`);
      case "comprehension":
        break;
    }
    return this.#fold(expression, scope);
  }

  #constant(value: Value): Run {
    const run: Run = () => value;
    this.#constants.set(run, { value });
    return run;
  }

  /**
   * The result instead of the run, where nothing that it needs can change. A conversion (at `call`) that can only fail is
   * a problem, as when the API server makes a program of it; throws it as a ParseProblem.
   */
  #folded(run: Run, parts: readonly Run[], call?: Expression): Run {
    if (!parts.every((part) => this.#constants.has(part))) {
      return run;
    }
    try {
      const budget = new Budget(Number.POSITIVE_INFINITY);
      return this.#constant(run(newFrame({}, budget, this.empty)));
    } catch (error) {
      if (!(error instanceof CelError)) {
        throw error;
      }
      if (this.#environment.typed && call !== undefined) {
        throw new ParseProblem(error.message, call.start, call.end);
      }
      return run;
    }
  }

  /** A variable or a constant; the longest name counts, so that `a.b` may be one. */
  #named(expression: Expression, scope: Scope | undefined): Run | undefined {
    const name = qualifiedName(expression);
    const root = name?.split(".", 1)[0] ?? "";
    if (name === undefined || (expression.kind === "select" && root !== "" && findLocal(scope, root) !== undefined)) {
      return undefined;
    }
    const local = findLocal(scope, name);
    if (local !== undefined) {
      const { slot } = local;
      return (frame) => {
        frame.budget.charge(1);
        return frame.locals[slot] ?? null;
      };
    }
    for (const candidate of this.#names.candidates(name)) {
      if (Object.hasOwn(this.#environment.variables, candidate)) {
        return this.#variable(candidate);
      }
      const constant = this.#names.constants.get(candidate);
      if (constant !== undefined) {
        return this.#constant(constant.value);
      }
    }
    return undefined;
  }

  #variable(name: string): Run {
    const place = this.#roots.get(name) ?? this.#roots.size;
    this.#roots.set(name, place);
    return (frame) => {
      frame.budget.charge(1);
      const known = frame.roots[place];
      if (known !== undefined) {
        return known;
      }
      const found = Object.hasOwn(frame.inputs, name) ? frame.inputs[name] : undefined;
      if (found === undefined) {
        throw new CelError(`no such attribute(s): ${name}`);
      }
      const value = fromJson(found);
      frame.roots[place] = value;
      return value;
    };
  }

  #select(expression: Expression, scope: Scope | undefined): Run {
    if (expression.kind !== "select") {
      const name = expression.kind === "identifier" ? expression.name : "";
      return failing(`no such attribute(s): ${name}`);
    }
    return compileSelect(expression, this.compile(expression.operand, scope));
  }

  #call(call: Expression & { readonly kind: "call" }, scope: Scope | undefined): Run {
    const compiled = this.#operator(call, scope);
    if (compiled !== undefined) {
      return compiled;
    }
    const prefix = call.target === undefined ? undefined : qualifiedName(call.target);
    const name = prefix === undefined ? call.name : `${prefix}.${call.name}`;
    const { functions } = this.#names;
    if (call.target === undefined || prefix !== undefined) {
      const found = this.#names.candidates(name).find((candidate) => functions.has(candidate));
      const overloads = functions.get(found ?? "")?.filter(({ member }) => !member) ?? [];
      if (call.target === undefined || overloads.length > 0) {
        return this.#dispatch(found ?? name, { overloads, args: call.arguments, at: call }, scope);
      }
    }
    const overloads = functions.get(call.name)?.filter(({ member }) => member) ?? [];
    return this.#dispatch(call.name, { overloads, args: [call.target, ...call.arguments], at: call }, scope);
  }

  #dispatch(
    name: string,
    call: { readonly overloads: readonly Overload[]; readonly args: readonly Expression[]; readonly at: Expression },
    scope: Scope | undefined,
  ): Run {
    const known = this.#overloads.get(call.at) ?? [];
    const isBound = known.length === 1 && !SHARED.has(name);
    const fitting = call.overloads
      .filter(({ id, parameters }) => parameters.length === call.args.length && (!isBound || known.includes(id)))
      .toSorted((a, b) => Number(known.includes(b.id)) - Number(known.includes(a.id)));
    const { trusts, parameters: wanted = [] } = this.#trusting(call.at) ?? {};
    const args = call.args.map((argument, at) => {
      const run = this.compile(argument, scope);
      const type = at === trusts ? wanted[at] : undefined;
      return type === undefined ? run : trusted(run, type);
    });
    const [target, second] = args;
    const first = trusts === 1 && target !== undefined && second !== undefined ? settled(target, second) : target;
    if ((name === "or" || name === "orValue") && first !== undefined && second !== undefined) {
      return compileOr(name, first, second);
    }
    const constant = second && this.#constants.get(second)?.value;
    const run = compileCall(
      name,
      fitting.map((overload) => withPrepared(overload, constant)),
      first === undefined ? args : [first, ...args.slice(1)],
    );
    return FOLDED.has(name) && args.length === 1 ? this.#folded(run, args, call.at) : run;
  }

  /** The overload that trusts an argument, if cel-go knows that the call is of that one. */
  #trusting(call: Expression): Overload | undefined {
    const [id, ...others] = this.#overloads.get(call) ?? [];
    const overloads = call.kind === "call" && others.length === 0 ? this.#names.functions.get(call.name) : undefined;
    return overloads?.find((overload) => overload.id === id && overload.trusts !== undefined);
  }

  /** A constant that no list and no map can have as a key, which cel-go refuses before it runs. */
  #refuseKey({ index }: Expression & { readonly kind: "index" }, key: Value | undefined): void {
    if (this.#environment.typed && key !== undefined && !canBeKey(key)) {
      throw new ParseProblem(`invalid qualifier type: ${typeName(typeOf(key))}`, index.start, index.end);
    }
  }

  #operator(call: Expression & { readonly kind: "call" }, scope: Scope | undefined): Run | undefined {
    if (call.target !== undefined) {
      return undefined;
    }
    const [first, second, third] = call.arguments;
    if (first === undefined) {
      return undefined;
    }
    if (call.name === "_?_:_" && second !== undefined && third !== undefined) {
      const branches = [this.compile(second, scope), this.compile(third, scope)] as const;
      return compileConditional(this.compile(first, scope), ...branches);
    }
    const binary = BINARY_OPERATORS.get(call.name);
    const isLogic = call.name === "_&&_" || call.name === "_||_";
    if (second !== undefined && (binary !== undefined || isLogic)) {
      const left = this.compile(first, scope);
      const right = this.compile(second, scope);
      if (binary === undefined) {
        return compileLogic(call.name === "_||_", left, right);
      }
      const [found = "in_list", ...others] = this.#overloads.get(call) ?? [];
      const isInList = call.name === "@in" && found === "in_list" && others.length === 0;
      const container = isInList ? this.#constants.get(right)?.value : undefined;
      if (Array.isArray(container) && container.length === 0) {
        // Whatever the left side is, an error too.
        return this.#constant(false);
      }
      return membership(container, left) ?? compileBinary(binary, left, right);
    }
    const unary = UNARY_OPERATORS.get(call.name);
    return unary === undefined ? undefined : compileUnary(unary, this.compile(first, scope));
  }

  #map(entries: readonly MapEntry[], scope: Scope | undefined): Run {
    const compiled = entries.map(({ key, value, optional }) => ({
      key: this.compile(key, scope),
      value: this.compile(value, scope),
      optional,
    }));
    return this.#folded(
      compileMap(compiled),
      compiled.flatMap(({ key, value }) => [key, value]),
    );
  }

  #bind(scope: Scope | undefined, name: string): Scope {
    const local = bindLocal(scope, name);
    this.#locals = Math.max(this.#locals, local.slot + 1);
    return local;
  }

  #fold(comprehension: Comprehension, scope: Scope | undefined): Run {
    const shape = shapeOf(comprehension);
    const range = this.compile(comprehension.range, scope);
    const initial = this.compile(comprehension.initial, scope);
    const accumulator = this.#bind(scope, comprehension.accumulator);
    if (shape.kind === "bind") {
      const result = this.compile(comprehension.result, accumulator);
      const { slot } = accumulator;
      // The list of a sortBy: what is wrong with it is wrong with its keys, which are trusted.
      const bound = this.#trusting(comprehension.result) === undefined ? initial : panicking(initial);
      return (frame) => {
        frame.locals[slot] = bound(frame);
        return result(frame);
      };
    }
    const first = this.#bind(accumulator, comprehension.variable);
    const second = comprehension.variable2 === undefined ? undefined : this.#bind(first, comprehension.variable2);
    const parts = { range, slot: first.slot, slot2: second?.slot };
    const inner = second ?? first;
    if (shape.kind === "other") {
      const body = {
        condition: this.compile(comprehension.condition, inner),
        step: this.compile(comprehension.step, inner),
        result: this.compile(comprehension.result, accumulator),
      };
      return fold(parts, { slot: accumulator.slot, initial }, body);
    }
    return this.#standardFold(shape, parts, inner);
  }

  #standardFold(shape: Exclude<Shape, { readonly kind: "other" | "bind" }>, parts: FoldParts, scope: Scope): Run {
    const compile = (expression: Expression): Run => this.compile(expression, scope);
    switch (shape.kind) {
      case "quantifier":
        return quantifier(shape.decisive, parts, compile(shape.predicate));
      case "one":
        return existsOne(parts, compile(shape.predicate));
      case "collect":
        return collect(parts, shape.filter && compile(shape.filter), compile(shape.transform));
      case "insert":
        break;
    }
    const value = compile(shape.value);
    const made = shape.key === undefined ? { value } : { key: compile(shape.key), value };
    return insert(parts, shape.filter && compile(shape.filter), made);
  }
}

/** An expression that has no result whatever the input is. */
function failing(message: string): Run {
  return () => {
    throw new CelError(message);
  };
}
