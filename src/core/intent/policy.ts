import {
  type ApiProblem,
  parseResiliencePolicy,
  type ResiliencePolicySpec,
} from "../../api/v1alpha1/resilience-policy.ts";
import { type Finding, finding, sortFindings } from "../finding.ts";
import { checkIntent } from "./checks.ts";
import type { Intent } from "./intent.ts";
import { lower } from "./lower.ts";
import { revisionOf } from "./revision.ts";
import { canonicalRoutes } from "./routes.ts";

/** A policy that may be applied: it fits the schema and its meaning holds. */
export interface CompiledPolicy {
  readonly namespace: string;
  readonly name: string;
  /** RFC 3339; empty while it is being created, which counts as newest. */
  readonly createdAt: string;
  /** Empty while it is being created, and in files. */
  readonly uid: string;
  readonly spec: ResiliencePolicySpec;
  readonly intent: Intent;
  readonly revision: string;
}

export interface PolicyCompilation {
  /** Undefined when a finding denies it: such a policy is never applied. */
  readonly policy: CompiledPolicy | undefined;
  /** The policy as far as it can be read, also when its meaning does not hold; undefined when its shape is wrong. */
  readonly readable: CompiledPolicy | undefined;
  /** Sorted. */
  readonly findings: readonly Finding[];
}

/**
 * The one parser of policies, for every door: what it accepts can be compiled. It looks at the policy alone;
 * what a mesh and the cluster make of it is admission/policy.ts.
 */
export function compilePolicy(object: unknown): PolicyCompilation {
  const parsed = parseResiliencePolicy(object);
  if (!parsed.ok)
    return { policy: undefined, readable: undefined, findings: sortFindings(parsed.problems.map(schemaFinding)) };
  const { metadata, spec } = parsed.value;
  const intent = lower(spec);
  const findings = sortFindings(checkIntent({ spec, intent }));
  const readable = {
    namespace: metadata.namespace ?? "default",
    name: metadata.name ?? metadata.generateName ?? "",
    createdAt: metadata.creationTimestamp ?? "",
    uid: metadata.uid ?? "",
    spec,
    intent,
    revision: policyRevision(spec, intent),
  };
  return { policy: findings.some((item) => item.severity === "deny") ? undefined : readable, readable, findings };
}

function schemaFinding(problem: ApiProblem): Finding {
  return finding("FL101", problem.path, problem);
}

/**
 * Hash of the canonical spec: defaults are elided by hashing the intent, in which they are all filled in. The order of
 * routes and of their matches means nothing.
 */
function policyRevision(spec: ResiliencePolicySpec, intent: Intent): string {
  return revisionOf({
    intent: intent.routes === undefined ? intent : { ...intent, routes: canonicalRoutes(intent.routes) },
    mesh: spec.mesh ?? "Auto",
    conflictResolution: spec.conflictResolution ?? "PreferExisting",
    targetRefs: spec.targetRefs?.map((ref) => ({ group: ref.group ?? "", kind: ref.kind, name: ref.name })),
    targetSelector: spec.targetSelector,
  });
}
