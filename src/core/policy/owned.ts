import type { KubernetesObject, OwnerReference, StringMap } from "../kubernetes.ts";
import { MANAGED_BY, MANAGED_BY_LABEL, POLICY_UID_LABEL } from "../names.ts";

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
