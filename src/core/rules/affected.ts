import { compilePolicy, type CompiledPolicy } from "../intent/policy.ts";
import { groupOf, type KubernetesObject } from "../kubernetes.ts";
import { POLICY_TARGETS_CHECKED_MAX } from "../limits.ts";
import { FAIRLEAD_GROUP, SERVICE_KIND, TARGET_KINDS, type TargetKind, targetKindOf } from "../names.ts";
import { type AimedTarget, targetsOf, targetText } from "../policy/targets.ts";
import { changedWorld, worldWithPolicy } from "../policy/world-with-policy.ts";
import { peoplesRoutes } from "../routes/people.ts";
import type { TargetKey, World } from "../world.ts";
import type { Subject } from "./activation.ts";

/** What a write does beyond the written object. */
export interface Affected {
  /** The world with what is written. */
  readonly after: World;
  /** The objects on which it changes what is in force; at most {@link POLICY_TARGETS_CHECKED_MAX}. */
  readonly targets: readonly AimedTarget[];
  /** True where there are more of them. */
  readonly isMore: boolean;
}

/** The kinds of objects on which a write of this kind changes what is in force; none of most kinds. */
export function affectedKinds({ kind }: Subject["request"]): readonly TargetKind[] {
  if (kind.group === FAIRLEAD_GROUP && kind.kind === "ResiliencePolicy") return TARGET_KINDS;
  return kind.group === SERVICE_KIND.group && kind.kind === SERVICE_KIND.kind ? ROUTE_KINDS : NO_KINDS;
}

/** A route takes from its Service what it does not say itself. */
export const ROUTE_KINDS: readonly TargetKind[] = TARGET_KINDS.filter((kind) => kind !== SERVICE_KIND);
const NO_KINDS: readonly TargetKind[] = [];

/** Of a policy that does not compile nothing: the validating door says why, and refuses it. */
export function affectedBy(subject: Subject): Affected | undefined {
  return subject.request.kind.kind === SERVICE_KIND.kind ? byService(subject) : byPolicy(subject);
}

/** The targets that a policy is aimed at, and those that it was. */
function byPolicy(subject: Subject): Affected | undefined {
  const { world, object, oldObject } = subject;
  const policy = policyOf(object, subject);
  if (policy === undefined) return undefined;
  const old = policyOf(oldObject, subject);
  const limit = POLICY_TARGETS_CHECKED_MAX + 1;
  const left = old === undefined ? [] : targetsOf(old, world, limit).map((target) => ({ ...target, path: "" }));
  const byName = new Map(
    [...targetsOf(policy, world, limit), ...left].toReversed().map((target) => [targetText(target.key), target]),
  );
  return bounded([...byName.values()].toReversed(), worldWithPolicy(world, policy));
}

/** The routes of people that are attached to a Service in its namespace. */
function byService({ request, object, world }: Subject): Affected {
  const key = { ...SERVICE_KIND, namespace: request.namespace, name: request.name };
  const after = changedWorld(world, { target: (asked) => (isSame(asked, key) ? object : world.target(asked)) });
  const routes = peoplesRoutes(request.namespace, world).get(request.name) ?? [];
  return bounded(
    routes.flatMap((route) => targetOf(route.object, request.namespace)),
    after,
  );
}

function isSame(a: TargetKey, b: TargetKey): boolean {
  return a.name === b.name && a.namespace === b.namespace && a.kind === b.kind && a.group === b.group;
}

function targetOf(object: KubernetesObject, namespace: string): readonly AimedTarget[] {
  const kind = targetKindOf(groupOf(object.apiVersion ?? ""), object.kind ?? "");
  if (kind === undefined) return [];
  const key = { group: kind.group, kind: kind.kind, namespace, name: object.metadata?.name ?? "" };
  return [{ key, kind, object, path: "" }];
}

function bounded(targets: readonly AimedTarget[], after: World): Affected {
  const isMore = targets.length > POLICY_TARGETS_CHECKED_MAX;
  return { after, targets: isMore ? targets.slice(0, POLICY_TARGETS_CHECKED_MAX) : targets, isMore };
}

function policyOf(object: KubernetesObject | undefined, { request }: Subject): CompiledPolicy | undefined {
  if (object === undefined) return undefined;
  return compilePolicy({ ...object, metadata: { ...object.metadata, namespace: request.namespace } }).policy;
}
