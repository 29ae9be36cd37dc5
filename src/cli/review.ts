import { applyPatch } from "rfc6902";
import { decide } from "../core/admission/decide.ts";
import type { AdmissionRequest, PatchOperation, Verdict } from "../core/admission/review.ts";
import { type Finding, sortFindings } from "../core/finding.ts";
import { groupOf, type KubernetesObject } from "../core/kubernetes.ts";
import { FAIRLEAD_GROUP } from "../core/names.ts";
import type { World, WorldDefaults } from "../core/world.ts";
import { FileWorld, isPolicy, namespaceOf } from "./file-world.ts";

/** The answer for one object: exactly what `review -o json` prints. */
export interface ReviewedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly allowed: boolean;
  readonly patch: readonly PatchOperation[];
  readonly warnings: readonly string[];
  readonly findings: readonly Finding[];
}

export interface Review {
  /** The object as it stands in the input. */
  readonly object: KubernetesObject;
  readonly result: ReviewedObject;
  /** The denial as kubectl shows it; empty when allowed. */
  readonly message: string;
  /** The object as it would be stored; undefined when denied. */
  readonly stored: KubernetesObject | undefined;
}

/**
 * Reviews objects as if each were created in a cluster that holds the policies, Namespaces, Services, routes and
 * ServiceProfiles of the same input: the two passes of the webhook, mutating and validating, one after the other.
 */
export function reviewObjects(objects: readonly KubernetesObject[], defaults: WorldDefaults): readonly Review[] {
  const world = new FileWorld(objects, defaults);
  // Whether a policy is accepted depends on no other policy, so that the order of the input does not matter.
  const accepted = objects.filter(
    (object) => isPolicy(object) && decide(requestFor(object, "validate"), world).allowed,
  );
  for (const policy of accepted) world.accept(policy);
  const mutated = objects
    .filter((object) => !belongsToTheWorldOnly(object))
    .map((object) => mutateObject(object, world));
  // What is injected into one target may matter to another: a route is judged beside its Service as it would be stored.
  for (const { stored } of mutated) world.update(stored);
  return mutated.map((item) => judge(item, world));
}

/** Namespaces, rules and exceptions are context, not subjects. */
function belongsToTheWorldOnly(object: KubernetesObject): boolean {
  const group = groupOf(object.apiVersion ?? "");
  if (group === "") return object.kind === "Namespace";
  return group === FAIRLEAD_GROUP && (object.kind === "AdmissionRule" || object.kind === "RuleException");
}

interface Mutated {
  readonly object: KubernetesObject;
  readonly mutation: Verdict;
  readonly stored: KubernetesObject;
}

function mutateObject(object: KubernetesObject, world: World): Mutated {
  const mutation = decide(requestFor(object, "mutate"), world);
  const stored = structuredClone(object);
  applyPatch(stored, [...mutation.patch]);
  return { object, mutation, stored };
}

function judge({ object, mutation, stored }: Mutated, world: World): Review {
  const judgement = decide(requestFor(stored, "validate"), world);
  return {
    object,
    result: {
      apiVersion: object.apiVersion ?? "",
      kind: object.kind ?? "",
      namespace: namespaceOf(object),
      name: object.metadata?.name ?? object.metadata?.generateName ?? "",
      allowed: judgement.allowed,
      patch: judgement.allowed ? mutation.patch : [],
      warnings: [...new Set([...mutation.warnings, ...judgement.warnings])],
      findings: sortFindings([...mutation.findings, ...judgement.findings]),
    },
    message: judgement.message,
    stored: judgement.allowed ? stored : undefined,
  };
}

function requestFor(object: KubernetesObject, phase: AdmissionRequest["phase"]): AdmissionRequest {
  return {
    phase,
    uid: "review",
    kind: { group: groupOf(object.apiVersion ?? ""), kind: object.kind ?? "" },
    operation: "CREATE",
    namespace: namespaceOf(object),
    name: object.metadata?.name ?? "",
    object,
    oldObject: undefined,
  };
}
