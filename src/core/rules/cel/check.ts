import type { Comprehension, Expression, ListElement, MapEntry } from "./ast.ts";
import { checkLiterals } from "./check-literals.ts";
import { INDEX, OPTIONAL_INDEX, type Signature } from "./check-operators.ts";
import { type CheckEnvironment, Scope } from "./check-scope.ts";
import { inOrder, type Problem, problemAt } from "./problems.ts";
import { argumentsText, DYN, ERROR, typeText } from "./type-text.ts";
import type { Type } from "./types.ts";
import { mapTypes, mostGeneral, Substitutions, sameType } from "./unify.ts";
import { Uint } from "./values.ts";

/** What is known of an expression before it runs. Nothing but the problems counts if there are any. */
export interface Checked {
  readonly type: Type;
  readonly problems: readonly Problem[];
  /** Of every part. */
  readonly types: ReadonlyMap<Expression, Type>;
  /** The overloads that a call or an index may come down to; one, unless an argument is dyn. */
  readonly overloads: ReadonlyMap<Expression, readonly string[]>;
  /** Full names of the variables, and of the functions that are called with a qualified name. */
  readonly names: ReadonlyMap<Expression, string>;
}

type Call = Expression & { readonly kind: "call" };
type Select = Expression & { readonly kind: "select" };

const BOOL: Type = { kind: "bool" };
/** Of a name that is absent, and of all that is asked of it, whose functions are absent with it. */
const ABSENT: Type = { kind: "dyn" };
/** As many as cel-go reports. */
const MOST_PROBLEMS = 100;

/** Finds the type of an expression and what is wrong with it, in cel-go's words. Rules of cel-spec, gradual typing. */
export function check(expression: Expression, text: string, environment: CheckEnvironment): Checked {
  const checker = new Checker(text, environment);
  checker.check(expression);
  const checked = checker.result(expression);
  const literals = checked.problems.length > 0 ? [] : checkLiterals(expression, text, { checked, environment });
  const problems = inOrder([...checked.problems, ...literals]).slice(0, MOST_PROBLEMS);
  return { ...checked, problems };
}

class Checker {
  readonly #text: string;
  readonly #scope: Scope;
  readonly #substitutions = new Substitutions();
  readonly #problems: Problem[] = [];
  readonly #types = new Map<Expression, Type>();
  readonly #overloads = new Map<Expression, readonly string[]>();
  readonly #names = new Map<Expression, string>();

  constructor(text: string, environment: CheckEnvironment) {
    this.#text = text;
    this.#scope = new Scope(environment);
  }

  result(expression: Expression): Checked {
    const types = new Map<Expression, Type>();
    for (const [node, type] of this.#types) types.set(node, this.#substitutions.resolve(type, "dyn"));
    return {
      type: types.get(expression) ?? ERROR,
      problems: this.#problems,
      types,
      overloads: this.#overloads,
      names: this.#names,
    };
  }

  check(node: Expression): Type {
    const type = this.#typeOf(node);
    this.#types.set(node, type);
    return type;
  }

  #typeOf(node: Expression): Type {
    switch (node.kind) {
      case "literal":
        return literalType(node.value);
      case "identifier":
        return this.#identifier(node, [node.name]) ?? this.#undeclared(node, node.name);
      case "select":
        return this.#select(node);
      case "index":
        return this.#index(node);
      case "call":
        return this.#call(node);
      case "list":
        return this.#list(node.elements);
      case "map":
        return this.#map(node.entries);
      case "struct":
        return this.#struct(node);
      case "comprehension":
        break;
    }
    return this.#comprehension(node);
  }

