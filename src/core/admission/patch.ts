import { annotationsOf, type KubernetesObject, type StringMap } from "../kubernetes.ts";
import { ANNOTATIONS_BYTES_MAX } from "../limits.ts";
import type { PatchOperation } from "./review.ts";

/** Wanted values of some keys of a map; undefined asks for absence. Keys not named are left alone. */
export type Changes = Readonly<Record<string, string | undefined>>;

/** Minimal RFC 6902 operations for changes to annotations and labels, in the order of keys. */
export function metadataPatch(
  object: KubernetesObject,
  annotations: Changes,
  labels: Changes,
): readonly PatchOperation[] {
  return [
    ...mapPatch("/metadata/annotations", object.metadata?.annotations, annotations),
    ...mapPatch("/metadata/labels", object.metadata?.labels, labels),
  ];
}

function mapPatch(path: string, current: StringMap | undefined, changes: Changes): readonly PatchOperation[] {
  const changed = Object.keys(changes)
    .filter((key) => changes[key] !== valueOf(current, key))
    .sort();
  if (changed.length === 0) return [];
  if (current === undefined || current === null) {
    return [{ op: "add", path, value: Object.fromEntries(changed.map((key) => [key, changes[key]])) }];
  }
  return changed.map((key) => operation(`${path}/${escapePointer(key)}`, valueOf(current, key), changes[key]));
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

/** Whether the annotations would pass Kubernetes' limit after the changes. */
export function exceedsAnnotationLimit(object: KubernetesObject, changes: Changes): boolean {
  const after: Record<string, string | undefined> = { ...annotationsOf(object), ...changes };
  let units = 0;
  for (const key in after) units += after[key] === undefined ? 0 : key.length + after[key].length;
  // A code unit is at most three bytes of UTF-8, so most objects need no counting of bytes.
  if (units * 3 <= ANNOTATIONS_BYTES_MAX) return false;
  let bytes = 0;
  for (const key in after) if (after[key] !== undefined) bytes += utf8Length(key) + utf8Length(after[key]);
  return bytes > ANNOTATIONS_BYTES_MAX;
}

function utf8Length(text: string): number {
  let bytes = 0;
  for (const character of text) {
    const point = character.codePointAt(0) ?? 0;
    bytes += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  }
  return bytes;
}
