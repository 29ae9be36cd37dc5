import { applyPatch } from "rfc6902";
import { decide } from "../core/admission/decide.ts";
import type { AdmissionRequest, PatchOperation, Phase, Verdict } from "../core/admission/review.ts";
import { type Finding, sortFindings } from "../core/finding.ts";
import { groupOf, type KubernetesObject } from "../core/kubernetes.ts";
import { worldWithoutPolicy } from "../core/policy/world-with-policy.ts";
import type { World, WorldDefaults } from "../core/world.ts";
import { attributesOf } from "../core/rules/activation.ts";
import { isException, isRule } from "./file-rules.ts";
import { FileWorld, isPolicy, namespaceOf } from "./file-world.ts";
import { isSuite } from "./suite.ts";

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
  /** Who makes it, as `request.userInfo`; absent: somebody without a name, in no group. */
  readonly user?: Readonly<Record<string, unknown>>;
}

/**
 * Reviews objects as if each were created in a cluster that holds the policies, Namespaces, Services, routes,
 * ServiceProfiles, rules and exceptions of the same input: first what the mutating webhook does, then what the others say.
 */
export function reviewObjects(
  objects: readonly KubernetesObject[],
  defaults: WorldDefaults,
  nowMs: number,
): readonly Review[] {
  const { world, mutated } = settle(objects, defaults, nowMs);
  return mutated.map((item) => judge({ ...item, nowMs }, world));
}

/** The world after all of these objects were created, with what was injected into them. */
export function settledWorld(objects: readonly KubernetesObject[], defaults: WorldDefaults, nowMs: number): FileWorld {
  return settle(objects, defaults, nowMs).world;
}

export interface Settled {
  readonly world: FileWorld;
  readonly mutated: readonly Mutated[];
}

/** Without the policies that are denied, be it by what they are or by a rule; the order of the input does not matter. */
export function settle(objects: readonly KubernetesObject[], defaults: WorldDefaults, nowMs: number): Settled {
  const world = new FileWorld(objects, defaults);
  const accepted = objects.filter(
    (object) => isPolicy(object) && decide(requestFor(creation(object), "validate"), world).allowed,
  );
  for (const policy of accepted) world.accept(policy);
  const mutated = mutateAll(objects, world);
  if (world.rules().length === 0) return { world, mutated };
  const denied = mutated.filter(
    (item) => accepted.includes(item.object) && !judge({ ...item, nowMs }, world).result.allowed,
  );
  for (const { object } of denied) world.reject(object);
  return { world, mutated: denied.length === 0 ? mutated : mutateAll(objects, world) };
}

/** Reviews one write in a world that does not hold it yet. */
export function reviewWrite(write: Write, world: World): Review {
  return judge(mutate(write, world), world);
}

/** What the webhook for mesh and policies says of a write that nothing is injected into, such as that of a rule. */
export function judgementOf(write: Write, world: World): Verdict {
  return decide(requestFor(write, "validate"), world);
}

/** The object with what is injected into it when it is created. */
export function injected(object: KubernetesObject, world: World): KubernetesObject {
  return mutate(creation(object), world).stored;
}

/** The object of a write with what is injected into it. */
export function storedBy(write: Write, world: World): KubernetesObject {
  return mutate(write, world).stored;
}

/** For what does not depend on the time. */
function creation(object: KubernetesObject): Write {
  return { object, oldObject: undefined, nowMs: 0 };
}

/** What is injected into one target may matter to another: a route is judged beside its Service as it would be stored. */
function mutateAll(objects: readonly KubernetesObject[], world: FileWorld): readonly Mutated[] {
  const mutated = objects
    .filter((object) => !belongsToTheWorldOnly(object))
    .map((object) => mutate(creation(object), world));
  for (const { stored } of mutated) world.update(stored);
  return mutated;
}

/** Namespaces, rules and exceptions are context, not subjects, and suites of tests are for another command. */
export function belongsToTheWorldOnly(object: KubernetesObject): boolean {
  const isNamespace = object.kind === "Namespace" && groupOf(object.apiVersion ?? "") === "";
  return isNamespace || isRule(object) || isException(object) || isSuite(object);
}

export interface Mutated extends Write {
  readonly mutation: Verdict;
  readonly stored: KubernetesObject;
}

function mutate(write: Write, world: World): Mutated {
  const mutation = decide(requestFor(write, "mutate"), world);
  const stored = structuredClone(write.object);
  applyPatch(stored, [...mutation.patch]);
  return { ...write, mutation, stored };
}

/** The webhooks that judge: one for mesh and policies, one for each failure policy of rules. */
const JUDGES: readonly Phase[] = ["validate", "rules-fail", "rules-ignore"];

function judge({ mutation, stored, ...write }: Mutated, world: World): Review {
  const { object } = write;
  const before = worldBefore(write, world);
  const verdicts = JUDGES.map((phase) => decide(requestFor({ ...write, object: stored }, phase), before));
  const allowed = verdicts.every((verdict) => verdict.allowed);
  const all = [mutation, ...verdicts];
  return {
    object,
    result: {
      apiVersion: object.apiVersion ?? "",
      kind: object.kind ?? "",
      namespace: namespaceOf(object),
      name: object.metadata?.name ?? object.metadata?.generateName ?? "",
      allowed,
      patch: allowed ? mutation.patch : [],
      warnings: [...new Set(all.flatMap(({ warnings }) => warnings))],
      findings: sortFindings(all.flatMap(({ findings }) => findings)),
    },
    message: verdicts.flatMap(({ message }) => (message === "" ? [] : [message])).join("\n"),
    stored: allowed ? stored : undefined,
  };
}

/** A policy that is created is not there yet, so what it changes is its own. */
function worldBefore({ object, oldObject }: Write, world: World): World {
  if (!isPolicy(object) || oldObject !== undefined) return world;
  return worldWithoutPolicy(world, { namespace: namespaceOf(object), name: object.metadata?.name ?? "" });
}

/** So that a rule that asks who writes gets an answer, where a file cannot tell. */
const NOBODY = { username: "", uid: "", groups: [], extra: {} };

export function requestFor({ object, oldObject, nowMs, user }: Write, phase: Phase): AdmissionRequest {
  const request = {
    phase,
    nowMs,
    uid: "review",
    kind: { group: groupOf(object.apiVersion ?? ""), kind: object.kind ?? "" },
    operation: oldObject === undefined ? "CREATE" : "UPDATE",
    namespace: namespaceOf(object),
    name: object.metadata?.name ?? "",
    object,
    oldObject,
  } as const;
  return { ...request, attributes: { ...attributesOf(request), userInfo: { ...NOBODY, ...user } } };
}
