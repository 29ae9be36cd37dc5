import type { CompiledPolicy } from "../intent/policy.ts";
import { isAimedAt, type Precedence, resolvePrecedence } from "../intent/precedence.ts";
import { candidates } from "../admission/candidates.ts";
import { groupOf, type KubernetesObject } from "../kubernetes.ts";
import { CORE_GROUP, targetKindOf, type TargetKind } from "../names.ts";
import type { TargetKey, World } from "../world.ts";

/** One Service or route that a policy names or selects. */
export interface AimedTarget {
  readonly key: TargetKey;
  readonly kind: TargetKind;
  /** Undefined: a named one that does not exist (yet). */
  readonly object: KubernetesObject | undefined;
  /** Where the policy names it. */
  readonly path: string;
}

/** In the order of targetRefs, or of the world; of selected ones at most `limit`. */
export function targetsOf(
  policy: CompiledPolicy,
  world: World,
  limit = Number.POSITIVE_INFINITY,
): readonly AimedTarget[] {
  return policy.spec.targetRefs === undefined ? selectedTargets(policy, world, limit) : namedTargets(policy, world);
}

function namedTargets({ namespace, spec }: CompiledPolicy, world: World): readonly AimedTarget[] {
  return (spec.targetRefs ?? []).flatMap((ref, index) => {
    const kind = targetKindOf(ref.group ?? CORE_GROUP, ref.kind);
    if (kind === undefined) return [];
    const key = { group: kind.group, kind: kind.kind, namespace, name: ref.name };
    return [{ key, kind, object: world.target(key), path: `spec.targetRefs[${index}]` }];
  });
}

function selectedTargets(policy: CompiledPolicy, world: World, limit: number): readonly AimedTarget[] {
  const found: AimedTarget[] = [];
  const kind = targetKindOf(CORE_GROUP, "Service");
  for (const object of world.targetsIn(policy.namespace)) {
    if (kind === undefined || object.kind !== "Service" || groupOf(object.apiVersion ?? "") !== CORE_GROUP) continue;
    const key = { group: CORE_GROUP, kind: "Service", namespace: policy.namespace, name: object.metadata?.name ?? "" };
    if (isAimedAt(policy, key, object)) found.push({ key, kind, object, path: "spec.targetSelector" });
    if (found.length >= limit) break;
  }
  return found;
}

/** Who decides each section of a target, once `policy` is as given, whatever the world still has under its name. */
export function precedenceWith(
  policy: CompiledPolicy,
  world: World,
): (target: Pick<AimedTarget, "key" | "object">) => Precedence {
  const all = [...world.policiesIn(policy.namespace).filter((other) => other.name !== policy.name), policy];
  // Two policies may compete for a target that is still to come.
  return ({ key, object = {} }) => resolvePrecedence(candidates(all, key.name, object), key, object);
}

/** Identity of a target in maps and sets. */
export function targetText(key: TargetKey): string {
  return `${key.group}/${key.kind}/${key.namespace}/${key.name}`;
}

/** The other way round; none of the four parts may contain a slash. */
export function targetOfText(text: string): TargetKey {
  const [group = "", kind = "", namespace = "", name = ""] = text.split("/");
  return { group, kind, namespace, name };
}
