import type { MeshName } from "../names.ts";
import type { NamespaceInfo, WorldDefaults } from "../world.ts";
import { istio } from "./istio/istio.ts";
import { linkerd } from "./linkerd/linkerd.ts";
import type { MeshCompiler } from "./mesh.ts";
import type { MeshVersion } from "./version.ts";

/** Every mesh; forgetting one does not compile. */
export const MESHES = { Linkerd: linkerd, Istio: istio } as const satisfies Record<MeshName, MeshCompiler>;

const ALL: readonly MeshCompiler[] = Object.values(MESHES);

/** The mesh of a namespace: `--mesh` where given, else what the namespace shows, else Linkerd (docs/review.md). */
export function meshOf(namespace: NamespaceInfo | undefined, defaults: WorldDefaults): MeshCompiler {
  return MESHES[defaults.mesh ?? meshShownBy(namespace) ?? "Linkerd"];
}

/** The mesh of one policy: its own word, else that of its namespace. */
export function meshOfPolicy(spec: { readonly mesh?: "Auto" | MeshName }, ofNamespace: MeshCompiler): MeshCompiler {
  return spec.mesh === undefined || spec.mesh === "Auto" ? ofNamespace : MESHES[spec.mesh];
}

/** What the labels and annotations of a namespace say (docs/policy.md, Which mesh). Linkerd wins where both do. */
function meshShownBy(namespace: NamespaceInfo | undefined): MeshName | undefined {
  if (namespace === undefined) return undefined;
  const inject = namespace.annotations["linkerd.io/inject"];
  if (inject === "enabled" || inject === "ingress") return "Linkerd";
  const { labels } = namespace;
  const injection = labels["istio-injection"];
  if (injection === "enabled") return "Istio";
  if (injection !== "disabled" && labels["istio.io/rev"] !== undefined) return "Istio";
  return labels["istio.io/dataplane-mode"] === "ambient" ? "Istio" : undefined;
}

/** The mesh whose family an annotation belongs to: the only keys that Fairlead ever writes or a record may name. */
function meshOfKey(annotation: string): MeshCompiler | undefined {
  for (const mesh of ALL) if (mesh.groupOf(annotation) !== undefined) return mesh;
  return undefined;
}

export function isFamilyKey(annotation: string): boolean {
  return meshOfKey(annotation) !== undefined;
}

/** The group of settings, within its mesh, that an annotation belongs to. */
export function groupOfKey(annotation: string): string | undefined {
  return meshOfKey(annotation)?.groupOf(annotation);
}

/** Whether the mesh accepts the value of a family key, looked at alone. */
export function acceptsValue(annotation: string, value: string, version: MeshVersion): boolean {
  return meshOfKey(annotation)?.acceptsValue(annotation, value, version) ?? false;
}
