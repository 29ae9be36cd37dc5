import type { Comprehension, Expression } from "./ast.ts";
import type { Checked } from "./check.ts";
import { INDEX, OPTIONAL_INDEX } from "./check-operators.ts";
import { estimateBeyond } from "./estimate-beyond.ts";
import { type Call, type Estimate, estimateCall, type Operand } from "./estimate-calls.ts";
import { add, fixed, multiply, type Range, UNKNOWN, union } from "./estimate-range.ts";
import { DYN } from "./type-text.ts";
import type { Type } from "./types.ts";

/** What is known of the data before an expression runs. */
export interface Sizes {
  /**
   * The most items, entries or characters of the value at a path, undefined where nothing is known. The path starts
   * with a variable and has field names, `@items`, `@keys`, `@values` and `@indices`.
   */
  readonly at: (path: readonly string[]) => number | undefined;
  /** What stands for sizes that are not known: items of a list or map, characters of a text. Absent: Infinity. */
  readonly unbounded?: { readonly items: number; readonly characters: number };
  /** Counts as well what a run costs here and nothing in Kubernetes; else the estimate is that of Kubernetes. */
  readonly beyond?: boolean;
}

type Path = readonly string[] | undefined;

/** Sizes of what is in a list or a map. */
interface Entries {
  readonly isList: boolean;
  readonly key: Range;
  readonly value: Range;
}

interface Local {
  readonly path: Path;
  readonly size: Range | undefined;
  readonly entries: Entries | undefined;
}

/** Base costs of cel-go (common/cost.go); has() is free, as in Kubernetes. */
const NAME: Range = fixed(1);
const NOTHING: Range = fixed(0);
const NEW_LIST: Range = fixed(10);
const NEW_MAP: Range = fixed(30);
const SCALARS: ReadonlySet<string> = new Set(["bool", "double", "duration", "int", "timestamp", "uint"]);

/** The least and the most units that a checked expression may cost, by the rules of cel-go and Kubernetes. */
export function estimateCost(expression: Expression, checked: Checked, sizes: Sizes): Range {
  return new Estimator(checked, sizes).cost(expression);
}

class Estimator {
  readonly #checked: Checked;
  readonly #known: Sizes;
  readonly #paths = new Map<Expression, Path>();
  readonly #sizes = new Map<Expression, Range>();
  readonly #entries = new Map<Expression, Entries>();
  readonly #locals = new Map<string, Local[]>();

  constructor(checked: Checked, sizes: Sizes) {
    this.#checked = checked;
    this.#known = sizes;
  }

  cost(node: Expression): Range {
    switch (node.kind) {
      case "literal":
        return NOTHING;
      case "identifier":
        this.#paths.set(node, this.#path(node) ?? (this.#local(node) === undefined ? [node.name] : undefined));
        return NAME;
      case "select":
        return this.#select(node);
      case "index":
        return this.#index(node);
      case "call":
        return this.#call(node);
      case "list":
        return this.#list(node);
      case "map":
      case "struct":
        return this.#map(node);
      case "comprehension":
        break;
    }
    return isBinding(node) ? this.#binding(node) : this.#comprehension(node);
  }

