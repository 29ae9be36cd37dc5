import type { Action } from "../action.ts";
import type { Finding } from "../finding.ts";
import type { KubernetesObject, OwnerReference, StringMap } from "../kubernetes.ts";
import { MANAGED_BY, MANAGED_BY_LABEL, POLICY_UID_LABEL } from "../names.ts";

/** What brings the objects in line that a policy owns. */
export interface OwnedPlan {
  /** To be done one after the other, and for each Service no further than to the first that fails. */
  readonly actions: readonly Action[];
  /** Those that deny kept an object from being written; the others are warnings. */
  readonly findings: readonly Finding[];
}

export const NOTHING_OWNED: OwnedPlan = Object.freeze({ actions: Object.freeze([]), findings: Object.freeze([]) });

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
