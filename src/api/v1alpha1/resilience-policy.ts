import * as z from "zod";
import { type Checked, check } from "../check.ts";
import { type ApiProblem, isRecord, own, show, sortProblems } from "../problem.ts";
import { withRules } from "../rule.ts";
import { circuitBreaker } from "./circuit-breaker.ts";
import { type TargetRef, targetRef, targetSelector } from "./common.ts";
import { resiliencePolicyStatus } from "./resilience-policy-status.ts";
import { retry } from "./retry.ts";
import { routes } from "./routes.ts";
import { timeout } from "./timeout.ts";

export type { ApiProblem } from "../problem.ts";

export const API_VERSION = "fairlead.dev/v1alpha1";
export const RESILIENCE_POLICY_KIND = "ResiliencePolicy";

const TARGET_REFS_MAX = 16;

/** What a policy can ask for. A new section is one file and one line here; the rest follows. */
const sections = {
  circuitBreaker: z.exactOptional(circuitBreaker),
  retry: z.exactOptional(retry),
  timeout: z.exactOptional(timeout),
  routes: z.exactOptional(routes),
};
const SECTIONS = Object.keys(sections) as (keyof typeof sections)[];

const specFields = z.strictObject({
  targetRefs: z.exactOptional(
    z
      .array(targetRef)
      .min(1)
      .max(TARGET_REFS_MAX)
      .meta({
        "x-kubernetes-list-type": "atomic",
        description:
          `1 to ${TARGET_REFS_MAX} Services or routes in the namespace of the policy, by name. Exactly one of targetRefs ` +
          "and targetSelector is needed. When several policies have one target, the most specific goes first, then the " +
          "oldest, section by section; the other gets the condition Conflicted. " +
          'Example: [{"kind": "Service", "name": "user-service"}].',
      }),
  ),
  targetSelector: z.exactOptional(targetSelector),
  mesh: z.exactOptional(
    z.enum(["Auto", "Linkerd", "Istio"]).meta({
      description:
        "Which mesh the settings are written for: Auto, Linkerd or Istio. Absent means Auto: the mesh that the " +
        "namespace shows, else Linkerd.",
    }),
  ),
  conflictResolution: z.exactOptional(
    z.enum(["PreferExisting", "Override"]).meta({
      description:
        "What happens to settings that a target already has. PreferExisting, the default when absent: they stay, and a " +
        "differing value gives a warning with both. Override: they are replaced, group by group, with a warning to " +
        "remove them from the manifest.",
    }),
  ),
  ...sections,
});

/** Asks for the kinds of routes, not for "no Service": a kind that is wrong in itself is reported as that only. */
function firstRoute(spec: z.output<typeof specFields>): TargetRef | undefined {
  return spec.targetRefs?.find((ref) => ref.kind === "HTTPRoute" || ref.kind === "GRPCRoute");
}

/** The shape of `spec`: source of the types, of the CRD and of the parser. */
export const resiliencePolicySpec = withRules(specFields, [
  {
    cel: "!(has(self.targetRefs) && has(self.targetSelector))",
    holds: (spec) => spec.targetRefs === undefined || spec.targetSelector === undefined,
    wanted: "exactly one of targetRefs and targetSelector",
    found: () => "both targetRefs and targetSelector",
    fix: "remove one of the two",
  },
  {
    cel: "has(self.targetRefs) || has(self.targetSelector)",
    holds: (spec) => spec.targetRefs !== undefined || spec.targetSelector !== undefined,
    wanted: "exactly one of targetRefs and targetSelector",
    found: () => "neither targetRefs nor targetSelector",
    fix: "add targetRefs with the kind and name of what the policy is for",
  },
  {
    cel: SECTIONS.map((section) => `has(self.${section})`).join(" || "),
    holds: (spec) => SECTIONS.some((section) => spec[section] !== undefined),
    wanted: `at least one of ${SECTIONS.join(", ")}`,
    found: () => "none of them",
    fix: "add the section you want, for example circuitBreaker: {}",
  },
  {
    cel: "!has(self.circuitBreaker) || !has(self.targetRefs) || self.targetRefs.all(ref, ref.kind == 'Service')",
    holds: (spec) => spec.circuitBreaker === undefined || firstRoute(spec) === undefined,
    wanted: "circuitBreaker for Services only",
    found: (spec) => `circuitBreaker with a ${firstRoute(spec)?.kind} as target`,
    fix: "move circuitBreaker to a policy for the Service behind the route",
    path: "circuitBreaker",
    reads: ["targetRefs"],
  },
  {
    cel: "!has(self.routes) || !has(self.targetRefs) || self.targetRefs.all(ref, ref.kind == 'Service')",
    holds: (spec) => spec.routes === undefined || firstRoute(spec) === undefined,
    wanted: "routes for Services only",
    found: (spec) => `routes with a ${firstRoute(spec)?.kind} as target`,
    fix: "target the Service behind the route, or move its retry and timeout to the top of a policy for the route",
    path: "routes",
    reads: ["targetRefs"],
  },
]).meta({
  description:
    "The resilience that the targets are to have. A section that is absent changes nothing; unknown fields are refused.",
});

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;

export type ResiliencePolicySpec = DeepReadonly<z.output<typeof resiliencePolicySpec>>;
export type ResiliencePolicyStatus = DeepReadonly<z.output<typeof resiliencePolicyStatus>>;

/** The part of metadata that Fairlead reads; everything else travels along untouched. */
export interface PolicyMetadata {
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

export interface ResiliencePolicy {
  readonly apiVersion: typeof API_VERSION;
  readonly kind: typeof RESILIENCE_POLICY_KIND;
  readonly metadata: PolicyMetadata;
  readonly spec: ResiliencePolicySpec;
  readonly status?: ResiliencePolicyStatus;
}

const ROOT_FIELDS = ["apiVersion", "kind", "metadata", "spec", "status"];
const METADATA_STRINGS = ["name", "generateName", "namespace"];

/**
 * The one parser for every door. All problems are reported. Null fields count as absent, as they do for the API
 * server. A status that this version cannot read is left out and is no problem: it is output, not input.
 */
export function parseResiliencePolicy(object: unknown): Checked<ResiliencePolicy> {
  if (!isRecord(object)) {
    const fix = `Write apiVersion: ${API_VERSION} and kind: ${RESILIENCE_POLICY_KIND}`;
    return { ok: false, problems: [{ path: "", message: `Found ${show(object)}, wanted an object`, fix }] };
  }
  const spec = check(resiliencePolicySpec, own(object, "spec") ?? undefined, ["spec"]);
  const problems = [...envelopeProblems(object), ...(spec.ok ? [] : spec.problems)];
  if (!spec.ok || problems.length > 0) return { ok: false, problems: sortProblems(problems) };
  const status = resiliencePolicyStatus.safeParse(own(object, "status"));
  return {
    ok: true,
    value: {
      apiVersion: API_VERSION,
      kind: RESILIENCE_POLICY_KIND,
      metadata: own(object, "metadata") as PolicyMetadata,
      spec: spec.value,
      ...(status.success ? { status: status.data } : {}),
    },
  };
}

function envelopeProblems(object: Record<string, unknown>): readonly ApiProblem[] {
  const problems: ApiProblem[] = [];
  const constants = { apiVersion: API_VERSION, kind: RESILIENCE_POLICY_KIND };
  for (const [path, wanted] of Object.entries(constants)) {
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
