import type { Action } from "../action.ts";
import { modeOf } from "../admission/mode.ts";
import type { Finding } from "../finding.ts";
import type { CompiledPolicy } from "../intent/policy.ts";
import type { KubernetesObject, OwnerReference, StringMap } from "../kubernetes.ts";
import { MANAGED_BY, MANAGED_BY_LABEL, POLICY_UID_LABEL } from "../names.ts";
import type { World } from "../world.ts";

/** What brings the objects in line that a policy owns. */
export interface OwnedPlan {
  /** To be done one after the other, and for each Service no further than to the first that fails. */
  readonly actions: readonly Action[];
  /** Those that deny kept an object from being written; the others are warnings. */
  readonly findings: readonly Finding[];
}

export const NOTHING_OWNED: OwnedPlan = Object.freeze({ actions: Object.freeze([]), findings: Object.freeze([]) });

/** Whether objects of a policy are looked at; `compiled`: undefined where it cannot be compiled, or is being deleted. */
export function isPlanned({ metadata }: KubernetesObject, compiled: CompiledPolicy | undefined, world: World): boolean {
  const { namespace = "default", deletionTimestamp, uid } = metadata ?? {};
  // Audit touches nothing, and leaves what is there (docs/policy.md, Modes and scope).
  if (!uid || modeOf(namespace, world).mode === "audit" || world.defaults.excludedNamespaces.has(namespace))
    return false;
  // What an unreadable policy had asked for stays until it says something else; a namesake is another one.
  return compiled === undefined ? Boolean(deletionTimestamp) : compiled.uid === uid;
}

/** The labels by which the objects that Fairlead made for one policy are watched and found. */
export function ownedLabels(policy: KubernetesObject): StringMap {
  return { [MANAGED_BY_LABEL]: MANAGED_BY, [POLICY_UID_LABEL]: policy.metadata?.uid ?? "" };
}

/** Makes the garbage collector take an object away after its policy. */
export function controllerReference(policy: KubernetesObject): OwnerReference & { blockOwnerDeletion: true } {
  return {
    apiVersion: policy.apiVersion ?? "",
    kind: policy.kind ?? "",
    name: policy.metadata?.name ?? "",
    uid: policy.metadata?.uid ?? "",
    controller: true,
    blockOwnerDeletion: true,
  };
}

/** False for a namesake that was made after the policy was deleted. */
export function isOwnedBy(object: KubernetesObject, policy: KubernetesObject): boolean {
  const uid = policy.metadata?.uid;
  return (
    uid !== undefined &&
    (object.metadata?.ownerReferences ?? []).some((owner) => owner.controller === true && owner.uid === uid)
  );
}
