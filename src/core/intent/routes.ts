import { compareStrings } from "../finding.ts";
import type { Intent, RetryIntent, RouteIntent, RouteMatchIntent, TimeoutIntent } from "./intent.ts";
import { canonicalJson } from "./revision.ts";

/** The entries in an order that their order in the spec does not change. */
export function canonicalRoutes(routes: readonly RouteIntent[]): readonly RouteIntent[] {
  return routes
    .map((entry) => ({ ...entry, matches: canonicalMatches(entry.matches) }))
    .sort((a, b) => compareStrings(a.name, b.name));
}

function canonicalMatches(matches: readonly RouteMatchIntent[]): readonly RouteMatchIntent[] {
  const byText = new Map(matches.map((match) => [canonicalJson(match), match]));
  return [...byText].sort(([a], [b]) => compareStrings(a, b)).map(([, match]) => match);
}

/**
 * The timeouts in force on a route, which takes none from its Service as soon as it has one: the entry's, filled up
 * from the Service's (docs/policy.md, Routes of a policy).
 */
export function timeoutOnRoute(
  own: TimeoutIntent | undefined,
  ofService: TimeoutIntent | undefined,
): TimeoutIntent | undefined {
  return own === undefined ? ofService : { ...ofService, ...own };
}

/** The retries in force on a route. What to retry is said as a whole; only the timeout of a try is filled up. */
export function retryOnRoute(
  own: RetryIntent | undefined,
  ofService: RetryIntent | undefined,
): RetryIntent | undefined {
  if (own === undefined) return ofService;
  if (own.maxAttempts === 0 || own.timeoutMs !== undefined || !isRetried(ofService)) return own;
  return { ...own, ...(ofService.timeoutMs !== undefined && { timeoutMs: ofService.timeoutMs }) };
}

export function isRetried(retry: RetryIntent | undefined): retry is RetryIntent {
  return retry !== undefined && retry.maxAttempts > 0;
}

/** An entry that must not be retried; no mesh's route can say so where its Service has retries. */
export function isUnretried(entry: RouteIntent): boolean {
  return entry.retry?.maxAttempts === 0;
}

/** Whether the retries of a Service have to leave it and stand on its routes instead, because an entry wants none. */
export function leavesService(retry: Intent["retry"], routes: Intent["routes"]): boolean {
  return isRetried(retry) && routes !== undefined && routes.some(isUnretried);
}
