import { annotationsOf, type KubernetesObject, labelsOf, type StringMap } from "../kubernetes.ts";
import { ANNOTATIONS_BYTES_MAX } from "../limits.ts";
import { utf8Length } from "../text.ts";
import type { PatchOperation } from "./review.ts";

/** Wanted values of some keys of a map; undefined asks for absence. Keys not named are left alone. */
export type Changes = Readonly<Record<string, string | undefined>>;

/** Minimal RFC 6902 operations for changes to annotations and labels, in the order of keys. */
export function metadataPatch(
  object: KubernetesObject,
  annotations: Changes,
  labels: Changes,
): readonly PatchOperation[] {
  const annotationOperations = mapPatch("/metadata/annotations", object.metadata?.annotations, annotations);
  const labelOperations = mapPatch("/metadata/labels", object.metadata?.labels, labels);
  return labelOperations.length === 0 ? annotationOperations : [...annotationOperations, ...labelOperations];
}

const NO_OPERATIONS: readonly PatchOperation[] = Object.freeze([]);

function mapPatch(path: string, current: StringMap | undefined, changes: Changes): readonly PatchOperation[] {
  const changed: string[] = [];
  for (const key in changes) if (changes[key] !== valueOf(current, key)) changed.push(key);
  if (changed.length === 0) return NO_OPERATIONS;
  changed.sort();
  if (current === undefined || current === null) {
    return [{ op: "add", path, value: Object.fromEntries(changed.map((key) => [key, changes[key]])) }];
  }
  return changed.map((key) => operation(`${path}/${escapeOnce(key)}`, valueOf(current, key), changes[key]));
}

function operation(path: string, before: string | undefined, after: string | undefined): PatchOperation {
  if (after === undefined) return { op: "remove", path };
  return { op: before === undefined ? "add" : "replace", path, value: after };
}

function valueOf(map: StringMap | undefined, key: string): string | undefined {
  return map && Object.hasOwn(map, key) ? map[key] : undefined;
}

/** RFC 6901. */
export function escapePointer(key: string): string {
  return key.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** A few dozen: the keys that Fairlead writes. Escaping them each time would take half the time of a patch. */
const escapedKeys = new Map<string, string>();

function escapeOnce(key: string): string {
  let escaped = escapedKeys.get(key);
  if (escaped === undefined) escapedKeys.set(key, (escaped = escapePointer(key)));
  return escaped;
}

/** Whether the annotations would pass Kubernetes' limit after the changes. */
export function exceedsAnnotationLimit(object: KubernetesObject, changes: Changes): boolean {
  // A code unit is at most three bytes of UTF-8, so most objects need no counting of bytes.
  if ((lengthOf(annotationsOf(object)) + lengthOf(changes)) * 3 <= ANNOTATIONS_BYTES_MAX) return false;
  const after: Record<string, string | undefined> = { ...annotationsOf(object), ...changes };
  // And at least one: an annotation of 1 MB, which the API server has yet to refuse, is not walked through.
  if (lengthOf(after) > ANNOTATIONS_BYTES_MAX) return true;
  let bytes = 0;
  for (const key in after) if (after[key] !== undefined) bytes += utf8Length(key) + utf8Length(after[key]);
  return bytes > ANNOTATIONS_BYTES_MAX;
}

function lengthOf(map: Changes): number {
  let units = 0;
  for (const key in map) {
    const value = map[key];
    if (value !== undefined) units += key.length + value.length;
  }
  return units;
}

/** The object with changes applied; the original stays as it is. */
export function withMetadata(object: KubernetesObject, annotations: Changes, labels: Changes): KubernetesObject {
  const metadata = {
    ...object.metadata,
    annotations: merged(annotationsOf(object), annotations),
    labels: merged(labelsOf(object), labels),
  };
  return { ...object, metadata };
}

function merged(map: StringMap, changes: Changes): StringMap {
  const result: Record<string, string> = { ...map };
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) delete result[key];
    else result[key] = value;
  }
  return result;
}
