import type { Expression } from "./ast.ts";
import { add, fixed, multiply, PER_CHARACTER, PER_PATTERN_CHARACTER, type Range, scale } from "./estimate-range.ts";
import type { Type } from "./types.ts";

/** A part of a call as the estimate sees it. */
export interface Operand {
  readonly node: Expression;
  readonly type: Type;
  readonly cost: Range;
  readonly size: Range;
  /** Size of the items, if it is a list. */
  readonly itemSize: Range;
}

export interface Call {
  readonly name: string;
  readonly overload: string;
  readonly target: Operand | undefined;
  readonly arguments: readonly Operand[];
}

export interface Estimate {
  /** Of the call itself, without its parts. */
  readonly cost: Range;
  /** Of the result, where the call says. */
  readonly size?: Range;
}

type Estimator = (call: Call) => Estimate | undefined;

const ONE: Estimate = { cost: fixed(1) };
/** Longest name of the format library and longest of its patterns (k8s.io/apiserver/pkg/cel/limits.go). */
const FORMAT_PATTERN = 128;
/** Stands for a depth of lists in lists that is not written in the expression. */
const DEEP = 10;

const traversal = (size: Range, times = 1): Range => scale(size, times * PER_CHARACTER);
const readFirst: Estimator = ({ arguments: [first] }) =>
  first === undefined ? undefined : { cost: traversal(first.size) };
/** Of a value that is as large as its text. */
const readWhole: Estimator = (call) => withSize(readFirst(call), call.arguments[0]?.size);
const readTarget: Estimator = ({ target }) =>
  target === undefined ? undefined : { cost: traversal(target.size), size: target.size };

/** Functions by name, as Kubernetes' CostEstimator has them; undefined: as any other call. */
const FUNCTIONS: ReadonlyMap<string, Estimator> = new Map<string, Estimator>([
  ...["isSorted", "sum", "max", "min", "indexOf", "lastIndexOf"].map((name) => [name, compareItems] as const),
  ...["lowerAscii", "upperAscii", "substring", "trim"].map((name) => [name, readTarget] as const),
  ...["cidr", "isIP", "isCIDR", "quantity", "isQuantity", "isSemver"].map((name) => [name, readFirst] as const),
  ...["url", "semver"].map((name) => [name, readWhole] as const),
  ["ip", (call) => (call.overload === "cidr_ip" ? ONE : readFirst(call))],
  ["ip.isCanonical", ({ arguments: [first] }) => first && { cost: traversal(first.size, 2) }],
  ["replace", replace],
  ["split", split],
  ["join", join],
  ["find", (call) => withSize(pattern(call), upTo(call.target))],
  ["findAll", (call) => withSize(pattern(call), upTo(call.target))],
  ["containsIP", (call) => contains(call, "cidr_contains_ip_string", fixed(0))],
  ["containsCIDR", (call) => contains(call, "cidr_contains_cidr_string", { min: 2, max: 3 })],
  ["validate", validate],
]);

/** Overloads of cel-go's own standard library and extensions that cost more than one unit. */
const OVERLOADS: ReadonlyMap<string, Estimator> = new Map<string, Estimator>([
  ["string_format", ({ target }) => target && { cost: traversal(target.size) }],
  ["string_to_bytes", ({ arguments: [text] }) => text && converted(text.size, { min: 1, max: 4 })],
  ["bytes_to_string", ({ arguments: [text] }) => text && converted(text.size, { min: 0.25, max: 1 })],
  ["starts_with_string", readFirst],
  ["ends_with_string", readFirst],
  ["in_list", ({ arguments: [, list] }) => list && { cost: list.size }],
  ["matches_string", pattern],
  ["contains_string", searched],
  ["add_string", added],
  ["add_bytes", added],
  ["add_list", (call) => withSize(ONE, added(call)?.size)],
  ...["equals", "not_equals"].map((id) => [id, compared] as const),
  ...["less", "less_equals", "greater", "greater_equals"].flatMap((verb) =>
    ["string", "bytes"].map((type) => [`${verb}_${type}`, compared] as const),
  ),
  ["list_slice", slice],
  ["lists_range", ({ arguments: [count] }) => allocated(fixed(literal(count, Number.POSITIVE_INFINITY)), 1)],
  ["list_reverse", ({ target }) => target && allocated(target.size, 1)],
  ["list_flatten", ({ target }) => target && allocated(target.size, 1)],
  ["list_flatten_int", ({ target, arguments: [depth] }) => target && allocated(target.size, literal(depth, DEEP))],
  ["list_distinct", sorted],
  ["list_sets_contains_list", (call) => everyPair(call, 1)],
  ["list_sets_intersects_list", (call) => everyPair(call, 1)],
  ["list_sets_equivalent_list", (call) => everyPair(call, 2)],
]);

/** What a call costs by itself. */
export function estimateCall(call: Call): Estimate {
  const own = FUNCTIONS.get(call.name)?.(call) ?? OVERLOADS.get(call.overload)?.(call);
  if (own !== undefined) return own;
  return /^list_.*_sort(ByAssociatedKeys)?$/.test(call.overload) ? (sorted(call) ?? ONE) : ONE;
}

function withSize(estimate: Estimate | undefined, size: Range | undefined): Estimate | undefined {
  return estimate === undefined || size === undefined ? estimate : { cost: estimate.cost, size };
}

