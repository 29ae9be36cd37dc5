import { compareStrings } from "../finding.ts";
import type { KubernetesObject } from "../kubernetes.ts";

/** Whether `other` goes before `ours` as meshes order objects: by age, then by name. One that does not exist yet is last. */
export function isOlder(other: KubernetesObject, ours: KubernetesObject | undefined): boolean {
  if (ours === undefined) return true;
  const [theirs = "", own = ""] = [other, ours].map(({ metadata }) => metadata?.creationTimestamp ?? "");
  return (compareStrings(theirs, own) || compareStrings(other.metadata?.name ?? "", ours.metadata?.name ?? "")) < 0;
}
