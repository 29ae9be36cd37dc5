import type { KubernetesObject } from "../kubernetes.ts";
import type { MeshName } from "../names.ts";

/** What a Service of a mesh's own tells of the control plane behind it. */
export interface ControlPlane {
  readonly mesh: MeshName;
  /** Where it was found: `Service istio-system/istiod-canary`. */
  readonly source: string;
  /** The revision or tag by which namespaces choose it; empty where a mesh has only one control plane. */
  readonly revision: string;
  /** As the Service has it; empty where it says none. */
  readonly version: string;
}

/** How messages name where a control plane was found. */
export function sourceOf({ metadata }: KubernetesObject): string {
  return `Service ${metadata?.namespace ?? ""}/${metadata?.name ?? ""}`;
}
