import type { KubernetesObject, ObjectMeta, StringMap } from "../core/kubernetes.ts";
import { POLICY_UID_LABEL, RECORD_ANNOTATION } from "../core/names.ts";

/** Everything of Fairlead's own on an object starts with it: labels, the record. */
const OWN_PREFIX = "fairlead.dev/";
/** kubectl's copy of the whole manifest: as large as the object, and nobody here reads it. */
const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";

/**
 * The object without managedFields and status. The last-applied annotation keeps its key and loses its value: a patch
 * made from this object must not mistake the map of annotations for absent or for becoming empty.
 */
export function slim(object: KubernetesObject): KubernetesObject {
  const { status: _status, metadata, ...rest } = object as KubernetesObject & { status?: unknown };
  const { managedFields: _managed, ...kept } = (metadata ?? {}) as ObjectMeta & { managedFields?: unknown };
  if (kept.annotations === undefined) return { ...rest, metadata: kept };
  return { ...rest, metadata: { ...kept, annotations: withoutManifest(kept.annotations) } };
}

function withoutManifest(annotations: StringMap): StringMap {
  return annotations[LAST_APPLIED] === undefined ? annotations : { ...annotations, [LAST_APPLIED]: "" };
}

/**
 * What is kept of an object in a namespace that did not opt in: that it exists, and what Fairlead left on it. Where
 * a record is left, the annotations that it speaks of are kept too: without them nothing could be taken off again.
 */
export function reduce(object: KubernetesObject): KubernetesObject {
  const { name, namespace, resourceVersion, deletionTimestamp, labels, annotations } = object.metadata ?? {};
  // Of a route that Fairlead made, everything is needed to tell whose it is and to delete it.
  if (labels?.[POLICY_UID_LABEL] !== undefined) return slim(object);
  const ownLabels = ownOnly(labels);
  const ownAnnotations =
    annotations?.[RECORD_ANNOTATION] === undefined ? ownOnly(annotations) : withoutManifest(annotations);
  return {
    ...(object.apiVersion !== undefined && { apiVersion: object.apiVersion }),
    ...(object.kind !== undefined && { kind: object.kind }),
    metadata: {
      ...(name !== undefined && { name }),
      ...(namespace !== undefined && { namespace }),
      ...(resourceVersion !== undefined && { resourceVersion }),
      ...(deletionTimestamp !== undefined && { deletionTimestamp }),
      ...(ownLabels !== undefined && { labels: ownLabels }),
      ...(ownAnnotations !== undefined && { annotations: ownAnnotations }),
    },
  };
}

export function sameStrings(a: StringMap, b: StringMap): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

function ownOnly(map: StringMap | undefined): StringMap | undefined {
  const own = Object.entries(map ?? {}).filter(([key]) => key.startsWith(OWN_PREFIX));
  return own.length === 0 ? undefined : Object.fromEntries(own);
}
