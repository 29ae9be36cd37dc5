import type { Comprehension, Expression } from "./ast.ts";
import { keyText } from "./conversions.ts";
import { absorbed, NO_SUCH_OVERLOAD, type Frame, type Run } from "./evaluate-frame.ts";
import { entriesOf, ExpressionMap, keysOf, lookUp } from "./standard-maps.ts";
import { goTypeName, typeName, typeOf } from "./standard-types.ts";
import { CelError, fromJson, isCelMap, isRecord, toElement, type Value } from "./values.ts";

/** The parts of a fold that run for each element, and where its variables are kept. */
export interface FoldParts {
  readonly range: Run;
  readonly slot: number;
  /** Of the second variable; undefined: there is one only. */
  readonly slot2: number | undefined;
}

/** Calls `visit` for each element with the variables set, until it returns false. Throws a CelError. */
function forEach(parts: FoldParts, frame: Frame, visit: () => boolean): void {
  const range = parts.range(frame);
  const { locals } = frame;
  const { slot, slot2 } = parts;
  const isMap = !Array.isArray(range) && (isRecord(range) || isCelMap(range));
  if (!Array.isArray(range) && !isMap) {
    const found = goTypeName(range);
    throw new CelError(
      slot2 === undefined ? `got '${found}', expected iterable type` : `unsupported comprehension range type: ${found}`,
    );
  }
  if (slot2 !== undefined) {
    const keys: Iterable<unknown> = isMap ? keysOf(range) : (range as readonly unknown[]).keys();
    for (const key of keys) {
      locals[slot] = isMap ? (key as Value) : BigInt(key as number);
      locals[slot2] = isMap
        ? (lookUp(range, key as Value) ?? null)
        : fromJson((range as readonly unknown[])[Number(key)]);
      if (!visit()) {
        return;
      }
    }
    return;
  }
  for (const element of isMap ? keysOf(range) : (range as readonly unknown[])) {
    locals[slot] = isMap ? (element as Value) : fromJson(element);
    if (!visit()) {
      return;
    }
  }
}

/** Units that cel-go counts for a fold beside its parts: for its result, and for each element. */
const RESULT_UNITS = 1;
const QUANTIFIER_UNITS = 3;
const COLLECT_UNITS = 12;
const INSERT_UNITS = 2;

/** `all` (where `decisive` is false) and `exists` (true): one element that decides makes up for errors of others. */
export function quantifier(decisive: boolean, parts: FoldParts, predicate: Run): Run {
  const units = decisive ? QUANTIFIER_UNITS + 1 : QUANTIFIER_UNITS;
  return (frame) => {
    let problem: CelError | undefined;
    let isDecided = false;
    forEach(parts, frame, () => {
      frame.budget.charge(units);
      try {
        const value = predicate(frame);
        isDecided = value === decisive;
        if (typeof value !== "boolean") {
          problem ??= new CelError(NO_SUCH_OVERLOAD);
        }
      } catch (error) {
        problem ??= absorbed(error);
      }
      return !isDecided;
    });
    frame.budget.charge(RESULT_UNITS + (isDecided ? units - 1 : 0));
    if (problem !== undefined && !isDecided) {
      throw problem;
    }
    return isDecided ? decisive : !decisive;
  };
}

function holds(predicate: Run, frame: Frame): boolean {
  const value = predicate(frame);
  if (typeof value !== "boolean") {
    throw new CelError(NO_SUCH_OVERLOAD);
  }
  return value;
}

export function existsOne(parts: FoldParts, predicate: Run): Run {
  return (frame) => {
    let count = 0;
    // Of several errors the last one counts, as in cel-go, which goes on to the end.
    let problem: CelError | undefined;
    forEach(parts, frame, () => {
      // Without the unit for each element a loop over a constant would cost nothing.
      frame.budget.charge(1);
      try {
        if (holds(predicate, frame)) {
          count++;
          frame.budget.charge(2);
        }
      } catch (error) {
        problem = absorbed(error);
      }
      return true;
    });
    frame.budget.charge(RESULT_UNITS + 1);
    if (problem !== undefined) {
      throw problem;
    }
    return count === 1;
  };
}

/**
 * Calls `take` for each element that the filter keeps. As in cel-go, which goes on to the end, the error of a filter
 * replaces that of an element before it, and after an error nothing is taken.
 */
function forKept(parts: FoldParts & { readonly filter: Run | undefined }, frame: Frame, take: () => void): void {
  const { filter } = parts;
  let problem: CelError | undefined;
  forEach(parts, frame, () => {
    if (filter === undefined) {
      take();
      return true;
    }
    let isKept = false;
    try {
      isKept = holds(filter, frame) && problem === undefined;
      if (isKept) {
        take();
      }
    } catch (error) {
      problem = absorbed(error);
    }
    if (!isKept) {
      frame.budget.charge(1);
    }
    return true;
  });
  if (problem !== undefined) {
    throw problem;
  }
}

