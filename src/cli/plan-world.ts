import { applyPatch } from "rfc6902";
import { planTarget } from "../core/admission/plan.ts";
import { isEndpointSlice } from "../core/endpoint-slices.ts";
import { groupOf, type KubernetesObject } from "../core/kubernetes.ts";
import { targetKindOf } from "../core/names.ts";
import { worldWithoutPolicy, worldWithPolicy } from "../core/policy/world-with-policy.ts";
import { isGenerated } from "../core/routes/people.ts";
import type { TargetKey, World, WorldDefaults } from "../core/world.ts";
import { FileWorld, isPolicy, namespaceOf } from "./file-world.ts";
import {
  belongsToTheWorldOnly,
  judgementOf,
  type Review,
  reviewWrite,
  settle,
  storedBy,
  type Write,
} from "./review.ts";

/** A cluster as some files say it is, settled: everything is injected that is going to be. */
export interface PlanWorld {
  readonly world: FileWorld;
  /** By identity. */
  readonly objects: Objects;
}

type Objects = ReadonlyMap<string, KubernetesObject>;

export interface PlanSettings {
  readonly defaults: WorldDefaults;
  readonly nowMs: number;
}

/**
 * The cluster before a plan. What Fairlead made beside targets is left out: it follows from the policies, so that it is
 * made anew for either side.
 */
export function worldBeforePlan(objects: readonly KubernetesObject[], { defaults, nowMs }: PlanSettings): PlanWorld {
  const ofPeople = [...byIdentity(objects.filter((object) => !isGenerated(object))).values()];
  const { world, mutated } = settle(ofPeople, defaults, nowMs);
  const stored = new Map(mutated.map((item) => [item.object, item.stored]));
  return { world, objects: byIdentity(ofPeople.map((object) => stored.get(object) ?? object)) };
}

export interface PlanChange extends PlanSettings {
  readonly before: PlanWorld;
  /** Each in the place of the object of its name. */
  readonly written: readonly KubernetesObject[];
  /** Whether what is not written goes. */
  readonly prune: boolean;
}

/** A cluster after a plan, with what was said of the writes, in their order; Namespaces, rules and exceptions get no review. */
export interface PlannedWorld extends PlanWorld {
  readonly reviews: readonly Review[];
}

/** The cluster once these objects were written. Where a write is refused, the object stays what it was. */
export function worldAfterPlan(change: PlanChange): PlannedWorld {
  const { before, written, nowMs } = change;
  const writes = written
    .filter((object) => !isGenerated(object))
    .map((object): Write => {
      const oldObject = before.objects.get(identityOf(object));
      return { object: oldObject === undefined ? object : inPlaceOf(oldObject, object), oldObject, nowMs };
    });
  const { world, objects, verdicts } = settleWrites(change, writes, new Map());
  return { world, objects, reviews: writes.flatMap((write) => verdicts.get(write) ?? []) };
}

/** As `kubectl replace` does it: what the API server and other controllers keep in metadata stays. */
function inPlaceOf({ metadata }: KubernetesObject, object: KubernetesObject): KubernetesObject {
  const { labels: _, annotations: __, ...kept } = metadata ?? {};
  return { ...object, metadata: { ...kept, ...object.metadata } };
}

type Verdicts = ReadonlyMap<Write, Review>;

/** A refused write is left out, and the others are looked at without it: what it said may have mattered to them. */
function settleWrites(
  change: PlanChange,
  writes: readonly Write[],
  refused: Verdicts,
): PlanWorld & { readonly verdicts: Verdicts } {
  const { before, prune } = change;
  const stays = new Set([...refused.keys()].map(({ object }) => identityOf(object)));
  const isKept = (identity: string, object: KubernetesObject): boolean =>
    !prune || stays.has(identity) || isEndpointSlice(object);
  const kept = [...before.objects].filter(([identity, object]) => isKept(identity, object)).map(([, object]) => object);
  const objects = byIdentity([...kept, ...writes.map(({ object }) => object)]);
  const world = worldOf(change, objects, writes);
  const verdicts = new Map(
    writes
      .filter(({ object }) => !belongsToTheWorldOnly(object))
      .map((write) => [write, reviewWrite(write, worldFor(write, world, before.world))]),
  );
  const more = [...verdicts].filter(([, { result }]) => !result.allowed);
  if (more.length === 0) return { world, objects, verdicts: new Map([...refused, ...verdicts]) };
  const rest = writes.filter((write) => verdicts.get(write)?.result.allowed !== false);
  return settleWrites(change, rest, new Map([...refused, ...more]));
}

/** Policies that were in force stay so; those that are written count where the webhook would let them in. */
function worldOf({ before, defaults, nowMs }: PlanChange, objects: Objects, writes: readonly Write[]): FileWorld {
  const world = new FileWorld([...objects.values()], defaults);
  const written = new Map(writes.map((write) => [write.object, write]));
  const accepted = [...objects.values()].filter((object) => {
    if (!isPolicy(object)) return false;
    const write = written.get(object);
    return write === undefined ? policyIn(before.world, object) !== undefined : judgementOf(write, world).allowed;
  });
  for (const policy of accepted) world.accept(policy);
  const stored = [...objects].map(([identity, object]) =>
    storedTarget({ object, oldObject: before.objects.get(identity), nowMs }, world),
  );
  for (const object of stored) world.update(object);
  return world;
}

/** By the webhook where the namespace has opted in, by the controller where it no longer has. */
function storedTarget(write: Write, world: FileWorld): KubernetesObject {
  const key = keyIfTarget(write.object);
  if (key === undefined) return write.object;
  const stored = storedBy(write, world);
  const action = planTarget(stored, key, world)?.first;
  if (action?.kind === "patch") applyPatch(stored, [...action.operations]);
  return stored;
}

/** A policy is judged in the world as it is before the write. */
function worldFor({ object, oldObject }: Write, world: World, before: World): World {
  if (!isPolicy(object) || oldObject === undefined) return world;
  const old = policyIn(before, object);
  if (old !== undefined) return worldWithPolicy(world, old);
  return worldWithoutPolicy(world, { namespace: namespaceOf(object), name: object.metadata?.name ?? "" });
}

function policyIn(world: World, object: KubernetesObject) {
  return world.policiesIn(namespaceOf(object)).find(({ name }) => name === object.metadata?.name);
}

/** Undefined where no policy can be aimed at the object. */
export function keyIfTarget(object: KubernetesObject): TargetKey | undefined {
  const kind = targetKindOf(groupOf(object.apiVersion ?? ""), object.kind ?? "");
  if (kind === undefined) return undefined;
  return { group: kind.group, kind: kind.kind, namespace: namespaceOf(object), name: object.metadata?.name ?? "" };
}

function byIdentity(objects: readonly KubernetesObject[]): Objects {
  return new Map(objects.map((object) => [identityOf(object), object]));
}

function identityOf(object: KubernetesObject): string {
  const { name, generateName = "" } = object.metadata ?? {};
  return [groupOf(object.apiVersion ?? ""), object.kind, namespaceOf(object), name ?? generateName].join("/");
}
