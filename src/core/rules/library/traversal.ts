import { utf8Length } from "../../text.ts";
import { entriesOf } from "../cel/standard-maps.ts";
import { elementsOf, isCelMap, isList, isRecord, type Value } from "../cel/values.ts";
import { TRAVERSAL_FACTOR } from "./define.ts";

/** Units of reading the first argument with all that is in it (traversalCost of Kubernetes' cost.go). */
export function traversalOf([value]: readonly Value[]): number {
  return value === undefined ? 0 : deepCost(value);
}

function deepCost(value: Value): number {
  if (typeof value === "string") return Math.floor(utf8Length(value) * TRAVERSAL_FACTOR);
  if (value instanceof Uint8Array) return Math.floor(value.length * TRAVERSAL_FACTOR);
  let cost = 0;
  if (isList(value)) {
    for (const element of elementsOf(value)) cost += deepCost(element);
    return cost;
  }
  if (!isRecord(value) && !isCelMap(value)) return 1;
  for (const [key, content] of entriesOf(value)) cost += deepCost(key) + deepCost(content);
  return cost;
}
