import { type Finding, finding } from "../finding.ts";
import { type KubernetesObject, labelsOf, recordsIn } from "../kubernetes.ts";
import { INJECT_LABEL } from "../names.ts";

/** Whether nothing is written for a Service, neither on it nor beside it: it opted out, is another tool's, or goes. */
export function isLeftAlone(object: KubernetesObject): boolean {
  if (labelsOf(object)[INJECT_LABEL] === "disabled" || object.metadata?.deletionTimestamp) return true;
  return ownedByController(object) !== undefined;
}

export function ownedByController(object: KubernetesObject): Finding | undefined {
  if (labelsOf(object)[INJECT_LABEL] === "enabled") return undefined;
  const owner = recordsIn(object.metadata?.ownerReferences).find((reference) => reference.controller === true);
  if (owner === undefined) return undefined;
  return finding("FL601", "metadata.ownerReferences", {
    message: `TargetOwned: owned by ${owner.kind} ${owner.name}, which would undo the change; nothing is injected`,
    fix: `label it ${INJECT_LABEL}: enabled to inject all the same`,
  });
}
