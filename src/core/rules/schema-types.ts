import { readType } from "./cel/type-text.ts";
import type { Type } from "./cel/types.ts";
import { mapShape, type Shape } from "./schema-shape.ts";

/** Names that CEL keeps for itself, which Kubernetes writes as `__namespace__`. */
const RESERVED: ReadonlySet<string> = new Set(
  (
    "true false null in as break const continue else for function if import let loop package namespace return var " +
    "void while"
  ).split(" "),
);
const ESCAPES: ReadonlyMap<string, string> = new Map([
  ["__", "__underscores__"],
  [".", "__dot__"],
  ["-", "__dash__"],
  ["/", "__slash__"],
]);

/** How a property is called in an expression, or undefined if Kubernetes has no name for it. */
export function escapeFieldName(name: string): string | undefined {
  if (!/^[a-zA-Z_./-][\w./-]*$/.test(name)) return undefined;
  if (RESERVED.has(name)) return `__${name}__`;
  return name.replaceAll(/__|[./-]/g, (found) => ESCAPES.get(found) ?? found);
}

/**
 * The type of a shape. `name` is what messages call it; `Service` makes the type of its `spec` a `Service.spec`.
 *
 * `asText`: dates, durations and bytes are the strings that JSON has of them, which is what an expression meets when it
 * runs. Kubernetes types them as what they mean.
 */
export function shapeType(shape: Shape, name: string, { asText = false }: { readonly asText?: boolean } = {}): Type {
  const inner = (of: Shape, at: string): Type => shapeType(of, `${name}.${at}`, { asText });
  if (typeof shape === "string") {
    const [type = "dyn"] = shape.split(":");
    const isText = asText && ["timestamp", "duration", "bytes"].includes(type);
    return isText ? { kind: "string" } : readType(type);
  }
  if (isList(shape)) return { kind: "list", element: inner(shape[0], "@idx") };
  const map = mapShape(shape);
  if (map !== undefined) return { kind: "map", key: { kind: "string" }, value: inner(map.values, "@elem") };
  return objectType(shape, name, inner);
}

/** Fields are known by the name in JSON and by the name that Kubernetes escapes it to. */
function objectType(
  shape: Readonly<Record<string, Shape>>,
  name: string,
  inner: (shape: Shape, at: string) => Type,
): Type {
  return {
    kind: "object",
    name: typeof shape["@"] === "string" ? shape["@"] : name,
    field: (asked) => {
      const found = fieldShape(shape, asked);
      return found === undefined ? undefined : inner(found, asked);
    },
    fieldNames: () => Object.keys(shape).filter((field) => field !== "@"),
  };
}

function fieldShape(shape: Readonly<Record<string, Shape>>, asked: string): Shape | undefined {
  if (Object.hasOwn(shape, asked)) return shape[asked];
  const name = asked.includes("__") ? Object.keys(shape).find((field) => escapeFieldName(field) === asked) : undefined;
  return name === undefined ? undefined : shape[name];
}

/**
 * The most items, entries or characters of the value at a path, undefined where the schema sets no limit. The path has
 * field names, `@items`, `@keys` and `@values`.
 */
export function shapeSize(shape: Shape, path: readonly string[]): number | undefined {
  const [first, ...rest] = path;
  const map = mapShape(shape);
  if (first === undefined) {
    if (typeof shape === "string") return stringSize(shape);
    return isList(shape) ? shape[1] : map?.most;
  }
  const inner = step(shape, first);
  return inner === undefined ? undefined : shapeSize(inner, rest);
}

function step(shape: Shape, name: string): Shape | undefined {
  if (typeof shape === "string" || name === "@keys") return undefined;
  if (isList(shape)) return name === "@items" ? shape[0] : undefined;
  return mapShape(shape)?.values ?? fieldShape(shape, name);
}

/** In bytes, as the API server counts: a character of a string may have four. */
function stringSize(shape: string): number | undefined {
  const [type, most] = shape.split(":");
  return type === "string" && most !== undefined ? Number(most) * 4 : undefined;
}

function isList(shape: Shape): shape is readonly [Shape, number?] {
  return Array.isArray(shape);
}
