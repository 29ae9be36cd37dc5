import { cut, quote } from "../text.ts";
import type { Expression } from "./cel/ast.ts";
import type { Program } from "./cel/cel.ts";
import { formatDouble, toText } from "./cel/conversions.ts";
import { equal } from "./cel/standard-compare.ts";
import {
  CelError,
  Duration,
  fromJson,
  isCelMap,
  isRecord,
  Optional,
  Timestamp,
  Uint,
  type Value,
} from "./cel/values.ts";
import { READ_VALUES_MAX } from "./limits.ts";

/** What an expression reads of its inputs: `object.spec.type` is the root `object` and two steps. */
export interface Read {
  readonly root: string;
  readonly steps: readonly (string | number)[];
  /** Whether it is there is all that is asked. */
  readonly tested?: true;
}

type Inputs = Readonly<Record<string, unknown>>;

/** The variables of a rule; other names are functions and namespaces of the library. */
const ROOTS: ReadonlySet<string> = new Set([
  "object",
  "oldObject",
  "request",
  "namespaceObject",
  "params",
  "variables",
  "effective",
  "policies",
  "mesh",
]);

const known = new WeakMap<Program, readonly Read[]>();

/** The longest paths that an expression names, in its order, each once. */
export function readsOf(program: Program): readonly Read[] {
  let reads = known.get(program);
  if (reads === undefined) {
    const found = new Map<string, Read>();
    collect(program.expression, new Set(), (read) => {
      const text = readText(read);
      if (!read.tested || !found.has(text)) found.set(text, read);
    });
    known.set(program, (reads = [...found.values()]));
  }
  return reads;
}

function collect(node: Expression, bound: ReadonlySet<string>, tell: (read: Read) => void): void {
  const within = (inner: Expression | undefined, names = bound): void => inner && collect(inner, names, tell);
  const read = pathOf(node);
  if (read !== undefined) {
    if (ROOTS.has(read.root) && !bound.has(read.root)) tell(read);
    return;
  }
  switch (node.kind) {
    case "select":
      return within(node.operand);
    case "index":
      within(node.operand);
      return within(node.index);
    case "call":
      within(node.target);
      return node.arguments.forEach((argument) => within(argument));
    case "list":
      return node.elements.forEach(({ value }) => within(value));
    case "map":
    case "struct":
      return node.entries.forEach(({ key, value }) => {
        within(key);
        within(value);
      });
    case "comprehension": {
      const names = new Set([...bound, node.accumulator, node.variable, node.variable2 ?? node.variable]);
      within(node.range);
      within(node.initial);
      for (const inner of [node.condition, node.step, node.result]) within(inner, names);
      return undefined;
    }
    case "identifier":
    case "literal":
      return undefined;
  }
}

/** Fields, and elements by a key that is written out, of a variable. */
function pathOf(node: Expression): Read | undefined {
  if (node.kind === "identifier") return { root: node.name, steps: [] };
  if (node.kind === "select") {
    const path = longer(pathOf(node.operand), node.field);
    return path && node.test ? { ...path, tested: true } : path;
  }
  // dyn(object) is the object.
  if (node.kind === "call" && node.name === "dyn" && node.target === undefined) {
    const [value, ...more] = node.arguments;
    return value !== undefined && more.length === 0 ? pathOf(value) : undefined;
  }
  if (node.kind !== "index" || node.index.kind !== "literal") return undefined;
  const { value } = node.index;
  if (typeof value === "bigint") return longer(pathOf(node.operand), Number(value));
  return typeof value === "string" ? longer(pathOf(node.operand), value) : undefined;
}

function longer(path: Read | undefined, step: string | number): Read | undefined {
  return path && { root: path.root, steps: [...path.steps, step] };
}

/** `object.metadata.labels["app.kubernetes.io/name"]`. */
export function readText({ root, steps }: Read): string {
  return steps.reduce<string>((text, step) => text + stepText(step), root);
}

