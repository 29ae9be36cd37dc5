import { type Finding, finding } from "../../finding.ts";
import type { Intent } from "../../intent/intent.ts";
import type { HostIntent } from "../companion.ts";

/**
 * Whether how many endpoints there are decides if a breaker of this intent ever acts on Istio. At 100 it always does; 0 is
 * refused (compile.ts).
 */
export function dependsOnEndpoints({ circuitBreaker }: Intent): boolean {
  const percent = circuitBreaker?.maxEjectionPercent ?? 100;
  return circuitBreaker?.enabled === true && percent > 0 && percent < 100;
}

/**
 * Envoy from 1.28 on takes the limit for the first endpoint as well (envoy#27909): where less than one endpoint may be shut
 * out, none ever is.
 */
export function ejectsNothing({ service, intent }: HostIntent): readonly Finding[] {
  const percent = intent.circuitBreaker?.maxEjectionPercent ?? 100;
  const { key, world } = service;
  const endpoints = world.endpointsOf(key.name, key.namespace) ?? 0;
  if (!dependsOnEndpoints(intent) || endpoints === 0 || percent * endpoints >= 100) return [];
  const count = endpoints === 1 ? "1 ready endpoint" : `${endpoints} ready endpoints`;
  return [
    finding("FL331", "spec.circuitBreaker.maxEjectionPercent", {
      message: `Found ${percent}; Service ${key.name} has ${count}, of which Istio may not shut out a single one: the breaker does nothing`,
      fix: `raise it to at least ${Math.ceil(100 / endpoints)}, or run at least ${Math.ceil(100 / percent)} endpoints`,
    }),
  ];
}
