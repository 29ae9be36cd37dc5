import { applyPatch } from "rfc6902";
import { decide } from "../core/admission/decide.ts";
import type { AdmissionRequest, PatchOperation, Phase, Verdict } from "../core/admission/review.ts";
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

/** One write, as the API server would ask about it. */
export interface Write {
  readonly object: KubernetesObject;
  /** The object before the write, as it is stored; undefined where the write creates it. */
  readonly oldObject: KubernetesObject | undefined;
  /** When it is made, in milliseconds since 1970: exceptions end by it. */
  readonly nowMs: number;
}

/**
 * Reviews objects as if each were created in a cluster that holds the policies, Namespaces, Services, routes and
 * ServiceProfiles of the same input: the two passes of the webhook, mutating and validating, one after the other.
 */
export function reviewObjects(
  objects: readonly KubernetesObject[],
  defaults: WorldDefaults,
  nowMs: number,
): readonly Review[] {
  const world = acceptedWorld(objects, defaults);
  const mutated = mutateAll(objects, world);
  return mutated.map((item) => judge({ ...item, nowMs }, world));
}

/** The world after all of these objects were created, with what was injected into them. */
export function settledWorld(objects: readonly KubernetesObject[], defaults: WorldDefaults): FileWorld {
  const world = acceptedWorld(objects, defaults);
  mutateAll(objects, world);
  return world;
}

/** Reviews one write in a world that does not hold it yet. */
export function reviewWrite(write: Write, world: World): Review {
  return judge(mutate(write, world), world);
}

/** The object with what is injected into it when it is created. */
export function injected(object: KubernetesObject, world: World): KubernetesObject {
  return mutate(creation(object), world).stored;
}

/** For what does not depend on the time. */
function creation(object: KubernetesObject): Write {
  return { object, oldObject: undefined, nowMs: 0 };
}

/** Whether a policy is accepted depends on no other policy, so that the order of the input does not matter. */
function acceptedWorld(objects: readonly KubernetesObject[], defaults: WorldDefaults): FileWorld {
  const world = new FileWorld(objects, defaults);
  const accepted = objects.filter(
    (object) => isPolicy(object) && decide(requestFor(creation(object), "validate"), world).allowed,
  );
  for (const policy of accepted) world.accept(policy);
  return world;
}

/** What is injected into one target may matter to another: a route is judged beside its Service as it would be stored. */
function mutateAll(objects: readonly KubernetesObject[], world: FileWorld): readonly Mutated[] {
  const mutated = objects
    .filter((object) => !belongsToTheWorldOnly(object))
    .map((object) => mutate(creation(object), world));
  for (const { stored } of mutated) world.update(stored);
  return mutated;
}

/** Namespaces, rules and exceptions are context, not subjects. */
function belongsToTheWorldOnly(object: KubernetesObject): boolean {
  const group = groupOf(object.apiVersion ?? "");
  if (group === "") return object.kind === "Namespace";
  return group === FAIRLEAD_GROUP && (object.kind === "AdmissionRule" || object.kind === "RuleException");
}

interface Mutated extends Write {
  readonly mutation: Verdict;
  readonly stored: KubernetesObject;
}

function mutate(write: Write, world: World): Mutated {
  const mutation = decide(requestFor(write, "mutate"), world);
  const stored = structuredClone(write.object);
  applyPatch(stored, [...mutation.patch]);
  return { ...write, mutation, stored };
}

function judge({ object, oldObject, nowMs, mutation, stored }: Mutated, world: World): Review {
  const judgement = decide(requestFor({ object: stored, oldObject, nowMs }, "validate"), world);
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

function requestFor({ object, oldObject, nowMs }: Write, phase: Phase): AdmissionRequest {
  return {
    phase,
    nowMs,
    uid: "review",
    kind: { group: groupOf(object.apiVersion ?? ""), kind: object.kind ?? "" },
    operation: oldObject === undefined ? "CREATE" : "UPDATE",
    namespace: namespaceOf(object),
    name: object.metadata?.name ?? "",
    object,
    oldObject,
  };
}
