import * as z from "zod";

/** A structural schema as `openAPIV3Schema` holds it. */
export type Structural = { readonly [keyword: string]: unknown };

const INT32_MAX = 2_147_483_647;
/** Keywords that are copied; every other one is refused, so that a new construct of zod's cannot slip into a CRD. */
const COPIED = new Set([
  "type",
  "description",
  "enum",
  "format",
  "pattern",
  "minLength",
  "maxLength",
  "minItems",
  "maxItems",
  "minProperties",
  "maxProperties",
  "required",
  "x-kubernetes-validations",
  "x-kubernetes-list-type",
  "x-kubernetes-list-map-keys",
  "x-kubernetes-preserve-unknown-fields",
]);
/** Names that Kubernetes' API conventions retired. */
const REFUSED_NAMES = new Set(["phase"]);
/** Look-around and back-references: RE2 has neither, and the API server would refuse the CRD. */
const NOT_RE2 = /\(\?(?:[=!]|<[=!])|\\[1-9]|\\k</;

/** A zod schema as the structural schema that a CRD needs. Throws on what the API server or our API rules refuse. */
export function structuralSchema(schema: z.ZodType, at: string): Structural {
  const override = ({ zodSchema }: { zodSchema: z.core.$ZodTypes }) => requirePlainKeys(zodSchema, at);
  const options = { target: "openapi-3.0", io: "input", reused: "inline", cycles: "throw", override } as const;
  const json = z.toJSONSchema(schema, options);
  return convert(json, at);
}

/** zod leaves the schema of a map's keys out without a word. */
function requirePlainKeys(schema: z.core.$ZodTypes, at: string): void {
  if (!(schema instanceof z.ZodRecord)) return;
  const { keyType } = schema;
  if (keyType instanceof z.ZodString && (keyType.def.checks ?? []).length === 0) return;
  throw refusal(at, "found a schema for the keys of a map, wanted a rule");
}

/** The second half, for schemas that are JSON already. */
export function convert(json: unknown, at: string): Structural {
  if (!isSchema(json)) throw refusal(at, `found ${JSON.stringify(json)}, wanted a schema`);
  const out: Record<string, unknown> = {};
  for (const [keyword, value] of Object.entries(json)) {
    if (COPIED.has(keyword)) out[keyword] = value;
    else Object.assign(out, rewritten(keyword, { json, at }));
  }
  requireCompleteness(out, at);
  return out;
}

interface Place {
  readonly json: Structural;
  readonly at: string;
}

function rewritten(keyword: string, { json, at }: Place): Structural {
  switch (keyword) {
    case "properties":
      return { properties: properties({ json, at }) };
    case "items":
      return { items: convert(json["items"], `${at}[]`) };
    case "additionalProperties":
      return additionalProperties({ json, at });
    case "minimum":
    case "maximum":
      return bound(keyword, json[keyword]);
    case "exclusiveMinimum":
    case "exclusiveMaximum":
      if (json[keyword] === true) return { [keyword]: true };
      throw refusal(at, `found ${keyword} ${String(json[keyword])}, wanted a boolean beside the bound`);
    default:
      throw refusal(at, `found the keyword ${keyword}, which a CRD cannot hold or our API does not use`);
  }
}

function properties({ json, at }: Place): Structural {
  const fields: Record<string, Structural> = {};
  for (const [name, field] of Object.entries(json["properties"] as Structural)) {
    const path = `${at}.${name}`;
    if (REFUSED_NAMES.has(name)) throw refusal(path, `found a field called ${name}, wanted conditions instead`);
    fields[name] = convert(field, path);
    if (typeof fields[name]["description"] !== "string") throw refusal(path, "found no description");
  }
  return fields;
}

/** `additionalProperties: false` says what pruning does anyway; beside properties it may not be written at all. */
function additionalProperties({ json, at }: Place): Structural {
  const value = json["additionalProperties"];
  // Values of any type: `additionalProperties: {}` is what the keyword says already.
  if (json["x-kubernetes-preserve-unknown-fields"] === true) return {};
  if ("properties" in json) {
    if (value === false) return {};
    throw refusal(at, "found additionalProperties beside properties");
  }
  const values = convert(value, `${at}{}`);
  if (values["type"] !== "string") throw refusal(at, "found a map of something other than strings, wanted a list");
  if (json["maxProperties"] === undefined) throw refusal(at, "found a map without maxProperties");
  return { additionalProperties: values };
}

/** zod writes the range of safe integers on every integer; it says nothing that int64 does not. */
function bound(keyword: string, value: unknown): Structural {
  return Math.abs(Number(value)) === Number.MAX_SAFE_INTEGER ? {} : { [keyword]: value };
}

function requireCompleteness(out: Record<string, unknown>, at: string): void {
  const pattern = out["pattern"];
  if (typeof pattern === "string" && NOT_RE2.test(pattern)) throw refusal(at, `found ${pattern}, wanted RE2 syntax`);
  switch (out["type"]) {
    case "object":
      if (out["x-kubernetes-preserve-unknown-fields"] === true) return;
      if (Object.keys(out["properties"] ?? {}).length === 0 && !("additionalProperties" in out))
        throw refusal(at, "found an object without fields");
      return;
    case "array":
      if (out["maxItems"] === undefined) throw refusal(at, "found a list without maxItems");
      if (out["items"] === undefined) throw refusal(at, "found a list without items");
      if (out["x-kubernetes-list-type"] === undefined) throw refusal(at, "found a list without a list type");
      return;
    case "string":
      if (out["maxLength"] === undefined && out["enum"] === undefined)
        throw refusal(at, "found a string without maxLength");
      return;
    case "integer":
      out["format"] ??= isInt32(out) ? "int32" : "int64";
      return;
    case "boolean":
      return;
    default:
      throw refusal(at, `found the type ${String(out["type"])}, wanted object, array, string, integer or boolean`);
  }
}

function isInt32(schema: Structural): boolean {
  const { minimum, maximum } = schema;
  return typeof minimum === "number" && typeof maximum === "number" && minimum >= -INT32_MAX && maximum <= INT32_MAX;
}

function isSchema(value: unknown): value is Structural {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refusal(at: string, problem: string): Error {
  return new Error(`Cannot make a structural schema of ${at}: ${problem}`);
}
