/**
 * What rules know of a kind: a type by its name (`string`, `int`, `double`, `bool`, `bytes`, `timestamp`, `duration`,
 * `dyn`; `string:63` has at most 63 characters), a list as `[items, most]`, a map with string keys as `{"*": values}` or
 * `{"*16": values}` where there are at most 16, and an object by its fields. The field `@` is the name of its type, which
 * then is the same type wherever it stands; other types are named after the way to them.
 */
export type Shape = string | readonly [Shape, number?] | { readonly [field: string]: Shape };

type Json = Readonly<Record<string, unknown>>;

/** The `components.schemas` of an OpenAPI v3 document, by name. */
export type Definitions = Readonly<Record<string, unknown>>;

interface Context {
  readonly definitions: Definitions;
  /** Names of the definitions that this schema is in; one that is in itself is taken as dyn. */
  readonly within: readonly string[];
}

const FORMATS: ReadonlyMap<string, string> = new Map([
  ["byte", "bytes"],
  ["duration", "duration"],
  ["date", "timestamp"],
  ["date-time", "timestamp"],
]);
const SCALARS: ReadonlyMap<unknown, string> = new Map([
  ["boolean", "bool"],
  ["integer", "int"],
  ["number", "double"],
]);

/**
 * The shape of a schema of a CRD or of an OpenAPI v3 document, by the rules of the API server (SchemaDeclType of
 * k8s.io/apiserver/pkg/cel/common). What has no type, or keeps unknown fields and names none, is dyn.
 */
export function readShape(schema: unknown, definitions: Definitions = {}): Shape {
  return shapeOf(schema, { definitions, within: [] });
}

function shapeOf(schema: unknown, context: Context): Shape {
  if (!isObject(schema)) return "dyn";
  const [only] = Array.isArray(schema["allOf"]) && schema["allOf"].length === 1 ? schema["allOf"] : [];
  const reference = schema["$ref"] ?? (isObject(only) && schema["type"] === undefined ? only["$ref"] : undefined);
  if (typeof reference === "string") return referred(reference.split("/").at(-1) ?? "", context);
  if (schema["x-kubernetes-int-or-string"] === true || schema["format"] === "int-or-string") return "dyn";
  const type = schema["type"];
  if (type === "string") return stringShape(schema);
  if (type === "array") return listShape(schema, context);
  return type === "object" ? objectShape(schema, context) : (SCALARS.get(type) ?? "dyn");
}

function referred(name: string, { definitions, within }: Context): Shape {
  if (within.includes(name)) return "dyn";
  return shapeOf(definitions[name], { definitions, within: [...within, name] });
}

/** A choice between texts sets no limit: an object is admitted before it is validated. */
function stringShape({ format, maxLength }: Json): Shape {
  const other = typeof format === "string" ? FORMATS.get(format) : undefined;
  return other ?? (typeof maxLength === "number" ? `string:${maxLength}` : "string");
}

function listShape({ items, maxItems }: Json, context: Context): Shape {
  const shape = shapeOf(items, context);
  return typeof maxItems === "number" ? [shape, maxItems] : [shape];
}

function objectShape(schema: Json, context: Context): Shape {
  const { properties, additionalProperties, maxProperties } = schema;
  if (isObject(properties))
    return Object.fromEntries(Object.entries(properties).map(([name, field]) => [name, shapeOf(field, context)]));
  if (schema["x-kubernetes-preserve-unknown-fields"] === true) return "dyn";
  if (additionalProperties === undefined || additionalProperties === false) return {};
  const most = typeof maxProperties === "number" ? maxProperties : "";
  return { [`*${most}`]: shapeOf(additionalProperties, context) };
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The values of a map and how many there may be, or undefined if the shape is no map. */
export function mapShape(shape: Shape): { readonly values: Shape; readonly most: number | undefined } | undefined {
  if (typeof shape === "string" || Array.isArray(shape)) return undefined;
  const [entry, ...more] = Object.entries(shape as Readonly<Record<string, Shape>>);
  if (entry === undefined || more.length > 0 || !entry[0].startsWith("*")) return undefined;
  const most = entry[0].slice(1);
  return { values: entry[1], most: most === "" ? undefined : Number(most) };
}
