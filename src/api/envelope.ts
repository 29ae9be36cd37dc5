import type * as z from "zod";
import { type Checked, check } from "./check.ts";
import { type ApiProblem, isRecord, own, show, sortProblems } from "./problem.ts";

export const API_VERSION = "fairlead.dev/v1alpha1";

/** The part of metadata that Fairlead reads; everything else travels along untouched. */
export interface Metadata {
  readonly name?: string;
  readonly generateName?: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

const ROOT_FIELDS = ["apiVersion", "kind", "metadata", "spec", "status"];
const METADATA_STRINGS = ["name", "generateName", "namespace"];

/**
 * Reads a whole object of ours. All problems are reported. Null fields count as absent, as they do for the API server.
 * The status is not looked at: it is output, not input.
 */
export function checkObject<S extends z.ZodType>(
  object: unknown,
  { kind, spec }: { readonly kind: string; readonly spec: S },
): Checked<{ readonly metadata: Metadata; readonly spec: z.output<S> }> {
  if (!isRecord(object)) {
    const fix = `Write apiVersion: ${API_VERSION} and kind: ${kind}`;
    return { ok: false, problems: [{ path: "", message: `Found ${show(object)}, wanted an object`, fix }] };
  }
  const checked = check(spec, own(object, "spec") ?? undefined, ["spec"]);
  const problems = [...envelopeProblems(object, kind), ...(checked.ok ? [] : checked.problems)];
  if (!checked.ok || problems.length > 0) return { ok: false, problems: sortProblems(problems) };
  return { ok: true, value: { metadata: own(object, "metadata") as Metadata, spec: checked.value } };
}

function envelopeProblems(object: Record<string, unknown>, kind: string): readonly ApiProblem[] {
  const problems: ApiProblem[] = [];
  for (const [path, wanted] of Object.entries({ apiVersion: API_VERSION, kind })) {
    const found = own(object, path);
    if (found === wanted) continue;
    problems.push({ path, message: `Found ${show(found)}, wanted ${show(wanted)}`, fix: `Write ${path}: ${wanted}` });
  }
  for (const key of Object.keys(object).filter((key) => !ROOT_FIELDS.includes(key))) {
    const message = `Found the unknown field ${show(key)}, wanted one of ${ROOT_FIELDS.join(", ")}`;
    problems.push({ path: key, message, fix: "Remove it, or move it into spec" });
  }
  return [...problems, ...metadataProblems(own(object, "metadata"))];
}

function metadataProblems(metadata: unknown): readonly ApiProblem[] {
  const problems: ApiProblem[] = [];
  for (const field of METADATA_STRINGS) {
    const found = own(metadata, field) ?? undefined;
    if (found === undefined || typeof found === "string") continue;
    const message = `Found ${show(found)}, wanted a string`;
    problems.push({ path: `metadata.${field}`, message, fix: "Write a name in quotes" });
  }
  if (!own(metadata, "name") && !own(metadata, "generateName")) {
    const message = "Found neither name nor generateName, wanted one of them";
    problems.push({ path: "metadata.name", message, fix: "Add metadata.name" });
  }
  return problems;
}
