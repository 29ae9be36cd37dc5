import { isRecord } from "../../api/problem.ts";
import { annotationsOf, type KubernetesObject, labelsOf, type StringMap } from "../kubernetes.ts";
import { GENERATED_ANNOTATION, POLICY_UID_LABEL } from "../names.ts";

/**
 * Whether a live object that Fairlead made has all that is wanted. What the API server or people added beside it does
 * not count. A setting that is no longer wanted shows in the hash (`fairlead.dev/generated`).
 */
export function hasAllOf(live: KubernetesObject, wanted: KubernetesObject): boolean {
  return firstLack(live, wanted) === undefined;
}

/** The path of the first part of what is wanted that an object has not, or has otherwise, such as `spec.http[0].timeout`. */
export function firstLack(live: KubernetesObject, wanted: KubernetesObject): string | undefined {
  return (
    lackOfStrings(labelsOf(live), labelsOf(wanted), "metadata.labels") ??
    lackOfStrings(annotationsOf(live), annotationsOf(wanted), "metadata.annotations") ??
    lackIn(live.spec, wanted.spec, "spec")
  );
}

/**
 * Whether it was somebody else who changed an object that is not in line: another wish would show in the hash, and another
 * owner in the label.
 */
export function isChangedByOthers(live: KubernetesObject, wanted: KubernetesObject): boolean {
  const hash = annotationsOf(live)[GENERATED_ANNOTATION];
  const isSameWish = hash === undefined || hash === annotationsOf(wanted)[GENERATED_ANNOTATION];
  return isSameWish && labelsOf(live)[POLICY_UID_LABEL] === labelsOf(wanted)[POLICY_UID_LABEL];
}

function lackOfStrings(found: StringMap, wanted: StringMap, path: string): string | undefined {
  const key = Object.keys(wanted).find((it) => found[it] !== wanted[it]);
  return key === undefined ? undefined : `${path}["${key}"]`;
}

function lackIn(found: unknown, wanted: unknown, path: string): string | undefined {
  if (Array.isArray(wanted)) {
    if (!Array.isArray(found) || found.length !== wanted.length) return path;
    return firstOf(wanted.keys(), (index) => lackIn(found[index], wanted[index], `${path}[${index}]`));
  }
  if (!isRecord(wanted)) return found === wanted ? undefined : path;
  if (!isRecord(found)) return path;
  return firstOf(Object.keys(wanted), (key) => lackIn(found[key], wanted[key], `${path}.${key}`));
}

function firstOf<T>(items: Iterable<T>, lackOf: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const lack = lackOf(item);
    if (lack !== undefined) return lack;
  }
  return undefined;
}
