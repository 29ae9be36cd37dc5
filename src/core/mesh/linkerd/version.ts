/** A Linkerd version, reduced to what decides how annotations are read. */
export interface LinkerdVersion {
  /** As it was written: `2.18`, `enterprise-2.17.1`, `edge-24.8.2`. */
  readonly text: string;
  /** The 18 of 2.18. An edge release counts as the newest minor that contains no later commit than it. */
  readonly minor: number;
  /** Year, month and number of an edge release. Absent for 2.x versions. */
  readonly edge?: EdgeRelease;
}

type EdgeRelease = readonly [year: number, month: number, number: number];

/** A moment in Linkerd's history, in both of its numberings. */
interface Milestone {
  readonly edge: EdgeRelease;
  readonly minor: number;
}

/** A behaviour that came with one release and, where `until` is set, went with another. */
interface FeatureSpan {
  readonly since: Milestone;
  readonly until?: Milestone;
}

const OLDEST_MINOR = 14;
const NEWEST_MINOR = 20;

/** Used when nothing tells the version; an unknown newer version is read like it. */
export const NEWEST_LINKERD = "2.20";

/** The edge release that each minor's tag points to (`git describe version-2.N`; stable-2.14.0 for 2.14). */
const FIRST_EDGE_OF_MINOR: readonly Milestone[] = [
  { minor: 14, edge: [23, 8, 3] },
  { minor: 15, edge: [24, 2, 4] },
  { minor: 16, edge: [24, 8, 2] },
  { minor: 17, edge: [24, 11, 8] },
  { minor: 18, edge: [25, 4, 4] },
  { minor: 19, edge: [25, 10, 7] },
  { minor: 20, edge: [26, 6, 3] },
];

/** linkerd2#12888: retry.linkerd.io and timeout.linkerd.io, Service, HTTPRoute and GRPCRoute. */
const RETRIES_AND_TIMEOUTS: Milestone = { edge: [24, 7, 5], minor: 16 };

/** `accessPolicy` of Server, in its v1beta3. The edge release of the minor, which has it for sure. */
const ACCESS_POLICY: Milestone = { edge: [24, 8, 2], minor: 16 };

/** linkerd2#15374: mode unified, load biasing, trimmed numbers; the route webhook stops parsing accrual. */
const UNIFIED_ACCRUAL: Milestone = { edge: [26, 6, 2], minor: 20 };

/** What differs between the versions we know, found by comparing linkerd2's tags. */
export const LINKERD_FEATURES = {
  /** `balancer.linkerd.io/failure-accrual: consecutive` and its four parameters: older than all we read. */
  consecutiveAccrual: { since: { edge: [23, 4, 1], minor: OLDEST_MINOR } },
  retryAndTimeoutAnnotations: { since: RETRIES_AND_TIMEOUTS },
  /** The policy webhook parses accrual keys on routes, where they have no effect, and denies bad ones. */
  routeWebhookParsesAccrual: { since: RETRIES_AND_TIMEOUTS, until: UNIFIED_ACCRUAL },
  /** `policy.linkerd.io` HTTPRoute `rules[].timeouts.backendRequest` does something. */
  routeBackendRequestTimeout: { since: { edge: [23, 6, 1], minor: OLDEST_MINOR }, until: RETRIES_AND_TIMEOUTS },
  /** A Server says by itself whom it lets in; without that it lets in only whom an AuthorizationPolicy names. */
  serverAccessPolicy: { since: ACCESS_POLICY },
  /** HTTPLocalRateLimitPolicy. */
  localRateLimit: { since: { edge: [24, 11, 2], minor: 17 } },
  /** A Service port's appProtocol decides over opaque-ports (linkerd2#13721). */
  appProtocol: { since: { edge: [25, 3, 1], minor: 18 } },
  /** `gateway.networking.k8s.io` HTTPRoute `rules[].timeouts.request` is honoured (linkerd2#14750). */
  gatewayRouteTimeouts: { since: { edge: [25, 11, 3], minor: 20 } },
  /** Mode `unified` and the `balancer.alpha.linkerd.io` keys. */
  unifiedAccrual: { since: UNIFIED_ACCRUAL },
  /** White space around the numbers of the accrual keys is trimmed; `retry.linkerd.io/limit` never is. */
  trimmedNumbers: { since: UNIFIED_ACCRUAL },
} as const satisfies Record<string, FeatureSpan>;

export type LinkerdFeature = keyof typeof LINKERD_FEATURES;

const MINOR_VERSION =
  /^(?:(?:stable|version|enterprise|preview)-|v)?([0-9]{1,4})\.([0-9]{1,4})(?:\.[0-9]{1,4})?(?:[-+][0-9A-Za-z.+-]{1,64})?$/;
const EDGE_VERSION = /^edge-([0-9]{2})\.([0-9]{1,2})\.([0-9]{1,3})(?:[-+][0-9A-Za-z.+-]{1,64})?$/;

/**
 * The version that `text` names: `2.16`, `2.16.3`, `v2.18`, `stable-2.14.10`, `version-2.17`, `enterprise-2.17.1` or
 * `edge-24.8.2`, also with a suffix as image tags have it. Undefined for other text and below 2.14. A version newer
 * than all we know counts as the newest.
 */
export function parseLinkerdVersion(text: string): LinkerdVersion | undefined {
  const edge = EDGE_VERSION.exec(text);
  if (edge !== null) return edgeVersion(text, [Number(edge[1]), Number(edge[2]), Number(edge[3])]);
  const numbered = MINOR_VERSION.exec(text);
  if (numbered === null) return undefined;
  const major = Number(numbered[1]);
  const minor = major > 2 ? NEWEST_MINOR : Math.min(Number(numbered[2]), NEWEST_MINOR);
  return major < 2 || minor < OLDEST_MINOR ? undefined : { text, minor };
}

function edgeVersion(text: string, edge: EdgeRelease): LinkerdVersion | undefined {
  const minor = FIRST_EDGE_OF_MINOR.findLast((milestone) => compareEdges(edge, milestone.edge) >= 0)?.minor;
  return minor === undefined ? undefined : { text, minor, edge };
}

/** Whether this version has the feature. Edge releases are judged by their own number, not by the minor before them. */
export function supports(version: LinkerdVersion, feature: LinkerdFeature): boolean {
  const span: FeatureSpan = LINKERD_FEATURES[feature];
  return hasReached(version, span.since) && (span.until === undefined || !hasReached(version, span.until));
}

/** `2.16 (edge-24.7.5)`: the first release with the feature, for messages. */
export function featureSince(feature: LinkerdFeature): string {
  const { edge, minor } = LINKERD_FEATURES[feature].since;
  return `2.${minor} (edge-${edge.join(".")})`;
}

function hasReached(version: LinkerdVersion, milestone: Milestone): boolean {
  if (version.edge === undefined) return version.minor >= milestone.minor;
  return compareEdges(version.edge, milestone.edge) >= 0;
}

function compareEdges(left: EdgeRelease, right: EdgeRelease): number {
  return left[0] - right[0] || left[1] - right[1] || left[2] - right[2];
}
