import * as z from "zod";
import type { Checked } from "../check.ts";
import { API_VERSION, checkObject, type Metadata } from "../envelope.ts";
import { own } from "../problem.ts";
import type { DeepReadonly } from "../readonly.ts";
import { type Rule, withRules } from "../rule.ts";
import { authorization } from "./authorization.ts";
import { circuitBreaker } from "./circuit-breaker.ts";
import { type TargetRef, targetRef, targetSelector } from "./common.ts";
import { faultInjection } from "./fault-injection.ts";
import { mtls } from "./mtls.ts";
import { rateLimit } from "./rate-limit.ts";
import { resiliencePolicyStatus } from "./resilience-policy-status.ts";
import { retry } from "./retry.ts";
import { routes } from "./routes.ts";
import { timeout } from "./timeout.ts";
import { trafficSplit } from "./traffic-split.ts";

export type { ApiProblem } from "../problem.ts";

export const RESILIENCE_POLICY_KIND = "ResiliencePolicy";

const TARGET_REFS_MAX = 16;

/** What a policy can ask for. A new section is one file and one line here; the rest follows. */
const sections = {
  circuitBreaker: z.exactOptional(circuitBreaker),
  retry: z.exactOptional(retry),
  timeout: z.exactOptional(timeout),
  routes: z.exactOptional(routes),
  trafficSplit: z.exactOptional(trafficSplit),
  faultInjection: z.exactOptional(faultInjection),
  rateLimit: z.exactOptional(rateLimit),
  mtls: z.exactOptional(mtls),
  authorization: z.exactOptional(authorization),
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

/** Sections that no mesh has for a single route, and what to do instead. */
const SERVICES_ONLY = {
  circuitBreaker: "move circuitBreaker to a policy for the Service behind the route",
  routes: "target the Service behind the route, or move its retry and timeout to the top of a policy for the route",
  trafficSplit: "target the Service behind the route, and narrow trafficSplit.matches",
  faultInjection: "target the Service behind the route, and narrow faultInjection.matches",
  rateLimit: "target the Service behind the route: what limits requests is the proxy of its Pods",
  mtls: "target the Service behind the route",
  authorization: "target the Service behind the route, and narrow its entries by to",
} as const;
type ServiceSection = keyof typeof SERVICES_ONLY;

function forServicesOnly(section: ServiceSection, fix: string): Rule<z.output<typeof specFields>> {
  return {
    cel: `!has(self.${section}) || !has(self.targetRefs) || self.targetRefs.all(ref, ref.kind == 'Service')`,
    holds: (spec) => spec[section] === undefined || firstRoute(spec) === undefined,
    wanted: `${section} for Services only`,
    found: (spec) => `${section} with a ${firstRoute(spec)?.kind} as target`,
    fix,
    path: section,
    reads: ["targetRefs"],
  };
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
  ...Object.entries(SERVICES_ONLY).map(([section, fix]) => forServicesOnly(section as ServiceSection, fix)),
]).meta({
  description:
    "The resilience that the targets are to have. A section that is absent changes nothing; unknown fields are refused.",
});

export type ResiliencePolicySpec = DeepReadonly<z.output<typeof resiliencePolicySpec>>;
export type ResiliencePolicyStatus = DeepReadonly<z.output<typeof resiliencePolicyStatus>>;

export interface ResiliencePolicy {
  readonly apiVersion: typeof API_VERSION;
  readonly kind: typeof RESILIENCE_POLICY_KIND;
  readonly metadata: Metadata;
  readonly spec: ResiliencePolicySpec;
  readonly status?: ResiliencePolicyStatus;
}

/** The one parser for every door. A status that this version cannot read is left out and is no problem. */
export function parseResiliencePolicy(object: unknown): Checked<ResiliencePolicy> {
  const checked = checkObject(object, { kind: RESILIENCE_POLICY_KIND, spec: resiliencePolicySpec });
  if (!checked.ok) return checked;
  const status = resiliencePolicyStatus.safeParse(own(object, "status"));
  return {
    ok: true,
    value: {
      apiVersion: API_VERSION,
      kind: RESILIENCE_POLICY_KIND,
      ...checked.value,
      ...(status.success ? { status: status.data } : {}),
    },
  };
}