function stepText(step: string | number): string {
  if (typeof step === "number") return `[${step}]`;
  return /^[A-Za-z_]\w*$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`;
}

/**
 * What a failed expression has read, as messages show it: `effective.timeout.request = 45s`. The whole object is no
 * answer, and a path that another one continues says nothing more.
 */
export function valuesRead(program: Program, inputs: Inputs): readonly string[] {
  const reads = readsOf(program).filter((read) => read.steps.length > 0);
  return reads
    .filter((read) => !reads.some((other) => continues(other, read)))
    .slice(0, READ_VALUES_MAX)
    .flatMap((read) => {
      const found = valueAt(read, inputs);
      return found === undefined ? [] : [`${readText(read)} ${found}`];
    });
}

/** The one field of the object that an expression is about, as findings name it; empty where there are more or none. */
export function fieldRead(program: Program): string {
  const reads = readsOf(program).filter(({ root, steps }) => root === "object" && steps.length > 0);
  const [only, ...more] = reads.filter((read) => !reads.some((other) => continues(other, read)));
  if (only === undefined || more.length > 0) return "";
  return readText(only).slice("object".length).replace(/^\./, "");
}

function continues(longer: Read, shorter: Read): boolean {
  return (
    longer.root === shorter.root &&
    longer.steps.length > shorter.steps.length &&
    shorter.steps.every((step, index) => step === longer.steps[index])
  );
}

/** Undefined where it cannot be computed. */
function valueAt(read: Read, inputs: Inputs): string | undefined {
  return attempt(() => {
    const value = valueOf(read, inputs);
    return value === undefined ? "is not set" : `= ${shown(value)}`;
  });
}

/** Undefined where it is not set. Throws a CelError where it cannot be computed. */
function valueOf({ root, steps }: Read, inputs: Inputs): Value | undefined {
  let value: Value | undefined = fromJson(inputs[root]);
  for (const step of steps) value = value === undefined ? undefined : memberOf(value, step);
  return value;
}

function attempt<T>(compute: () => T): T | undefined {
  try {
    return compute();
  } catch (error) {
    if (error instanceof CelError) return undefined;
    throw error;
  }
}

/** Whether all that an expression reads has the same value in both; not where that cannot be told. */
export function readsSame(program: Program, one: Inputs, other: Inputs): boolean {
  return readsOf(program).every(
    (read) => attempt(() => isSame(read, valueOf(read, one), valueOf(read, other))) ?? false,
  );
}

function isSame({ tested }: Read, one: Value | undefined, other: Value | undefined): boolean {
  if (tested || one === undefined || other === undefined) return (one === undefined) === (other === undefined);
  return equal(one, other);
}

function memberOf(value: Value, step: string | number): Value | undefined {
  if (Array.isArray(value)) return typeof step === "number" && step in value ? fromJson(value[step]) : undefined;
  if (isCelMap(value)) return value.get(typeof step === "number" ? BigInt(step) : step);
  if (value instanceof Optional) return value.value === undefined ? undefined : memberOf(value.value, step);
  return isRecord(value) && Object.hasOwn(value, step) ? fromJson(value[step]) : undefined;
}

/** Deeper and longer values are not written out. */
const SHOWN_DEPTH_MAX = 3;
const SHOWN_ELEMENTS_MAX = 5;

/** Bounded, since the value may be a whole object. */
function shown(value: Value): string {
  return typeof value === "string" ? quote(value) : cut(written(value, SHOWN_DEPTH_MAX));
}

function written(value: Value, depth: number): string {
  if (value === null) return "null";
  if (typeof value === "string") return quote(value);
  if (typeof value === "number") return formatDouble(value);
  if (typeof value === "boolean" || typeof value === "bigint") return String(value);
  if (value instanceof Duration || value instanceof Timestamp || value instanceof Uint) return toText(value);
  if (value instanceof Optional) return value.value === undefined ? "none" : written(value.value, depth);
  const inner = (item: unknown): string => written(fromJson(item), depth - 1);
  if (Array.isArray(value)) return `[${some(value, depth, inner)}]`;
  if (!isRecord(value)) return "…";
  return `{${some(Object.entries(value), depth, ([key, item]) => `${key}: ${inner(item)}`)}}`;
}

function some<T>(parts: readonly T[], depth: number, write: (part: T) => string): string {
  if (depth === 0 && parts.length > 0) return "…";
  const texts = parts.slice(0, SHOWN_ELEMENTS_MAX).map(write);
  return [...texts, ...(parts.length > SHOWN_ELEMENTS_MAX ? ["…"] : [])].join(", ");
}