/** `map`, `filter`, `transformList`. */
export function collect(parts: FoldParts, filter: Run | undefined, transform: Run): Run {
  const filtered = { ...parts, filter };
  return (frame) => {
    const list: unknown[] = [];
    forKept(filtered, frame, () => {
      const value = transform(frame);
      frame.budget.charge(COLLECT_UNITS);
      list.push(toElement(value));
    });
    frame.budget.charge(RESULT_UNITS);
    return list;
  };
}

function add(map: ExpressionMap, key: Value, value: Value): void {
  if (map.has(key)) {
    throw new CelError(`insert failed: key ${keyText(key)} already exists`);
  }
  map.set(key, value);
}

/** `transformMap`, which has a key, and `transformMapEntry`, whose value is a map to be merged. */
export function insert(
  parts: FoldParts,
  filter: Run | undefined,
  made: { readonly key?: Run; readonly value: Run },
): Run {
  const filtered = { ...parts, filter };
  return (frame) => {
    const map = new ExpressionMap();
    forKept(filtered, frame, () => {
      frame.budget.charge(INSERT_UNITS);
      const key = made.key?.(frame);
      const value = made.value(frame);
      if (key !== undefined) {
        add(map, key, value);
        return;
      }
      if (!isRecord(value) && !isCelMap(value)) {
        throw new CelError(`no such overload: cel.@mapInsert(map, ${typeName(typeOf(value))})`);
      }
      const entries = entriesOf(value);
      frame.budget.charge(entries.length);
      for (const [name, entry] of entries) {
        add(map, name, entry);
      }
    });
    frame.budget.charge(RESULT_UNITS);
    return map;
  };
}

/** A fold as it is written, for macros that are none of the standard ones. */
export function fold(
  parts: FoldParts,
  accumulator: { readonly slot: number; readonly initial: Run },
  body: { readonly condition: Run; readonly step: Run; readonly result: Run },
): Run {
  return (frame) => {
    const { locals } = frame;
    locals[accumulator.slot] = accumulator.initial(frame);
    forEach(parts, frame, () => {
      frame.budget.charge(1);
      if (body.condition(frame) !== true) {
        return false;
      }
      locals[accumulator.slot] = body.step(frame);
      return true;
    });
    return body.result(frame);
  };
}

export type Shape =
  | { readonly kind: "quantifier"; readonly decisive: boolean; readonly predicate: Expression }
  | { readonly kind: "one"; readonly predicate: Expression }
  | { readonly kind: "collect"; readonly filter: Expression | undefined; readonly transform: Expression }
  | {
      readonly kind: "insert";
      readonly filter: Expression | undefined;
      readonly key: Expression | undefined;
      readonly value: Expression;
    }
  | { readonly kind: "bind" }
  | { readonly kind: "other" };

const OTHER: Shape = { kind: "other" };

function isName(expression: Expression | undefined, name: string): boolean {
  return expression?.kind === "identifier" && expression.name === name;
}

/** Which of the standard macros a fold came from, told by its parts. */
export function shapeOf(fold: Comprehension): Shape {
  const { step, initial, accumulator, result } = fold;
  if (fold.range.kind === "list" && fold.range.elements.length === 0 && fold.condition.kind === "literal") {
    return fold.condition.value === false ? { kind: "bind" } : OTHER;
  }
  if (step.kind !== "call") {
    return OTHER;
  }
  const [first, second] = step.arguments;
  const isBoolean = initial.kind === "literal" && typeof initial.value === "boolean";
  if (isBoolean && second !== undefined && isName(first, accumulator) && isName(result, accumulator)) {
    const decisive = step.name === "_||_";
    return decisive || step.name === "_&&_" ? { kind: "quantifier", decisive, predicate: second } : OTHER;
  }
  const isFiltered = step.name === "_?_:_" && isName(step.arguments[2], accumulator);
  const filter = isFiltered ? first : undefined;
  const change = isFiltered ? second : step;
  if (change?.kind !== "call" || !isName(change.arguments[0], accumulator)) {
    return OTHER;
  }
  if (initial.kind === "literal" && initial.value === 0n && result.kind === "call" && filter !== undefined) {
    return { kind: "one", predicate: filter };
  }
  const [, added, value] = change.arguments;
  const [element] = added?.kind === "list" ? added.elements : [];
  if (change.name === "_+_" && initial.kind === "list" && initial.elements.length === 0 && element !== undefined) {
    return isName(result, accumulator) ? { kind: "collect", filter, transform: element.value } : OTHER;
  }
  if (change.name !== "cel.@mapInsert" || added === undefined) {
    return OTHER;
  }
  return { kind: "insert", filter, key: value === undefined ? undefined : added, value: value ?? added };
}
