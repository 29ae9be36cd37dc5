import type { RateLimitIntent } from "../../intent/intent.ts";
import type { StringMap } from "../../kubernetes.ts";
import type { Workload } from "./workload.ts";

/** The part of an EnvoyFilter that Fairlead writes. */
export interface EnvoyFilterSpec {
  readonly workloadSelector: { readonly labels: StringMap };
  readonly configPatches: readonly ConfigPatch[];
}

export interface ConfigPatch {
  readonly applyTo: "HTTP_FILTER";
  readonly match: {
    readonly context: "SIDECAR_INBOUND";
    readonly listener: { readonly portNumber: number; readonly filterChain: object };
  };
  readonly patch: { readonly operation: "INSERT_BEFORE"; readonly value: LocalRateLimitFilter };
}

/** Filter of Envoy (`envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit`). */
export interface LocalRateLimitFilter {
  readonly name: string;
  readonly typed_config: {
    readonly "@type": string;
    readonly stat_prefix: string;
    readonly token_bucket: {
      readonly max_tokens: number;
      readonly tokens_per_fill: number;
      readonly fill_interval: string;
    };
    readonly filter_enabled: FractionalPercent;
    readonly filter_enforced: FractionalPercent;
  };
}

interface FractionalPercent {
  readonly default_value: { readonly numerator: number; readonly denominator: "HUNDRED" };
}

const FILTER_NAME = "envoy.filters.http.local_ratelimit";
/** Where in a proxy requests end up after every other filter, so that what is refused by others is not counted. */
const ROUTER = {
  filter: {
    name: "envoy.filters.network.http_connection_manager",
    subFilter: { name: "envoy.filters.http.router" },
  },
} as const;
/** Both are 0 where nothing is said, and then the filter counts and refuses nothing. */
const ALWAYS: FractionalPercent = { default_value: { numerator: 100, denominator: "HUNDRED" } };

/** One filter for each port, each with a bucket of its own, as each listener of Envoy has. */
export function envoyFilterSpec(
  { requestsPerSecond }: RateLimitIntent,
  { labels, httpPorts }: Workload,
): EnvoyFilterSpec {
  const value: LocalRateLimitFilter = {
    name: FILTER_NAME,
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
      stat_prefix: "fairlead_rate_limit",
      token_bucket: { max_tokens: requestsPerSecond, tokens_per_fill: requestsPerSecond, fill_interval: "1s" },
      filter_enabled: ALWAYS,
      filter_enforced: ALWAYS,
    },
  };
  return {
    workloadSelector: { labels },
    configPatches: httpPorts.map((portNumber) => ({
      applyTo: "HTTP_FILTER",
      match: { context: "SIDECAR_INBOUND", listener: { portNumber, filterChain: ROUTER } },
      patch: { operation: "INSERT_BEFORE", value },
    })),
  };
}
