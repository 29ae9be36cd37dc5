import * as z from "zod";
import { fixOf, wantedOf } from "./hints.ts";
import { nearest } from "./nearest.ts";
import { type ApiProblem, formatPath, isRecord, own, show, sortProblems } from "./problem.ts";
import type { ReportedRule } from "./rule.ts";

export type Checked<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly ApiProblem[] };

interface Location {
  readonly schema: z.core.$ZodType;
  readonly value: unknown;
  readonly path: readonly PropertyKey[];
}

/** Checks parsed JSON against a schema and reports every problem, with paths below `at`. Never throws on data. */
export function check<S extends z.ZodType>(
  schema: S,
  input: unknown,
  at: readonly PropertyKey[],
): Checked<z.output<S>> {
  const problems: ApiProblem[] = [];
  const root: Location = { schema, value: withoutNulls({ schema, value: input, path: at }, problems), path: at };
  const result = schema.safeParse(root.value);
  for (const issue of result.error?.issues ?? []) problems.push(...explain(issue, root));
  if (result.success && problems.length === 0) return { ok: true, value: result.data };
  return { ok: false, problems: sortProblems(problems) };
}

/**
 * The value as the API server sees it: it drops null fields before it validates (nothing of ours is nullable). The
 * walk follows the schema, so its depth does not depend on the data. A `__proto__` key is reported here and left
 * out, because zod skips it in maps.
 */
function withoutNulls(location: Location, problems: ApiProblem[]): unknown {
  const { value, path } = location;
  const schema = unwrap(location.schema);
  if (schema instanceof z.ZodArray && Array.isArray(value)) {
    return value.map((item, index) =>
      withoutNulls({ schema: schema.element, value: item, path: [...path, index] }, problems),
    );
  }
  if (!isRecord(value) || !(schema instanceof z.ZodObject || schema instanceof z.ZodRecord)) return value;
  const kept: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value)) {
    const fieldSchema = childSchema(schema, key);
    if (key === "__proto__") problems.push(unknownField(key, { schema, value, path }));
    else if (fieldSchema === undefined) kept[key] = field;
    else if (field !== null)
      kept[key] = withoutNulls({ schema: fieldSchema, value: field, path: [...path, key] }, problems);
  }
  return kept;
}

function explain(issue: z.core.$ZodIssue, root: Location): readonly ApiProblem[] {
  if (issue.code === "unrecognized_keys") {
    const location = locate(root, issue.path);
    return issue.keys.map((key) => unknownField(key, location));
  }
  if (issue.code === "custom") return [brokenRule(issue, root)];
  const { schema, value, path } = locate(root, issue.path);
  const message = `Found ${show(value)}, wanted ${wantedOf(schema)}`;
  const field = formatPath(path.slice(-1));
  const fix = value === undefined ? `Add ${field}` : capital(fixOf(schema, value));
  return [{ path: formatPath(path), message, fix }];
}

function brokenRule(issue: z.core.$ZodIssueCustom, root: Location): ApiProblem {
  const rule = issue.params?.["rule"] as ReportedRule;
  const place = rule.path === undefined ? issue.path : issue.path.slice(0, -1);
  const found = rule.found(locate(root, place).value as never);
  return {
    path: formatPath([...root.path, ...issue.path]),
    message: `Found ${found}, wanted ${rule.wanted}`,
    fix: capital(rule.fix),
  };
}

function unknownField(key: string, location: Location): ApiProblem {
  const known = location.schema instanceof z.ZodObject ? Object.keys(location.schema.shape) : [];
  const near = nearest(key, known);
  const message =
    known.length === 0
      ? `Found the key ${show(key)}, which cannot be used here`
      : `Found the unknown field ${show(key)}, wanted one of ${known.join(", ")}`;
  return {
    path: formatPath([...location.path, key]),
    message,
    fix: near === undefined ? "Remove it" : `Remove it, or rename it: did you mean ${near}?`,
  };
}

function locate(root: Location, path: readonly PropertyKey[]): Location {
  let schema = unwrap(root.schema);
  let value = root.value;
  for (const segment of path) {
    schema = unwrap(childSchema(schema, segment) ?? schema);
    value = typeof segment === "symbol" ? undefined : own(value, segment);
  }
  return { schema, value, path: [...root.path, ...path] };
}

function childSchema(schema: z.core.$ZodType, segment: PropertyKey): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodArray) return schema.element;
  if (schema instanceof z.ZodRecord) return schema.valueType;
  if (schema instanceof z.ZodObject) return own(schema.shape, String(segment)) as z.core.$ZodType | undefined;
  return undefined;
}

function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  return schema instanceof z.ZodExactOptional || schema instanceof z.ZodOptional ? unwrap(schema.unwrap()) : schema;
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
