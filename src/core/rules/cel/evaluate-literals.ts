import { keyText } from "./conversions.ts";
import type { Run } from "./evaluate-frame.ts";
import { ExpressionMap } from "./standard-maps.ts";
import { typeName, typeOf } from "./standard-types.ts";
import { CelError, Optional, toElement, type Value } from "./values.ts";

/** ListCreateBaseCost and MapCreateBaseCost of cel-go's common/cost.go. */
const LIST_UNITS = 10;
const MAP_UNITS = 30;

/** Of an entry with a question mark: its value, or undefined if there is none. Throws a CelError for another type. */
function present(value: Value, what: string): Value | undefined {
  if (!(value instanceof Optional)) {
    throw new CelError(`cannot initialize optional ${what} from non-optional value ${typeName(typeOf(value))}`);
  }
  return value.value;
}

export function compileList(elements: readonly { readonly value: Run; readonly optional: boolean }[]): Run {
  return (frame) => {
    const list: unknown[] = [];
    for (const { value, optional } of elements) {
      const made = value(frame);
      const kept = optional ? present(made, "list element") : made;
      if (kept !== undefined) {
        list.push(toElement(kept));
      }
    }
    frame.budget.charge(LIST_UNITS);
    return list;
  };
}

interface Entry {
  readonly key: Run;
  readonly value: Run;
  readonly optional: boolean;
}

export function compileMap(entries: readonly Entry[]): Run {
  return (frame) => {
    const map = new ExpressionMap();
    for (const { key, value, optional } of entries) {
      const name = key(frame);
      const made = value(frame);
      const kept = optional ? present(made, `entry '${keyText(name)}'`) : made;
      if (kept !== undefined) {
        map.set(name, kept);
      }
    }
    frame.budget.charge(MAP_UNITS);
    return map;
  };
}
