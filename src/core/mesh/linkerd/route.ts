import { parseDuration } from "./duration.ts";
import type { Timeouts } from "./reading.ts";
import { type LinkerdVersion, supports } from "./version.ts";

/** One rule of an HTTPRoute; a GRPCRoute has no timeouts field. */
export interface RouteRule {
  readonly apiGroup: "gateway.networking.k8s.io" | "policy.linkerd.io";
  /** `rules[].timeouts.request` as written. */
  readonly request?: string | undefined;
}

/** The timeouts of the annotations, as `readAnnotations` gives them. */
export interface AnnotatedTimeouts {
  readonly route?: Timeouts | undefined;
  readonly service?: Timeouts | undefined;
}

export interface TimeoutsInForce {
  readonly timeouts: Timeouts;
  /** Where they come from: all from one side, never a mixture of route and Service. */
  readonly from: "route" | "service" | "none";
}

const GO_DURATION = /^(?:\+?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[a-z\u00b5\u03bc]+)*0?$/;
const NS_PER_MS = 1_000_000;
const NS_PER_GO_UNIT: ReadonlyMap<string, number> = new Map([
  ["ns", 1],
  ["us", 1000],
  ["\u00b5s", 1000],
  ["\u03bcs", 1000],
  ["ms", NS_PER_MS],
  ["s", 1000 * NS_PER_MS],
  ["m", 60_000 * NS_PER_MS],
  ["h", 3_600_000 * NS_PER_MS],
]);

/**
 * The timeouts of one route rule: its annotations, else for `request` its field (`convert_linkerd_rule`,
 * `convert_gateway_rule`); and if that leaves nothing, all of the parent Service's (`convert_outbound_route` of
 * grpc/src/outbound). Retry settings are simpler: the route's if it has any, else the Service's.
 */
export function routeTimeoutsInForce(
  rule: RouteRule,
  annotated: AnnotatedTimeouts,
  version: LinkerdVersion,
): TimeoutsInForce {
  const requestMs = annotated.route?.requestMs ?? routeFieldRequestMs(rule, version);
  if (requestMs !== undefined) return { timeouts: { ...annotated.route, requestMs }, from: "route" };
  if (annotated.route !== undefined) return { timeouts: annotated.route, from: "route" };
  return annotated.service === undefined
    ? { timeouts: {}, from: "none" }
    : { timeouts: annotated.service, from: "service" };
}

/**
 * What `rules[].timeouts.request` comes to, in milliseconds; undefined where it has no effect: absent, zero, not
 * readable, or a gateway route before 2.20. The two API groups have different grammars: the gateway one is read like
 * an annotation, so that `1m30s` has no effect, the Linkerd one like Go's time.ParseDuration.
 */
export function routeFieldRequestMs(rule: RouteRule, version: LinkerdVersion): number | undefined {
  if (rule.request === undefined) return undefined;
  if (rule.apiGroup === "policy.linkerd.io") return parseGoDuration(rule.request) || undefined;
  if (!supports(version, "gatewayRouteTimeouts")) return undefined;
  const parsed = parseDuration(rule.request);
  return parsed.ok && parsed.value !== 0 ? parsed.value : undefined;
}

/**
 * `K8sDuration::from_str` of linkerd2 policy-controller/k8s/api, in milliseconds with fractions: decimals with units
 * down to ns, added up. A leading sign is dropped (`Duration::from` ignores `is_negative`; the webhook refuses it).
 */
function parseGoDuration(text: string): number | undefined {
  const unsigned = text.replace(/^\++/, "").replace(/^-+/, "");
  if (!GO_DURATION.test(unsigned)) return undefined;
  // A unitless "0" at the end resets the sum there: `1h0` is zero.
  if (unsigned === "" || /(?:^|[a-z\u00b5\u03bc])0$/.test(unsigned)) return 0;
  let total = 0;
  for (const [, number, unit = ""] of unsigned.matchAll(/([0-9.]+)([a-z\u00b5\u03bc]+)/g)) {
    total += Math.round(Number(number) * (NS_PER_GO_UNIT.get(unit) ?? Number.NaN));
  }
  return Number.isNaN(total) ? undefined : total / NS_PER_MS;
}
