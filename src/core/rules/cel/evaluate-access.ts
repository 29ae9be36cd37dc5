import type { Expression } from "./ast.ts";
import type { Run } from "./evaluate-frame.ts";
import { keyText } from "./conversions.ts";
import { lookUp, ownField } from "./standard-maps.ts";
import { goTypeName, typeName, typeOf } from "./standard-types.ts";
import { CelError, fromJson, isCelMap, isRecord, Optional, Uint, type Value } from "./values.ts";

/** Names that every object has from its prototype, and that a read without care would find. */
const INHERITED: ReadonlySet<string> = new Set(Object.getOwnPropertyNames(Object.prototype));

/** The place in a list that an index means, which may be beyond its ends. Throws a CelError if it means none. */
function place(index: Value): number {
  if (typeof index === "bigint") {
    return Number(index);
  }
  if (typeof index === "number") {
    if (Number.isInteger(index)) {
      return index;
    }
    throw new CelError(`unsupported index value ${keyText(index)} in list`);
  }
  if (index instanceof Uint) {
    return Number(index.value);
  }
  throw new CelError(`unsupported index type '${typeName(typeOf(index))}' in list`);
}

/** Whether a list or a map may have something under that; what cannot be a key is an error, also behind a question mark. */
export function canBeKey(key: Value): boolean {
  return typeof key !== "object" || key instanceof Uint;
}

/** What is under the key; undefined: nothing, or the operand holds nothing at all. Throws a CelError, for a list only. */
function find(operand: Value, key: Value): Value | undefined {
  if (typeof operand !== "object" || operand === null) {
    return undefined;
  }
  if (Array.isArray(operand)) {
    const at = place(key);
    return at >= 0 && at < operand.length ? fromJson(operand[at]) : undefined;
  }
  return isRecord(operand) || isCelMap(operand) ? lookUp(operand, key) : undefined;
}

/** `?.` and `[?]`, and everything behind them: an optional of what is there. */
function findOptional(operand: Value, key: Value): Value {
  const inner = operand instanceof Optional ? operand.value : operand;
  const found = inner === undefined ? undefined : find(inner, key);
  return found === undefined ? Optional.none : new Optional(found);
}

function required(operand: Value, key: Value): Value {
  if (operand instanceof Optional) {
    return findOptional(operand, key);
  }
  const found = find(operand, key);
  if (found === undefined) {
    throw new CelError(`${Array.isArray(operand) ? "index out of bounds" : "no such key"}: ${keyText(key)}`);
  }
  return found;
}

/** Whether reading the expression is one step of a path that begins with a name, which cel-go counts as a whole. */
function isPath(expression: Expression): boolean {
  return (
    expression.kind === "identifier" ||
    (expression.kind === "select" && !expression.test) ||
    expression.kind === "index" ||
    (expression.kind === "call" && expression.name === "_?_:_")
  );
}

type Select = Expression & { readonly kind: "select" };

export function compileSelect(select: Select, operand: Run): Run {
  const { field } = select;
  const units = isPath(select.operand) ? 1 : 2;
  if (select.test) {
    return (frame) => {
      const value = operand(frame);
      const inner = value instanceof Optional ? value.value : value;
      return inner !== undefined && find(inner, field) !== undefined;
    };
  }
  if (select.optional) {
    return (frame) => {
      const value = operand(frame);
      frame.budget.charge(units);
      return findOptional(value, field);
    };
  }
  const isInherited = INHERITED.has(field);
  return (frame) => {
    const value = operand(frame);
    frame.budget.charge(units);
    if (!isRecord(value)) {
      return required(value, field);
    }
    const found = isInherited ? ownField(value, field) : value[field];
    if (found === undefined) {
      throw new CelError(`no such key: ${field}`);
    }
    return fromJson(found);
  };
}

export function compileIndex(index: Expression & { readonly kind: "index" }, parts: { operand: Run; key: Run }): Run {
  const { operand, key } = parts;
  const units = isPath(index.operand) ? 1 : 2;
  const access = index.optional ? findOptional : required;
  return (frame) => {
    const value = operand(frame);
    const at = key(frame);
    frame.budget.charge(units);
    if (!canBeKey(at)) {
      throw new CelError(`invalid qualifier type: ${goTypeName(at)}`);
    }
    return access(value, at);
  };
}
