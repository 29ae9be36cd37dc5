import type { Shape } from "./schema-shape.ts";

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
 * The shape of params that stand in the rule, so that a misspelt one is found when the rule is written. A map in which
 * all values are of one type may be read by a key that is computed: `params.limits[request.namespace]`.
 */
export function paramsShape(values: Readonly<Record<string, unknown>>): Shape {
  return fieldsShape(values, 0);
}

function shapeOf(value: unknown, depth: number): Shape {
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "number") return Number.isInteger(value) ? "int" : "double";
  if (typeof value === "bigint") return "int";
  if (typeof value !== "object" || value === null || depth > DEPTH_MAX) return "dyn";
  if (Array.isArray(value)) return [common(value.map((item) => shapeOf(item, depth + 1)))];
  const fields = fieldsShape(value as Readonly<Record<string, unknown>>, depth);
  const values = common(Object.values(fields));
  return values === "dyn" ? fields : { "*": values };
}

function fieldsShape(values: Readonly<Record<string, unknown>>, depth: number): Readonly<Record<string, Shape>> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, shapeOf(value, depth + 1)]));
}

/** The one shape that all have; dyn where there is none, or several. */
function common(shapes: readonly Shape[]): Shape {
  const [first = "dyn", ...others] = shapes;
  const text = JSON.stringify(first);
  return others.every((shape) => JSON.stringify(shape) === text) ? first : "dyn";
}
