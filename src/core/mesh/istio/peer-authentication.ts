import { inOrder } from "../../endpoint-slices.ts";
import type { MtlsIntent } from "../../intent/intent.ts";
import type { StringMap } from "../../kubernetes.ts";
import type { Workload } from "./workload.ts";

/** The part of a PeerAuthentication that Fairlead writes. */
export interface PeerAuthenticationSpec {
  readonly selector: { readonly matchLabels: StringMap };
  /** By the number of a port of the Pods. */
  readonly portLevelMtls: Readonly<Record<string, { readonly mode: "STRICT" | "PERMISSIVE" }>>;
}

/** A mode for ports of the Pods. */
export interface PortsMode extends MtlsIntent {
  readonly ports: readonly number[];
}

/**
 * Port by port: other ports of the Pods go on as the namespace and the mesh say. `beside`: what holds for Services with
 * the same Pods. Istio takes one of such objects, so all of them say the same; of two modes the strict one.
 */
export function peerAuthenticationSpec(
  { mode }: MtlsIntent,
  { labels, ports }: Workload,
  beside: readonly PortsMode[],
): PeerAuthenticationSpec {
  const all = [{ mode, ports }, ...beside];
  const strict = new Set(all.filter((one) => one.mode === "Strict").flatMap((one) => one.ports));
  const modeOf = (port: number) => ({ mode: strict.has(port) ? ("STRICT" as const) : ("PERMISSIVE" as const) });
  return {
    selector: { matchLabels: labels },
    portLevelMtls: Object.fromEntries(
      inOrder(all.flatMap((one) => one.ports)).map((port) => [String(port), modeOf(port)]),
    ),
  };
}
