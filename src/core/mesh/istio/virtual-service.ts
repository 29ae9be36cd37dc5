import type { BackendIntent, FaultInjectionIntent, Intent, RouteIntent } from "../../intent/intent.ts";
import { retryOnRoute, timeoutOnRoute } from "../../intent/routes.ts";
import { directionsOf } from "../../intent/split.ts";
import { REST_ENTRY } from "../../names.ts";
import { istioDuration } from "./duration.ts";
import { siblingOf } from "./hosts.ts";
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
  readonly route: readonly Destination[];
  readonly fault?: Fault;
  readonly timeout?: string;
  readonly retries: Retries;
}

interface Destination {
  readonly destination: { readonly host: string; readonly port?: { readonly number: number } };
  readonly weight?: number;
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
  const { retry, timeout, routes, trafficSplit, faultInjection } = intent;
  if ([retry, timeout, routes, trafficSplit, faultInjection].every((section) => section === undefined))
    return undefined;
  const fault = faultInjection && faultOf(faultInjection);
  const faulty = faultInjection?.matches ?? [];
  const { entries, rest } = directionsOf(intent);
  // Of each entry all settings are written: an entry of a VirtualService takes nothing from another.
  const settings = (backends: readonly BackendIntent[], own: Pick<RouteIntent, "retry" | "timeout"> = {}) => {
    const requestMs = timeoutOnRoute(own.timeout, timeout)?.requestMs;
    return {
      route: destinations(backends, host),
      ...(fault !== undefined && faulty.length === 0 && { fault }),
      ...(requestMs !== undefined && { timeout: istioDuration(requestMs) }),
      retries: retriesOf(retryOnRoute(own.retry, retry), version),
    };
  };
  const http = orderedMatches(entries).map(({ entry, matches }) => ({
    name: entry.name,
    match: matches,
    ...settings(entry.backends, entry),
  }));
  // First, because which requests get faults must not depend on how the others are told apart.
  const first =
    fault !== undefined && faulty.length > 0
      ? [{ name: FAULT_ENTRY, match: httpMatchesOf(faulty), ...settings(rest), fault }]
      : [];
  return { hosts: [host], http: [...first, ...http, { name: REST_ENTRY, ...settings(rest) }] };
}

/** `host`: that of the Service itself, where requests go that nothing divides. */
function destinations(backends: readonly BackendIntent[], host: string): readonly Destination[] {
  if (backends.length === 0) return [{ destination: { host } }];
  return backends.map(({ name, weight, port }) => ({
    destination: { host: siblingOf(host, name), ...(port !== undefined && { port: { number: port } }) },
    weight,
  }));
}

function faultOf({ abort, delay }: FaultInjectionIntent): Fault {
  return {
    ...(abort && { abort: { httpStatus: abort.status, percentage: { value: abort.percent } } }),
    ...(delay && { delay: { fixedDelay: istioDuration(delay.durationMs), percentage: { value: delay.percent } } }),
  };
}
