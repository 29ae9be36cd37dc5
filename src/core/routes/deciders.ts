import type { CompiledPolicy } from "../intent/policy.ts";
import type { Precedence } from "../intent/precedence.ts";

/** Who generates the routes of a Service: the entries of one policy may be divided by another one. */
export function decidesRoutes({ routes, trafficSplit }: Precedence["winners"]): CompiledPolicy | undefined {
  return routes ?? trafficSplit;
}

/** The section that a policy generates routes for; undefined: none. */
export function routeSection({ intent }: CompiledPolicy): "routes" | "trafficSplit" | undefined {
  if (intent.routes !== undefined) return "routes";
  return intent.trafficSplit === undefined ? undefined : "trafficSplit";
}
