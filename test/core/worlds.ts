import { FileWorld, isPolicy } from "../../src/cli/file-world.ts";
import { decide } from "../../src/core/admission/decide.ts";
import type { AdmissionRequest, Verdict } from "../../src/core/admission/review.ts";
import { groupOf, type KubernetesObject, type StringMap } from "../../src/core/kubernetes.ts";
import type { LinkerdVersion } from "../../src/core/mesh/linkerd/version.ts";
import { type MeshVersion, meshVersionOf } from "../../src/core/mesh/version.ts";
import type { TargetKey, World, WorldDefaults } from "../../src/core/world.ts";

/** The time of every decision in tests: 2026-11-26T12:00:00Z. */
export const NOW_MS = Date.UTC(2026, 10, 26, 12);

export type Annotations = Record<string, string>;

export function meshVersion(text: string): MeshVersion {
  const version = meshVersionOf(text);
  if (version === undefined) throw new Error(`Cannot parse the version ${text}`);
  return version;
}

export function linkerdVersion(text: string): LinkerdVersion {
  return meshVersion(text).linkerd;
}

export const DEFAULTS: WorldDefaults = {
  unknownNamespaceMode: "enforce",
  mesh: undefined,
  meshVersion: meshVersion("2.20"),
  clusterDomain: "cluster.local",
  excludedNamespaces: new Set(["kube-system"]),
};

/** A world of these objects; policies in it must be acceptable. */
export function worldOf(objects: readonly KubernetesObject[], defaults: Partial<WorldDefaults> = {}): World {
  const world = new FileWorld(objects, { ...DEFAULTS, ...defaults });
  for (const object of objects) if (isPolicy(object)) world.accept(object);
  return world;
}

/** In Linkerd, unless other labels or annotations are given. */
export function namespace(
  mode: string | undefined,
  extra: { labels?: StringMap; annotations?: StringMap } = { annotations: { "linkerd.io/inject": "enabled" } },
) {
  const labels = { ...(mode === undefined ? {} : { "fairlead.dev/mode": mode }), ...extra.labels };
  return {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: "iam", labels, annotations: extra.annotations ?? {} },
  };
}

/** A policy for the Service user-service in iam, unless the spec says otherwise. */
export function policy(spec: Record<string, unknown>, metadata: Record<string, unknown> = {}): KubernetesObject {
  const target = "targetSelector" in spec ? {} : { targetRefs: [{ kind: "Service", name: "user-service" }] };
  return {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "ResiliencePolicy",
    metadata: { name: "user-service", namespace: "iam", ...metadata },
    spec: { ...target, ...spec },
  };
}

export function service(annotations?: StringMap, labels?: StringMap): KubernetesObject {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      name: "user-service",
      namespace: "iam",
      ...(annotations && { annotations }),
      ...(labels && { labels }),
    },
    spec: { ports: [{ port: 8080 }] },
  };
}

export function keyOf(object: KubernetesObject): TargetKey {
  return {
    group: groupOf(object.apiVersion ?? ""),
    kind: object.kind ?? "",
    namespace: object.metadata?.namespace ?? "default",
    name: object.metadata?.name ?? "",
  };
}

/** The request that the API server makes of a write; an old object makes it an update. */
export function requestOf(
  phase: AdmissionRequest["phase"],
  object: KubernetesObject,
  oldObject?: KubernetesObject,
): AdmissionRequest {
  const { group, kind, namespace, name } = keyOf(object);
  const operation = oldObject === undefined ? "CREATE" : "UPDATE";
  return { phase, nowMs: NOW_MS, uid: "test", kind: { group, kind }, operation, namespace, name, object, oldObject };
}

export function validate(world: World, object: KubernetesObject, oldObject?: KubernetesObject): Verdict {
  return decide(requestOf("validate", object, oldObject), world);
}

export function mutate(world: World, object: KubernetesObject, oldObject?: KubernetesObject): Verdict {
  return decide(requestOf("mutate", object, oldObject), world);
}
