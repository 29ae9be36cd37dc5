import type { Intent, RetryIntent, TimeoutIntent } from "../../intent/intent.ts";
import { canonicalRoutes, retryOnRoute, timeoutOnRoute } from "../../intent/routes.ts";
import { REST_ENTRY } from "../../names.ts";
import { istioDuration } from "./duration.ts";
import { type HttpMatch, orderedMatches } from "./matches.ts";
import { type Retries, retriesOf } from "./retries.ts";
import type { IstioVersion } from "./version.ts";

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
  readonly timeout?: string;
  readonly retries: Retries;
}

/** Undefined where no section needs one. */
export function virtualServiceSpec(
  { retry, timeout, routes }: Intent,
  host: string,
  version: IstioVersion,
): VirtualServiceSpec | undefined {
  if (retry === undefined && timeout === undefined && routes === undefined) return undefined;
  // Of each entry all settings are written: an entry of a VirtualService takes nothing from another.
  const settings = (ofRetry: RetryIntent | undefined, ofTimeout: TimeoutIntent | undefined) => ({
    route: [{ destination: { host } }],
    ...(ofTimeout?.requestMs !== undefined && { timeout: istioDuration(ofTimeout.requestMs) }),
    retries: retriesOf(ofRetry, version),
  });
  const entries = orderedMatches(canonicalRoutes(routes ?? [])).map(({ entry, matches }) => ({
    name: entry.name,
    match: matches,
    ...settings(retryOnRoute(entry.retry, retry), timeoutOnRoute(entry.timeout, timeout)),
  }));
  return { hosts: [host], http: [...entries, { name: REST_ENTRY, ...settings(retry, timeout) }] };
}
