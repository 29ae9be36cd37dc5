import type { MeshName } from "../names.ts";
import { type IstioVersion, NEWEST_ISTIO, parseIstioVersion } from "./istio/version.ts";
import { type LinkerdVersion, NEWEST_LINKERD, parseLinkerdVersion } from "./linkerd/version.ts";

/** The versions that settings are compiled for: one of each mesh, since a cluster may run both. */
export interface MeshVersion {
  readonly linkerd: LinkerdVersion;
  readonly istio: IstioVersion;
  /** The meshes whose version somebody has named; what their control planes tell does not count. */
  readonly named: readonly MeshName[];
}

/**
 * `2.18`, `1.24` or `2.18,1.24`: Linkerd's numbers begin with 2 or `edge-`, Istio's with 1. A mesh that is not named
 * counts as the newest known, unless its control plane tells (discovery.ts). Undefined where a part is neither, or a mesh
 * is named twice.
 */
export function meshVersionOf(text: string | undefined): MeshVersion | undefined {
  const parts = text?.split(",").map((part) => part.trim()) ?? [];
  const linkerd = parts.map(parseLinkerdVersion).filter((version) => version !== undefined);
  const istio = parts.map(parseIstioVersion).filter((version) => version !== undefined);
  if (linkerd.length + istio.length !== parts.length || linkerd.length > 1 || istio.length > 1) return undefined;
  const newest = { linkerd: parseLinkerdVersion(NEWEST_LINKERD), istio: parseIstioVersion(NEWEST_ISTIO) };
  const [ofLinkerd = newest.linkerd] = linkerd;
  const [ofIstio = newest.istio] = istio;
  const named: MeshName[] = [...linkerd.map(() => "Linkerd" as const), ...istio.map(() => "Istio" as const)];
  return ofLinkerd && ofIstio && { linkerd: ofLinkerd, istio: ofIstio, named };
}
