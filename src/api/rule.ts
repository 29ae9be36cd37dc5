import * as z from "zod";

/**
 * A condition that types and bounds cannot express. It exists once, as data: the zod refinement and the entry of
 * `x-kubernetes-validations` are both made from it, and a differential test compares their verdicts.
 */
export interface Rule<T> {
  /** The condition for the API server; `self` is the value. It must not error, even when a pattern did not match. */
  readonly cel: string;
  /** The same condition for zod. */
  holds(value: T): boolean;
  /** Completes "Wanted ...". */
  readonly wanted: string;
  /** Completes "Found ...". */
  found(value: T): string;
  readonly fix: string;
  /** Field of the value that the problem is reported on; absent: the value itself. */
  readonly path?: FieldOf<T>;
  /** Fields that `holds` looks into: while one of these is wrong in itself, the rule is silent. */
  readonly reads?: readonly FieldOf<T>[];
}

type FieldOf<T> = Extract<keyof T, string>;

/** What the API server checks by itself, without CEL: part of the CRD, kept apart from zod's own keywords. */
export interface KubernetesKeywords {
  readonly "x-kubernetes-list-type"?: "atomic" | "set" | "map";
  readonly "x-kubernetes-list-map-keys"?: readonly string[];
  readonly minProperties?: number;
  readonly maxProperties?: number;
}

/** Adds the rules to a schema, for zod and for the CRD. */
export function withRules<S extends z.ZodType>(schema: S, rules: readonly Rule<z.output<S>>[]): S {
  let checked: S = schema;
  for (const rule of rules) checked = refine(checked, rule);
  return checked.meta({
    "x-kubernetes-validations": rules.map((rule) => ({
      rule: rule.cel,
      message: `Wanted ${rule.wanted}: ${rule.fix}`,
      ...(rule.path === undefined ? {} : { fieldPath: `.${rule.path}` }),
    })),
  });
}

/** A condition that the API server has a keyword for (uniqueness of a set, size of a map) and zod has not. */
export function withKeyword<S extends z.ZodType>(
  schema: S,
  keywords: KubernetesKeywords,
  rules: readonly Omit<Rule<z.output<S>>, "cel">[],
): S {
  let checked: S = schema;
  for (const rule of rules) checked = refine(checked, rule);
  return checked.meta({ ...keywords });
}

/** A rule as it travels in a zod issue, with the found value filled in later. */
export type ReportedRule = Omit<Rule<never>, "cel" | "holds">;

function refine<S extends z.ZodType>(schema: S, rule: Omit<Rule<z.output<S>>, "cel">): S {
  const reads: ReadonlySet<PropertyKey> = new Set(rule.reads);
  return schema.refine((value) => rule.holds(value), {
    path: rule.path === undefined ? [] : [rule.path],
    params: { rule },
    // Without `when`, one unknown field anywhere in the value would hide every rule.
    when: (payload) => payload.issues.every((issue) => !blocks(issue, reads)),
  });
}

/** Whether an issue keeps a rule from being judged: the value, or a field that the rule reads, is no such thing. */
function blocks(issue: z.core.$ZodRawIssue, reads: ReadonlySet<PropertyKey>): boolean {
  const [field, ...below] = issue.path ?? [];
  if (field === undefined) return issue.code !== "unrecognized_keys" && issue.code !== "custom";
  return reads.has(field) && (below.length === 0 || (below.length === 1 && issue.code === "invalid_type"));
}
