import { isRecord } from "../../api/problem.ts";
import { annotationsOf, type KubernetesObject, labelsOf, type StringMap } from "../kubernetes.ts";

/**
 * Whether a live object that Fairlead made has all that is wanted. What the API server or people added beside it does
 * not count. A setting that is no longer wanted shows in the hash (`fairlead.dev/generated`).
 */
export function hasAllOf(live: KubernetesObject, wanted: KubernetesObject): boolean {
  return (
    hasStrings(labelsOf(live), labelsOf(wanted)) &&
    hasStrings(annotationsOf(live), annotationsOf(wanted)) &&
    contains(live.spec, wanted.spec)
  );
}

function hasStrings(found: StringMap, wanted: StringMap): boolean {
  return Object.keys(wanted).every((key) => found[key] === wanted[key]);
}

function contains(found: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    return (
      Array.isArray(found) &&
      found.length === wanted.length &&
      wanted.every((item, index) => contains(found[index], item))
    );
  }
  if (!isRecord(wanted)) return found === wanted;
  return isRecord(found) && Object.keys(wanted).every((key) => contains(found[key], wanted[key]));
}
