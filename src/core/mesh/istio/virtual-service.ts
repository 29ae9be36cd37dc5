import type { FaultInjectionIntent, Intent, RetryIntent, TimeoutIntent } from "../../intent/intent.ts";
import { canonicalRoutes, retryOnRoute, timeoutOnRoute } from "../../intent/routes.ts";
import { REST_ENTRY } from "../../names.ts";
import { istioDuration } from "./duration.ts";
import { type HttpMatch, httpMatchesOf, orderedMatches } from "./matches.ts";
import { type Retries, retriesOf } from "./retries.ts";
import type { IstioVersion } from "./version.ts";

/** Name of the entry of requests that get faults. */
const FAULT_ENTRY = "fairlead-faults";

/** The part of a VirtualService that Fairlead writes. */
export interface VirtualServiceSpec {
  readonly hosts: readonly string[];
  readonly http: readonly HttpRoute[];
}

export interface HttpRoute {
  readonly name: string;
  /** Absent: every request that no entry before takes. */
  readonly match?: readonly HttpMatch[];
  readonly route: readonly { readonly destination: { readonly host: string } }[];
  readonly fault?: Fault;
  readonly timeout?: string;
  readonly retries: Retries;
}

interface Fault {
  readonly abort?: { readonly httpStatus: number; readonly percentage: Percentage };
  readonly delay?: { readonly fixedDelay: string; readonly percentage: Percentage };
}

interface Percentage {
  readonly value: number;
}

/** Undefined where no section needs one. */
export function virtualServiceSpec(
  intent: Intent,
  host: string,
  version: IstioVersion,
): VirtualServiceSpec | undefined {
  const { retry, timeout, routes, faultInjection } = intent;
  if ([retry, timeout, routes, faultInjection].every((section) => section === undefined)) return undefined;
  const fault = faultInjection && faultOf(faultInjection);
  const faulty = faultInjection?.matches ?? [];
  // Of each entry all settings are written: an entry of a VirtualService takes nothing from another.
  const settings = (ofRetry: RetryIntent | undefined, ofTimeout: TimeoutIntent | undefined) => ({
    route: [{ destination: { host } }],
    ...(fault !== undefined && faulty.length === 0 && { fault }),
    ...(ofTimeout?.requestMs !== undefined && { timeout: istioDuration(ofTimeout.requestMs) }),
    retries: retriesOf(ofRetry, version),
  });
  const entries = orderedMatches(canonicalRoutes(routes ?? [])).map(({ entry, matches }) => ({
    name: entry.name,
    match: matches,
    ...settings(retryOnRoute(entry.retry, retry), timeoutOnRoute(entry.timeout, timeout)),
  }));
  // First, because which requests get faults must not depend on how the others are told apart.
  const first =
    fault !== undefined && faulty.length > 0
      ? [{ name: FAULT_ENTRY, match: httpMatchesOf(faulty), ...settings(retry, timeout), fault }]
      : [];
  return { hosts: [host], http: [...first, ...entries, { name: REST_ENTRY, ...settings(retry, timeout) }] };
}

function faultOf({ abort, delay }: FaultInjectionIntent): Fault {
  return {
    ...(abort && { abort: { httpStatus: abort.status, percentage: { value: abort.percent } } }),
    ...(delay && { delay: { fixedDelay: istioDuration(delay.durationMs), percentage: { value: delay.percent } } }),
  };
}