  #type(node: Expression): Type {
    return this.#checked.types.get(node) ?? DYN;
  }

  #local(node: Expression): Local | undefined {
    return node.kind === "identifier" ? this.#locals.get(node.name)?.at(-1) : undefined;
  }

  #path(node: Expression): Path {
    const local = this.#local(node);
    return local === undefined ? this.#paths.get(node) : local.path;
  }

  #select(node: Expression & { readonly kind: "select" }): Range {
    const operand = this.cost(node.operand);
    if (node.test) return operand;
    const path = this.#path(node.operand);
    if (this.#checked.names.has(node)) this.#paths.set(node, this.#checked.names.get(node)?.split("."));
    else if (path !== undefined) this.#paths.set(node, [...path, node.field]);
    if (node.optional) return add(operand, NAME);
    const { kind } = this.#type(node.operand);
    return ["map", "object", "parameter"].includes(kind) ? add(operand, NAME) : operand;
  }

  #index(node: Expression & { readonly kind: "index" }): Range {
    const cost = add(this.cost(node.operand), this.cost(node.index));
    const operand = this.#type(node.operand);
    const path = this.#path(node.operand);
    const step = operand.kind === "list" ? "@items" : operand.kind === "map" ? "@values" : undefined;
    if (path !== undefined && step !== undefined) this.#paths.set(node, [...path, step]);
    this.#setSize(node, this.#entriesOf(node.operand)?.value);
    const name = node.optional ? OPTIONAL_INDEX : INDEX;
    return add(cost, estimateCall({ name, overload: "", target: undefined, arguments: [] }).cost);
  }

  #list(node: Expression & { readonly kind: "list" }): Range {
    const values = node.elements.map(({ value }) => value);
    const cost = add(NEW_LIST, ...values.map((value) => this.cost(value)));
    this.#entries.set(node, { isList: true, key: fixed(1), value: this.#unionOf(values) });
    return cost;
  }

  #map(node: Expression & { readonly kind: "map" | "struct" }): Range {
    const keys = node.entries.map(({ key }) => key);
    const values = node.entries.map(({ value }) => value);
    const cost = add(NEW_MAP, ...[...keys, ...values].map((part) => this.cost(part)));
    this.#entries.set(node, { isList: false, key: this.#unionOf(keys), value: this.#unionOf(values) });
    return cost;
  }

  #unionOf(nodes: readonly Expression[]): Range {
    const [first, ...rest] = nodes.map((node) => this.#size(node));
    return first === undefined ? NOTHING : rest.reduce(union, first);
  }

  #call(node: Expression & { readonly kind: "call" }): Range {
    const parameters = node.arguments.map((argument) => this.#operand(argument));
    const isNamespace = node.target !== undefined && this.#checked.names.has(node);
    const target = node.target === undefined || isNamespace ? undefined : this.#operand(node.target);
    const name = this.#checked.names.get(node) ?? node.name;
    const [first = NOTHING, second = NOTHING, third = NOTHING] = parameters.map(({ cost }) => cost);
    if (name === "_&&_" || name === "_||_") return { min: first.min, max: first.max + second.max };
    if (name === "_?_:_") {
      this.#choose(node);
      return add(first, union(second, third));
    }
    const parts = add(target?.cost ?? NOTHING, ...parameters.map(({ cost }) => cost));
    if (name === "dyn") this.#copy(node, node.arguments[0]);
    if (name === "orValue" && isEmpty(node.arguments[0])) this.#paths.set(node, node.target && this.#path(node.target));
    const own = this.#ownCost(node, { name, overload: "", target, arguments: parameters });
    return add(parts, own);
  }

  /** From the cheapest to the dearest of the overloads that may be called. */
  #ownCost(node: Expression & { readonly kind: "call" }, call: Call): Range {
    const overloads = this.#checked.overloads.get(node) ?? [];
    const estimates = overloads.map((overload) => estimateCall({ ...call, overload }));
    const [first, ...rest]: readonly Estimate[] = estimates;
    if (first === undefined) return NAME;
    const sizes = estimates.flatMap(({ size }) => size ?? []);
    const [size, ...others] = sizes;
    if (size !== undefined) this.#setSize(node, others.reduce(union, size));
    if (call.name === "_+_") this.#merge(node, node.arguments);
    const cost = rest.reduce((range, estimate) => union(range, estimate.cost), first.cost);
    const more = this.#known.beyond === true ? overloads.map((overload) => estimateBeyond({ ...call, overload })) : [];
    return add(cost, more.reduce(union, NOTHING));
  }

  #choose(node: Expression & { readonly kind: "call" }): void {
    const [, yes, no] = node.arguments;
    if (yes === undefined || no === undefined) return;
    this.#setSize(node, union(this.#size(yes), this.#size(no)));
    this.#merge(node, [yes, no]);
  }

  #merge(node: Expression, [one, other]: readonly Expression[]): void {
    const first = one && this.#entriesOf(one);
    const second = other && this.#entriesOf(other);
    if (first === undefined || second === undefined) return;
    const key = union(first.key, second.key);
    this.#entries.set(node, { isList: first.isList, key, value: union(first.value, second.value) });
  }

  #copy(node: Expression, from: Expression | undefined): void {
    if (from === undefined) return;
    this.#setSize(node, this.#knownSize(from));
    const entries = this.#entriesOf(from);
    if (entries !== undefined) this.#entries.set(node, entries);
  }

  #operand(node: Expression): Operand {
    const cost = this.cost(node);
    const type = this.#type(node);
    const path = this.#path(node);
    const most = type.kind === "list" && path !== undefined ? this.#known.at([...path, "@items"]) : undefined;
    const items = type.kind === "list" ? this.#unbounded(type.element, "text") : UNKNOWN;
    const itemSize = this.#entriesOf(node)?.value ?? (most === undefined ? items : { min: 0, max: most });
    return { node, type, cost, size: this.#size(node), itemSize };
  }

  #comprehension(node: Comprehension): Range {
    const before = add(this.cost(node.range), this.cost(node.initial));
    const range = this.#size(node.range, "items");
    let loop = NOTHING;
    let result = NOTHING;
    this.#within([[node.accumulator, this.#bound(node.initial)]], () => {
      this.#within(this.#iteration(node), () => {
        loop = add(this.cost(node.condition), this.cost(node.step));
      });
      result = this.cost(node.result);
    });
    this.#resultSize(node, range);
    return add(before, result, multiply(range, loop));
  }

  #resultSize(node: Comprehension, range: Range): void {
    if (node.initial.kind === "literal") this.#setSize(node, this.#knownSize(node.initial));
    if (node.initial.kind !== "list" && node.initial.kind !== "map") return;
    this.#setSize(node, range);
    const entries = this.#entriesOf(node.step);
    if (entries !== undefined) this.#entries.set(node, entries);
  }

  /** The variables of a macro, with what is known of the items. */
  #iteration(node: Comprehension): readonly (readonly [string, Local])[] {
    const entries = this.#entriesOf(node.range);
    const path = this.#path(node.range);
    const isList = entries?.isList ?? this.#type(node.range).kind === "list";
    const at = (step: string, size: Range | undefined): Local => ({
      path: path && [...path, step],
      size,
      entries: undefined,
    });
    const value = at(isList ? "@items" : "@values", entries?.value);
    const key = at(isList ? "@indices" : "@keys", entries?.key);
    if (node.variable2 === undefined) return [[node.variable, isList ? value : key]];
    return [
      [node.variable, key],
      [node.variable2, value],
    ];
  }

  /** A fold over nothing that gives a value a name. */
  #binding(node: Comprehension): Range {
    const before = add(this.cost(node.range), this.cost(node.initial));
    let result = NOTHING;
    this.#within([[node.accumulator, this.#bound(node.initial)]], () => {
      result = this.cost(node.result);
      this.#copy(node, node.result);
    });
    return add(before, result);
  }

  #bound(node: Expression): Local {
    return { path: this.#path(node), size: this.#knownSize(node), entries: this.#entriesOf(node) };
  }

  #within(locals: readonly (readonly [string, Local])[], estimate: () => void): void {
    for (const [name, local] of locals) this.#locals.set(name, [...(this.#locals.get(name) ?? []), local]);
    estimate();
    for (const [name] of locals) this.#locals.get(name)?.pop();
  }

  #setSize(node: Expression, size: Range | undefined): void {
    if (size !== undefined) this.#sizes.set(node, size);
  }

  #entriesOf(node: Expression): Entries | undefined {
    return this.#entries.get(node) ?? this.#local(node)?.entries;
  }

  #size(node: Expression, use: "items" | "text" = "text"): Range {
    return this.#knownSize(node) ?? this.#unbounded(this.#type(node), use);
  }

  /** `use`: what a dyn is used as. */
  #unbounded({ kind }: Type, use: "items" | "text"): Range {
    const { unbounded } = this.#known;
    if (unbounded === undefined) return UNKNOWN;
    const isItems = kind === "list" || kind === "map" || kind === "object" || (kind === "dyn" && use === "items");
    return { min: 0, max: isItems ? unbounded.items : unbounded.characters };
  }

  #knownSize(node: Expression): Range | undefined {
    const own = this.#sizes.get(node) ?? writtenSize(node);
    if (own !== undefined) return own;
    const path = this.#path(node);
    const most = path && this.#known.at(path);
    if (most !== undefined) return { min: 0, max: most };
    return isScalar(this.#type(node)) ? fixed(1) : this.#local(node)?.size;
  }
}

/** The size of what is written in the expression. */
function writtenSize(node: Expression): Range | undefined {
  if (node.kind === "list") return fixed(node.elements.length);
  if (node.kind === "map") return fixed(node.entries.length);
  if (node.kind !== "literal") return undefined;
  const { value } = node;
  if (typeof value === "string") return fixed(Array.from(value).length);
  return fixed(value instanceof Uint8Array ? value.length : 1);
}

/** What stands for a missing list then has no item that could be larger than its own. */
function isEmpty(node: Expression | undefined): boolean {
  return node !== undefined && writtenSize(node)?.max === 0;
}

function isScalar(type: Type): boolean {
  return type.kind === "optional" ? isScalar(type.of) : SCALARS.has(type.kind);
}

function isBinding({ range, condition }: Comprehension): boolean {
  const isEmpty = range.kind === "list" && range.elements.length === 0;
  return isEmpty && condition.kind === "literal" && condition.value === false;
}