function upTo(operand: Operand | undefined): Range | undefined {
  return operand && { min: 0, max: operand.size.max };
}

/** One unit for each item, and the reading of items that are text. */
function compareItems({ target }: Call): Estimate | undefined {
  if (target === undefined) return undefined;
  if (target.type.kind !== "list") return { cost: traversal(target.size) };
  const { kind } = target.type.element;
  const item = kind === "string" || kind === "bytes" ? add(fixed(1), traversal(target.itemSize)) : fixed(1);
  return { cost: multiply(target.size, item) };
}

function replace({ target, arguments: [found, put] }: Call): Estimate | undefined {
  if (target === undefined || found === undefined || put === undefined) return undefined;
  const { size } = target;
  const most = replaced(size.max, found.size.min, put.size.max <= found.size.min);
  const least = replaced(size.min, found.size.max, found.size.max <= put.size.min);
  const count = { min: least.count, max: most.count };
  const kept = { min: least.kept, max: most.kept };
  return { cost: traversal(size, 2), size: add(multiply(count, put.size), kept) };
}

/** How often a text of some length can be replaced, and how much of the text around stays. */
function replaced(size: number, found: number, isSame: boolean): { readonly count: number; readonly kept: number } {
  if (found === 0) return { count: size + 1, kept: size };
  if (isSame) return { count: 0, kept: size };
  return { count: Number.isFinite(found) || Number.isFinite(size) ? Math.ceil(size / found) : 1, kept: 0 };
}

function split({ target, arguments: [, limit] }: Call): Estimate | undefined {
  if (target === undefined) return undefined;
  return { cost: traversal(target.size, 2), size: { min: 0, max: literal(limit, target.size.max) } };
}

function join({ target, arguments: [separator] }: Call): Estimate | undefined {
  if (target === undefined) return undefined;
  const gaps = { min: Math.max(0, target.size.min - 1), max: Math.max(0, target.size.max - 1) };
  const between = separator === undefined ? fixed(0) : multiply(separator.size, gaps);
  const size = add(multiply(target.size, target.itemSize), between);
  return { cost: traversal(size), size };
}

/** The text, of which even an empty one counts, times the pattern. */
function pattern({ target, arguments: [regex] }: Call): Estimate | undefined {
  if (target === undefined || regex === undefined) return undefined;
  return { cost: multiply(traversal(add(target.size, fixed(1))), scale(regex.size, PER_PATTERN_CHARACTER)) };
}

function searched({ target, arguments: [part] }: Call): Estimate | undefined {
  return target && part && { cost: multiply(traversal(target.size), traversal(part.size)) };
}

/** An address has 4 or 16 bytes, which are compared twice; a text is parsed first. */
function contains({ overload, arguments: [other] }: Call, parsed: string, extra: Range): Estimate | undefined {
  if (other === undefined) return undefined;
  const text = overload === parsed ? traversal(other.size) : fixed(0);
  return { cost: add(traversal({ min: 8, max: 32 }), extra, text) };
}

function validate({ arguments: [text] }: Call): Estimate | undefined {
  return text && { cost: scale(traversal(text.size), FORMAT_PATTERN * PER_PATTERN_CHARACTER) };
}

function converted(size: Range, factor: Range): Estimate {
  return {
    cost: traversal(size),
    size: { min: Math.floor(size.min * factor.min), max: size.max * factor.max },
  };
}

function added({ arguments: [one, other] }: Call): Estimate | undefined {
  if (one === undefined || other === undefined) return undefined;
  const size = add(one.size, other.size);
  return { cost: traversal(size), size };
}

/** As long as the shorter of the two at most. */
function compared({ name, arguments: [one, other] }: Call): Estimate | undefined {
  if (one === undefined || other === undefined) return undefined;
  const isAddress = [one, other].every(({ type }) => type.kind === "opaque" && /^(net\.|kubernetes\.)/.test(type.name));
  if (name === "_==_" && isAddress) return ONE;
  const max = Math.min(one.size.max, other.size.max);
  return { cost: traversal({ min: max > 0 ? 1 : 0, max }) };
}

/** Every item is compared with every other, which is dearer for text. The keys are the argument of sortBy. */
function sorted({ target, overload, arguments: [keys] }: Call): Estimate | undefined {
  const list = keys ?? target;
  if (list === undefined || target === undefined) return undefined;
  const isText = /^list_(string|bytes)_sort/.test(overload);
  const { cost } = allocated(multiply(list.size, list.size), isText ? 2 + PER_CHARACTER : 2);
  return { cost, size: target.size };
}

function everyPair({ arguments: [one, other] }: Call, times: number): Estimate | undefined {
  return one && other && { cost: add(scale(multiply(one.size, other.size), times), fixed(1)) };
}

function slice({ target, arguments: [from, to] }: Call): Estimate | undefined {
  if (target === undefined) return undefined;
  return allocated(fixed(Math.max(0, literal(to, target.size.max) - literal(from, 0))), 1);
}

/** A call that makes a list: the call and the list (common.ListCreateBaseCost of cel-go). */
function allocated(size: Range, factor: number): Estimate {
  return { cost: add(scale(size, factor), fixed(1 + 10)), size };
}

function literal(operand: Operand | undefined, otherwise: number): number {
  const { node } = operand ?? {};
  return node?.kind === "literal" && typeof node.value === "bigint" ? Number(node.value) : otherwise;
}
