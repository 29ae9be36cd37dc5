import * as z from "zod";
import { show } from "./problem.ts";

interface Hint {
  /** Completes "wanted ...". */
  readonly wanted: string;
  readonly fix?: string;
}

const hints = z.registry<Hint>();

/** Says in words what a pattern means. */
export function hint<S extends z.ZodType>(schema: S, text: Hint): S {
  hints.add(schema, text);
  return schema;
}

/** What a schema wants, in words: from its hint, else from its type and bounds. */
export function wantedOf(schema: z.core.$ZodType): string {
  const written = hints.get(schema);
  if (written !== undefined) return written.wanted;
  if (schema instanceof z.ZodEnum) return `one of ${schema.options.map((option) => JSON.stringify(option)).join(", ")}`;
  if (schema instanceof z.ZodNumber) return `an integer from ${schema.minValue} to ${schema.maxValue}`;
  if (schema instanceof z.ZodArray) return `a list of ${boundsOf(schema)} items`;
  if (schema instanceof z.ZodString) return `a string of at most ${schema.maxLength} characters`;
  if (schema instanceof z.ZodBoolean) return "true or false";
  if (schema instanceof z.ZodRecord) return "a map of strings";
  return "an object";
}

/** What to do about a wrong value, from its hint, else from what is wanted. */
export function fixOf(schema: z.core.$ZodType, value: unknown): string {
  const written = hints.get(schema)?.fix;
  if (written !== undefined) return written;
  if (schema instanceof z.ZodNumber && typeof value === "string" && /^\d+$/.test(value))
    return "Write the number without quotes";
  if (schema instanceof z.ZodObject) return fieldsFix(schema, value);
  return `Write ${wantedOf(schema)}`;
}

/** One value in the place of a section is mostly meant for one of its fields: the first one that takes it. */
function fieldsFix({ shape }: z.ZodObject, value: unknown): string {
  const all = `Write its fields (${Object.keys(shape).join(", ")})`;
  const fits = ([, schema]: readonly [string, z.core.$ZodType]): boolean => z.safeParse(schema, value).success;
  const field = typeof value === "object" ? undefined : Object.entries(shape).find(fits)?.[0];
  return field === undefined ? all : `${all}, such as {${field}: ${show(value)}}`;
}

function boundsOf(schema: z.ZodArray): string {
  const json = z.toJSONSchema(schema);
  return `${json.minItems ?? 0} to ${json.maxItems}`;
}
