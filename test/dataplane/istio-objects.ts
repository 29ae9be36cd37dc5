/** Objects of Istio as a person would write them, for what the tests of the proxies need. */

import { type ApiObject, hostOf, NAMESPACE } from "./objects.ts";

const VIRTUAL_SERVICE = { apiVersion: "networking.istio.io/v1", kind: "VirtualService" };
const ENVOY_FILTER = { apiVersion: "networking.istio.io/v1alpha3", kind: "EnvoyFilter" };
const PEER_AUTHENTICATION = { apiVersion: "security.istio.io/v1", kind: "PeerAuthentication" };
const AUTHORIZATION_POLICY = { apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy" };

export function virtualService(service: string, http: readonly object[]): ApiObject {
  return istioObject(VIRTUAL_SERVICE, service, { hosts: [hostOf(service)], http });
}

export function strictMtls(service: string): ApiObject {
  return istioObject(PEER_AUTHENTICATION, service, { ...selecting(service), mtls: { mode: "STRICT" } });
}

export function authorization(
  service: string,
  spec: { action: "ALLOW" | "DENY"; rules: readonly object[] },
): ApiObject {
  return istioObject(AUTHORIZATION_POLICY, service, { ...selecting(service), ...spec });
}

/** So many requests in a minute at each proxy of the workload, and 429 from then on. */
export function localRateLimit(service: string, perMinute: number): ApiObject {
  const always = { default_value: { numerator: 100, denominator: "HUNDRED" } };
  const value = {
    name: "envoy.filters.http.local_ratelimit",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
      stat_prefix: "local_rate_limit",
      token_bucket: { max_tokens: perMinute, tokens_per_fill: perMinute, fill_interval: "60s" },
      filter_enabled: always,
      filter_enforced: always,
    },
  };
  const filter = {
    name: "envoy.filters.network.http_connection_manager",
    subFilter: { name: "envoy.filters.http.router" },
  };
  const patch = {
    applyTo: "HTTP_FILTER",
    match: { context: "SIDECAR_INBOUND", listener: { filterChain: { filter } } },
    patch: { operation: "INSERT_BEFORE", value },
  };
  const spec = { workloadSelector: { labels: { app: service } }, configPatches: [patch] };
  return istioObject(ENVOY_FILTER, service, spec);
}

function selecting(service: string): object {
  return { selector: { matchLabels: { app: service } } };
}

function istioObject(
  type: { readonly apiVersion: string; readonly kind: string },
  name: string,
  spec: object,
): ApiObject {
  return { ...type, metadata: { name, namespace: NAMESPACE }, spec };
}
