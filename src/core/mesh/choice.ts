import type { MeshName } from "../names.ts";
import type { NamespaceInfo, WorldDefaults } from "../world.ts";

/** What a policy says of its mesh. */
export interface MeshChoice {
  readonly mesh?: "Auto" | MeshName;
}

/** Undefined: the policy leaves it to its namespace. */
export function meshChosenBy({ mesh }: MeshChoice): MeshName | undefined {
  return mesh === "Auto" ? undefined : mesh;
}

/** The mesh of a namespace: `--mesh` where given, else what the namespace shows, else Linkerd (docs/review.md). */
export function meshNameOf(namespace: NamespaceInfo | undefined, defaults: WorldDefaults): MeshName {
  return defaults.mesh ?? meshShownBy(namespace) ?? "Linkerd";
}

/** What the labels and annotations of a namespace say (docs/policy.md, Which mesh). Linkerd wins where both do. */
export function meshShownBy(namespace: NamespaceInfo | undefined): MeshName | undefined {
  if (namespace === undefined) return undefined;
  const inject = namespace.annotations["linkerd.io/inject"];
  if (inject === "enabled" || inject === "ingress") return "Linkerd";
  const { labels } = namespace;
  const injection = labels["istio-injection"];
  if (injection === "enabled") return "Istio";
  if (injection !== "disabled" && labels["istio.io/rev"] !== undefined) return "Istio";
  return labels["istio.io/dataplane-mode"] === "ambient" ? "Istio" : undefined;
}
