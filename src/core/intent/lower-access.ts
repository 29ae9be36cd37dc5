import type { ResiliencePolicySpec } from "../../api/v1alpha1/resilience-policy.ts";
import { compareStrings } from "../finding.ts";
import type {
  AccessIntent,
  AuthorizationIntent,
  ClientIntent,
  RateLimitIntent,
  RequestIntent,
  ServiceAccountIntent,
} from "./intent.ts";
import { canonicalJson } from "./revision.ts";

type Sections = Required<ResiliencePolicySpec>;
type Entry = Required<Sections["authorization"]>["allow"][number];

/** The order of clients and paths means nothing, nor does a repetition. */
export function lowerRateLimit({ overrides = [], ...limits }: Sections["rateLimit"]): RateLimitIntent {
  return {
    ...limits,
    overrides: overrides.map(({ serviceAccounts, requestsPerSecond }) => ({
      serviceAccounts: lowerAccounts(serviceAccounts),
      requestsPerSecond,
    })),
  };
}

export function lowerAuthorization({ allow, deny }: Sections["authorization"]): AuthorizationIntent {
  return { ...(allow && { allow: allow.map(lowerEntry) }), ...(deny && { deny: deny.map(lowerEntry) }) };
}

function lowerEntry({ from, to }: Entry): AccessIntent {
  return { ...(from && { from: lowerClients(from) }), ...(to && { to: lowerRequests(to) }) };
}

function lowerClients({ serviceAccounts = [], namespaces = [], cidrs = [] }: Required<Entry>["from"]): ClientIntent {
  return { serviceAccounts: lowerAccounts(serviceAccounts), namespaces: sorted(namespaces), cidrs: sorted(cidrs) };
}

function lowerAccounts(accounts: readonly ServiceAccountIntent[]): readonly ServiceAccountIntent[] {
  return distinct(accounts.map(({ namespace, name }) => ({ namespace, name })));
}

function lowerRequests({ paths = [], methods = [] }: Required<Entry>["to"]): RequestIntent {
  return { paths: distinct(paths.map((path) => lowerPath(path))), methods: sorted(methods) };
}

/** The Gateway API's default and its idea of sameness: a prefix with and without a slash at its end is one prefix. */
export function lowerPath<Type extends string>({ type, value }: { readonly type?: Type; readonly value: string }) {
  const isPrefix = (type ?? "PathPrefix") === "PathPrefix" && value.length > 1 && value.endsWith("/");
  return { type: type ?? ("PathPrefix" as const), value: isPrefix ? value.slice(0, -1) : value };
}

function sorted(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].sort(compareStrings);
}

function distinct<T extends object>(items: readonly T[]): readonly T[] {
  const byText = new Map(items.map((item) => [canonicalJson(item), item]));
  return [...byText].sort(([a], [b]) => compareStrings(a, b)).map(([, item]) => item);
}
