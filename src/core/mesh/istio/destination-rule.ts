import type { Intent } from "../../intent/intent.ts";
import { istioDuration } from "./duration.ts";

/** The part of a DestinationRule that Fairlead writes. */
export interface DestinationRuleSpec {
  readonly host: string;
  readonly trafficPolicy: { readonly outlierDetection: OutlierDetection };
}

export interface OutlierDetection {
  readonly consecutive5xxErrors: number;
  readonly interval: string;
  readonly baseEjectionTime: string;
  /** 1..100 */
  readonly maxEjectionPercent: number;
}

/**
 * Endpoints come back at the sweep after their time is over. Sweeping as often as the shortest time keeps that close;
 * below a second it would only cost, and 10s is Envoy's own default.
 */
const INTERVAL_MS = { min: 1_000, max: 10_000 } as const;

/** Like Linkerd, which may shut every endpoint. Istio's own 10 ejects nothing below ten endpoints (envoy#27909). */
export const EJECTION_PERCENT_DEFAULT = 100;

/** Undefined where no section needs one: a breaker that is switched off is none. */
export function destinationRuleSpec({ circuitBreaker }: Intent, host: string): DestinationRuleSpec | undefined {
  if (circuitBreaker?.enabled !== true) return undefined;
  const { consecutiveFailures, minPenaltyMs, maxEjectionPercent = EJECTION_PERCENT_DEFAULT } = circuitBreaker;
  const intervalMs = Math.min(Math.max(minPenaltyMs, INTERVAL_MS.min), INTERVAL_MS.max);
  return {
    host,
    trafficPolicy: {
      outlierDetection: {
        consecutive5xxErrors: consecutiveFailures,
        interval: istioDuration(intervalMs),
        baseEjectionTime: istioDuration(minPenaltyMs),
        maxEjectionPercent,
      },
    },
  };
}
