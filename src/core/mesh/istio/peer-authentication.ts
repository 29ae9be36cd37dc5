import type { MtlsIntent } from "../../intent/intent.ts";
import type { StringMap } from "../../kubernetes.ts";
import type { Workload } from "./workload.ts";

/** The part of a PeerAuthentication that Fairlead writes. */
export interface PeerAuthenticationSpec {
  readonly selector: { readonly matchLabels: StringMap };
  /** By the number of a port of the Pods. */
  readonly portLevelMtls: Readonly<Record<string, { readonly mode: "STRICT" | "PERMISSIVE" }>>;
}

/** Port by port: other ports of the Pods go on as the namespace and the mesh say. */
export function peerAuthenticationSpec({ mode }: MtlsIntent, { labels, ports }: Workload): PeerAuthenticationSpec {
  const written = { mode: mode === "Strict" ? "STRICT" : "PERMISSIVE" } as const;
  return {
    selector: { matchLabels: labels },
    portLevelMtls: Object.fromEntries(ports.map((port) => [String(port), written])),
  };
}
