import { mapShape, type Shape } from "./schema-shape.ts";

/** Deeper values are not looked at: nobody writes such params, and an object of a request may. */
const DEPTH_MAX = 8;

/** `params` where it is a ConfigMap. */
export const CONFIG_MAP: Shape = {
  apiVersion: "string",
  kind: "string",
  metadata: { name: "string", namespace: "string", labels: { "*": "string" }, annotations: { "*": "string" } },
  data: { "*": "string" },
  binaryData: { "*": "string" },
  immutable: "bool",
};

/**
 * The shape of params that stand in the rule, so that a misspelt one is found when the rule is written; as large as they
 * are, so that a loop over them costs what it costs. A map in which all values are of one type may be read by a key that is
 * computed: `params.limits[request.namespace]`.
 */
export function paramsShape(values: Readonly<Record<string, unknown>>): Shape {
  return fieldsShape(values, 0);
}

function shapeOf(value: unknown, depth: number): Shape {
  if (typeof value === "string") return `string:${value.length}`;
  if (typeof value === "boolean") return "bool";
  if (typeof value === "number") return Number.isInteger(value) ? "int" : "double";
  if (typeof value === "bigint") return "int";
  if (typeof value !== "object" || value === null || depth > DEPTH_MAX) return "dyn";
  if (Array.isArray(value)) return [common(value.map((item) => shapeOf(item, depth + 1))), value.length];
  const fields = fieldsShape(value as Readonly<Record<string, unknown>>, depth);
  const shapes = Object.values(fields);
  const values = common(shapes);
  return values === "dyn" ? fields : { [`*${shapes.length}`]: values };
}

function fieldsShape(values: Readonly<Record<string, unknown>>, depth: number): Readonly<Record<string, Shape>> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, shapeOf(value, depth + 1)]));
}

/** The one shape that all have, as large as the largest; dyn where there is none, or several. */
function common(shapes: readonly Shape[]): Shape {
  const [first = "dyn", ...others] = shapes;
  return others.reduce(joined, first);
}

function joined(one: Shape, other: Shape): Shape {
  if (isSized(one) && isSized(other)) return `string:${Math.max(sizeOf(one), sizeOf(other))}`;
  if (isList(one) && isList(other)) return [joined(one[0], other[0]), Math.max(one[1] ?? 0, other[1] ?? 0)];
  const [map, otherMap] = [mapShape(one), mapShape(other)];
  if (map !== undefined && otherMap !== undefined)
    return { [`*${Math.max(map.most ?? 0, otherMap.most ?? 0)}`]: joined(map.values, otherMap.values) };
  return JSON.stringify(one) === JSON.stringify(other) ? one : "dyn";
}

function isSized(shape: Shape): shape is string {
  return typeof shape === "string" && shape.startsWith("string:");
}

function sizeOf(shape: string): number {
  return Number(shape.slice("string:".length));
}

function isList(shape: Shape): shape is readonly [Shape, number?] {
  return Array.isArray(shape);
}
