import { type KubernetesObject, labelsOf } from "../core/kubernetes.ts";
import { POLICY_UID_LABEL } from "../core/names.ts";
import type { Change } from "./change.ts";
import type { NamespacedMap } from "./namespaced.ts";
import { slim } from "./reduce.ts";
import type { WatchHandler } from "./watch-options.ts";

/** Keeps the stored revisions of policies, and tells which policy a change concerns. */
export function revisionHandler(
  revisions: NamespacedMap<KubernetesObject>,
  emit: (change: Change) => void,
): WatchHandler {
  const tell = (object: KubernetesObject | undefined): void => {
    const policyUid = object && labelsOf(object)[POLICY_UID_LABEL];
    if (policyUid !== undefined) emit({ type: "owned", namespace: object?.metadata?.namespace ?? "", policyUid });
  };
  return {
    set: (object) => {
      const { namespace = "", name = "" } = object.metadata ?? {};
      const stored = slim(object);
      revisions.set(namespace, name, stored);
      tell(stored);
    },
    delete: (namespace, name) => {
      const gone = revisions.get(namespace, name);
      revisions.delete(namespace, name);
      tell(gone);
    },
  };
}