  #problem(node: Expression, message: string, more: Pick<Problem, "known" | "isAbsent"> = {}): Type {
    this.#problems.push({ ...problemAt(this.#text, node, message), ...more });
    return ERROR;
  }

  #undeclared(node: Expression, name: string): Type {
    const isAbsent = this.#scope.absence(name) !== undefined;
    const problem = this.#problem(node, this.#scope.undeclared(name), isAbsent ? { isAbsent } : {});
    return isAbsent ? ABSENT : problem;
  }

  #mismatch(node: Expression, wanted: Type, found: Type): Type {
    return this.#problem(node, `expected type '${typeText(wanted)}' but found '${typeText(found)}'`);
  }

  #identifier(node: Expression, parts: readonly string[]): Type | undefined {
    const resolved = this.#scope.resolve(parts);
    if (resolved !== undefined) this.#names.set(node, resolved.name);
    return resolved?.type;
  }

  #select(node: Select): Type {
    const parts = node.test || node.optional ? undefined : qualifiedName(node);
    const named = parts === undefined ? undefined : this.#identifier(node, parts);
    if (named !== undefined) return named;
    const operand = this.#substitutions.resolve(this.check(node.operand), "keep");
    const field = this.#field(node, operand.kind === "optional" ? operand.of : operand);
    if (node.test) return BOOL;
    const type = operand.kind === "optional" || node.optional ? ({ kind: "optional", of: field } as const) : field;
    return this.#substitutions.resolve(type, "keep");
  }

  #field(node: Select, target: Type): Type {
    if (target === ABSENT) return ABSENT;
    if (target.kind === "map") return target.value;
    if (target.kind === "object")
      return (
        target.field(node.field) ??
        this.#problem(node, `undefined field '${node.field}'`, { known: target.fieldNames() })
      );
    // Bound to dyn, so that no later use makes another type of it.
    if (target.kind === "parameter") this.#substitutions.assignable(DYN, target);
    else if (target.kind !== "dyn") this.#problem(node, `type '${typeText(target)}' does not support field selection`);
    return DYN;
  }

  #index(node: Expression & { readonly kind: "index" }): Type {
    const types = [this.check(node.operand), this.check(node.index)];
    const name = node.optional ? OPTIONAL_INDEX : INDEX;
    return this.#resolve(node, this.#scope.function(name) ?? { name, overloads: [] }, { types, member: false });
  }

  #call(node: Call): Type {
    const types = node.arguments.map((argument) => this.check(argument));
    const { target, name } = node;
    const prefix = target === undefined ? undefined : qualifiedName(target);
    const qualified = prefix === undefined ? undefined : this.#scope.function([...prefix, name].join("."));
    if (qualified !== undefined) {
      this.#names.set(node, qualified.name);
      return this.#resolve(node, qualified, { types, member: false });
    }
    if (target !== undefined) types.unshift(this.check(target));
    if (target !== undefined && types[0] === ABSENT) return ABSENT;
    const found = this.#scope.function(name);
    if (found === undefined) return this.#undeclared(node, name);
    if (target === undefined) this.#names.set(node, found.name);
    if (name === "_&&_" || name === "_||_") return this.#logic(node, types);
    return this.#resolve(node, found, { types, member: target !== undefined });
  }

  /** cel-go tells of each operand of a logical operator by itself. */
  #logic(node: Call, types: readonly Type[]): Type {
    this.#overloads.set(node, [node.name === "_&&_" ? "logical_and" : "logical_or"]);
    let result = BOOL;
    node.arguments.forEach((argument, index) => {
      const type = types[index] ?? ERROR;
      if (!this.#substitutions.assignable(type, BOOL)) result = this.#mismatch(argument, BOOL, type);
    });
    return result;
  }

  #resolve(
    node: Expression,
    { name, overloads }: { readonly name: string; readonly overloads: readonly Signature[] },
    { types, member }: { readonly types: readonly Type[]; readonly member: boolean },
  ): Type {
    let result: Type | undefined;
    const fitting: string[] = [];
    for (const overload of overloads) {
      if (overload.member !== member) continue;
      const { parameters, result: wanted } = this.#instance(overload);
      if (!this.#substitutions.allAssignable(types, parameters)) continue;
      fitting.push(overload.id);
      const type = this.#substitutions.resolve(wanted, "keep");
      if (result === undefined) result = type;
      else if (result.kind !== "dyn" && !sameType(type, result)) result = DYN;
    }
    this.#overloads.set(node, fitting);
    if (result !== undefined) return result;
    const found = types.map((type) => this.#substitutions.resolve(type, "dyn"));
    return this.#problem(node, `found no matching overload for '${name}' applied to '${argumentsText(found, member)}'`);
  }

  /** The overload with parameters of its own. */
  #instance({ parameters, result }: Signature): { readonly parameters: readonly Type[]; readonly result: Type } {
    const fresh = new Map<string, Type>();
    const renew = (type: Type): Type => {
      if (type.kind !== "parameter") return mapTypes(type, renew);
      const known = fresh.get(type.name) ?? this.#substitutions.freshParameter();
      fresh.set(type.name, known);
      return known;
    };
    return { parameters: parameters.map(renew), result: renew(result) };
  }

  #list(elements: readonly ListElement[]): Type {
    let element: Type | undefined;
    for (const { value, optional } of elements) {
      const type = this.check(value);
      element = this.#join(element, optional ? this.#unwrapped(value, type) : type);
    }
    return { kind: "list", element: element ?? this.#substitutions.freshParameter() };
  }

  #map(entries: readonly MapEntry[]): Type {
    let keys: Type | undefined;
    let values: Type | undefined;
    for (const { key, value, optional } of entries) {
      keys = this.#join(keys, this.check(key));
      const type = this.check(value);
      values = this.#join(values, optional ? this.#unwrapped(value, type) : type);
    }
    const key = keys ?? this.#substitutions.freshParameter();
    return { kind: "map", key, value: values ?? this.#substitutions.freshParameter() };
  }

  /** The type in the optional of `[?x]` and `{?k: v}`. */
  #unwrapped(node: Expression, type: Type): Type {
    if (type.kind === "optional") return type.of;
    if (type.kind !== "dyn") this.#mismatch(node, { kind: "optional", of: type }, type);
    return type;
  }

  /** What is not of one type is dyn; Kubernetes refuses that in words, but only where all types are sound. */
  #join(before: Type | undefined, type: Type): Type {
    if (before === undefined) return type;
    return this.#substitutions.assignable(before, type) ? mostGeneral(before, type) : DYN;
  }

  #struct(node: Expression & { readonly kind: "struct" }): Type {
    const resolved = this.#scope.resolve([node.name]);
    if (resolved === undefined) return this.#undeclared(node, node.name);
    const { type } = resolved;
    if (type.kind !== "type") return this.#problem(node, `'${typeText(type)}' is not a type`);
    return this.#problem(node, `'${typeText(type.of)}' is not a message type`);
  }

  #comprehension(node: Comprehension): Type {
    const range = this.#substitutions.resolve(this.check(node.range), "keep");
    const accumulator = this.check(node.initial);
    const [variable, variable2] = this.#iteration(node, range);
    const loop: (readonly [string, Type])[] = [[node.variable, variable]];
    if (node.variable2 !== undefined) loop.push([node.variable2, variable2]);
    let result: Type = ERROR;
    this.#scope.within([[node.accumulator, accumulator]], () => {
      this.#scope.within(loop, () => {
        this.#want(node.condition, BOOL);
        this.#want(node.step, accumulator);
      });
      result = this.check(node.result);
    });
    return this.#substitutions.resolve(result, "keep");
  }

  /** Types of the variables of a macro over a range. */
  #iteration(node: Comprehension, range: Type): readonly [Type, Type] {
    const two = node.variable2 !== undefined;
    if (range.kind === "list") return two ? [{ kind: "int" }, range.element] : [range.element, range.element];
    if (range.kind === "map") return [range.key, range.value];
    if (range.kind === "dyn" || range.kind === "parameter") {
      this.#substitutions.assignable(DYN, range);
      return [DYN, DYN];
    }
    const found = `expression of type '${typeText(range)}'`;
    this.#problem(node.range, `${found} cannot be range of a comprehension (must be list, map, or dynamic)`);
    return [ERROR, ERROR];
  }

  #want(node: Expression, wanted: Type): void {
    const type = this.check(node);
    if (!this.#substitutions.assignable(wanted, type)) this.#mismatch(node, wanted, type);
  }
}

function literalType(value: unknown): Type {
  if (value === null) return { kind: "null" };
  if (typeof value === "boolean") return BOOL;
  if (typeof value === "bigint") return { kind: "int" };
  if (typeof value === "number") return { kind: "double" };
  if (typeof value === "string") return { kind: "string" };
  return value instanceof Uint ? { kind: "uint" } : { kind: "bytes" };
}

/** The names of `a.b.c`, if it is nothing but names. */
function qualifiedName(node: Expression): readonly string[] | undefined {
  const parts: string[] = [];
  let inner = node;
  while (inner.kind === "select" && !inner.test && !inner.optional) {
    parts.push(inner.field);
    inner = inner.operand;
  }
  return inner.kind === "identifier" ? [inner.name, ...parts.toReversed()] : undefined;
}
