import { type Finding, finding } from "../finding.ts";
import type { MeshName } from "../names.ts";
import type { NamespaceInfo, WorldDefaults } from "../world.ts";
import { type MeshChoice, meshChosenBy, meshNameOf, meshShownBy } from "./choice.ts";
import { istio } from "./istio/istio.ts";
import { linkerd } from "./linkerd/linkerd.ts";
import type { MeshCompiler } from "./mesh.ts";
import type { MeshVersion } from "./version.ts";

/** Every mesh; forgetting one does not compile. */
export const MESHES = { Linkerd: linkerd, Istio: istio } as const satisfies Record<MeshName, MeshCompiler>;

const ALL: readonly MeshCompiler[] = Object.values(MESHES);

/** The mesh of a namespace. */
export function meshOf(namespace: NamespaceInfo | undefined, defaults: WorldDefaults): MeshCompiler {
  return MESHES[meshNameOf(namespace, defaults)];
}

/**
 * For policies that leave the mesh to their namespace, where it shows none and nobody has said which: they are compiled
 * for Linkerd, and perhaps no proxy is there. A namespace that is not known, or only assumed, may show one.
 */
export function noMeshShown(namespace: NamespaceInfo | undefined, defaults: WorldDefaults): Finding | undefined {
  if (namespace === undefined || namespace.assumed || defaults.mesh !== undefined) return undefined;
  if (meshShownBy(namespace) !== undefined) return undefined;
  return finding("FL324", "", {
    message: `Namespace ${namespace.name} shows no mesh, so the settings are Linkerd's`,
    fix: "annotate it linkerd.io/inject: enabled, label it istio-injection: enabled, or set spec.mesh",
  });
}

/** The mesh of one policy: its own word, else that of its namespace. */
export function meshOfPolicy(spec: MeshChoice, ofNamespace: MeshCompiler): MeshCompiler {
  const chosen = meshChosenBy(spec);
  return chosen === undefined ? ofNamespace : MESHES[chosen];
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
