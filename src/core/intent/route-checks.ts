import type { ResiliencePolicySpec } from "../../api/v1alpha1/resilience-policy.ts";
import { type Finding, finding } from "../finding.ts";
import { quote } from "../text.ts";
import type { Intent, RouteIntent, RouteMatchIntent } from "./intent.ts";
import { checkRequests, type RequestField } from "./request-checks.ts";
import { canonicalJson } from "./revision.ts";
import { retryOnRoute, timeoutOnRoute } from "./routes.ts";

/** Look-around and back-references: neither Linkerd's regular expressions nor RE2 have them. */
const NOT_LINEAR = /\(\?(?:[=!]|<[=!])|\\[1-9]|\\k</;

const EVERYTHING = canonicalJson({ path: { type: "PathPrefix", value: "/" }, headers: [] } satisfies RouteMatchIntent);

/** What is wrong with the entries of `spec.routes`, each beside the settings that it takes from the policy. */
export function checkRoutes(spec: ResiliencePolicySpec, intent: Intent): readonly Finding[] {
  const routes = intent.routes ?? [];
  return [
    ...routes.flatMap((entry, index) => checkRequests(scopeOf(entry, intent, `spec.routes[${index}]`))),
    ...routes.flatMap((entry, index) => expressionsAreRead(entry, `spec.routes[${index}]`)),
    ...(spec.routes ?? []).flatMap((entry, index) => unretriedIsEmpty(entry.retry, `spec.routes[${index}].retry`)),
    ...matchesAreDistinct(routes),
  ];
}

export function checkSplit(intent: Intent): readonly Finding[] {
  const { trafficSplit } = intent;
  if (trafficSplit === undefined) return [];
  return [...expressionsAreRead(trafficSplit, "spec.trafficSplit"), ...splitIsDistinct(intent)];
}

/** The matches of a split stand beside those of the entries, which may be those of another policy. */
export function splitIsDistinct({ routes = [], trafficSplit }: Intent): readonly Finding[] {
  return (trafficSplit?.matches ?? []).flatMap((match, place) => {
    const text = canonicalJson(match);
    const path = `spec.trafficSplit.matches[${place}]`;
    if (text === EVERYTHING) return [dividesEverything(path)];
    const owner = routes.find((entry) => entry.matches.some((other) => canonicalJson(other) === text));
    return owner === undefined ? [] : [repeatedMatch(owner, path)];
  });
}

function scopeOf(entry: RouteIntent, { circuitBreaker, retry, timeout }: Intent, at: string) {
  const inForce = { retry: retryOnRoute(entry.retry, retry), timeout: timeoutOnRoute(entry.timeout, timeout) };
  const own: ReadonlySet<RequestField> = new Set<RequestField>([
    ...(entry.retry === undefined ? [] : (["retry.maxAttempts", "retry.statusCodes"] as const)),
    ...(entry.retry?.timeoutMs === undefined ? [] : (["retry.timeout"] as const)),
    ...(entry.timeout?.requestMs === undefined ? [] : (["timeout.request"] as const)),
    ...(entry.timeout?.responseMs === undefined ? [] : (["timeout.response"] as const)),
    ...(entry.timeout?.idleMs === undefined ? [] : (["timeout.idle"] as const)),
  ]);
  return {
    intent: {
      ...(circuitBreaker && { circuitBreaker }),
      ...(inForce.retry && { retry: inForce.retry }),
      ...(inForce.timeout && { timeout: inForce.timeout }),
    },
    pathOf: (field: RequestField) => (own.has(field) ? `${at}.${field}` : `spec.${field}`),
    isOwn: (field: RequestField) => own.has(field),
  };
}

/** `at`: the section in which the matches stand. */
export function expressionsAreRead({ matches }: Pick<RouteIntent, "matches">, at: string): readonly Finding[] {
  return matches.flatMap(({ path, headers }, index) => {
    const inMatch = `${at}.matches[${index}]`;
    return [
      ...expressionIsRead(path, `${inMatch}.path.value`),
      ...headers.flatMap((header) => expressionIsRead(header, `${inMatch}.headers[name=${header.name}].value`)),
    ];
  });
}

function expressionIsRead({ type, value }: RouteMatchIntent["path"], path: string): readonly Finding[] {
  if (type !== "RegularExpression" || !NOT_LINEAR.test(value)) return [];
  return [
    finding("FL210", path, {
      message: `Found ${quote(value)}; the meshes' regular expressions have neither look-around nor back-references`,
      fix: "write it without (?=, (?!, (?<=, (?<! and \\1, or as several matches",
    }),
  ];
}

function unretriedIsEmpty(retry: ResiliencePolicySpec["retry"], at: string): readonly Finding[] {
  if (retry?.maxAttempts !== 0) return [];
  return withoutEffect(
    at,
    "maxAttempts is 0",
    Object.keys(retry).filter((field) => field !== "maxAttempts"),
  );
}

/** Fields of a section that is switched off; none, no finding. */
export function withoutEffect(path: string, because: string, fields: readonly string[]): readonly Finding[] {
  if (fields.length === 0) return [];
  return [
    finding("FL207", path, {
      message: `${because}, so ${[...fields].sort().join(", ")} ${fields.length === 1 ? "does" : "do"} nothing`,
      fix: `remove ${fields.length === 1 ? "it" : "them"}, or switch the section on`,
    }),
  ];
}

/** Of two routes with one match the older one answers: which one that is would be chance. */
function matchesAreDistinct(routes: readonly RouteIntent[]): readonly Finding[] {
  const owners = new Map<string, RouteIntent>();
  return routes.flatMap((entry, index) =>
    entry.matches.flatMap((match, place) => {
      const text = canonicalJson(match);
      const owner = owners.get(text);
      if (owner === undefined) owners.set(text, entry);
      const path = `spec.routes[${index}].matches[${place}]`;
      if (text === EVERYTHING) return [fitsEverything(path)];
      return owner === undefined || owner === entry ? [] : [repeatedMatch(owner, path)];
    }),
  );
}

function fitsEverything(path: string): Finding {
  return finding("FL209", path, {
    message: "It fits every request, and so does the route that takes the rest",
    fix: "move its settings to spec.retry and spec.timeout, or narrow it",
  });
}

function dividesEverything(path: string): Finding {
  return finding("FL209", path, {
    message: "It fits every request, and so does what goes to the target",
    fix: "remove trafficSplit.matches to divide every request, or narrow it",
  });
}

function repeatedMatch(owner: RouteIntent, path: string): Finding {
  return finding("FL209", path, {
    message: `It fits the same requests as a match of ${quote(owner.name)}; only one of two routes can answer them`,
    fix: "remove it from one of the two entries",
  });
}
