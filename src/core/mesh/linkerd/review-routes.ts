import { annotationPath, type Finding, finding } from "../../finding.ts";
import { annotationsOf, type ParentReference, recordsIn, type Route, type StringMap } from "../../kubernetes.ts";
import { GATEWAY_GROUP, LINKERD_POLICY_GROUP } from "../../names.ts";
import { list, quote } from "../../text.ts";
import type { TargetContext } from "../mesh.ts";
import { RETRY_KEYS, TIMEOUT_KEYS } from "./annotations.ts";
import { parseDuration } from "./duration.ts";
import { serviceParents } from "./eligibility.ts";
import { isResilienceKey } from "./keys.ts";
import { readAnnotations } from "./read.ts";
import type { Reading, Timeouts } from "./reading.ts";
import { routeFieldRequestMs } from "./route.ts";
import { supports } from "./version.ts";

/** Linkerd parses the annotations of a route only for a Service or EgressNetwork as parent. */
export function hasMeshParent(route: Route): boolean {
  const isEgress = (parent: ParentReference): boolean =>
    parent.kind === "EgressNetwork" && parent.group === LINKERD_POLICY_GROUP;
  return serviceParents(route).length > 0 || recordsIn(route.spec?.parentRefs).some(isEgress);
}

export function unreadRoute(annotations: StringMap): readonly Finding[] {
  const keys = Object.keys(annotations).filter(isResilienceKey).sort();
  return [
    finding("FL306", annotationPath(keys[0] ?? ""), {
      message: `Linkerd does not read ${keys.length === 1 ? "it" : `the ${keys.length} annotations for it`} here: no parentRef names a Service`,
      fix: 'add a parentRef with kind: Service and group: "", or remove the annotations',
    }),
  ];
}

/** Fields of an HTTPRoute that look like timeouts and retries and that Linkerd ignores (docs/linkerd.md, Service and route). */
export function ignoredRouteFields(target: TargetContext): readonly Finding[] {
  const route = target.object as Route;
  if (target.kind.kind !== "HTTPRoute" || !hasMeshParent(route)) return [];
  return recordsIn(route.spec?.rules).flatMap((rule, index) => {
    const path = `spec.rules[${index}]`;
    return [
      ...ignoredRequestTimeout(rule.timeouts?.request, path, target),
      ...(rule.timeouts?.backendRequest === undefined || supports(target.version.linkerd, "routeBackendRequestTimeout")
        ? []
        : [
            ignored(
              `${path}.timeouts.backendRequest`,
              "Linkerd ignores it",
              `use the annotation ${RETRY_KEYS.timeout}`,
            ),
          ]),
      ...(rule.retry === undefined
        ? []
        : [
            ignored(
              `${path}.retry`,
              "Linkerd ignores it",
              `use the annotations ${RETRY_KEYS.http} and ${RETRY_KEYS.limit}`,
            ),
          ]),
    ];
  });
}

function ignoredRequestTimeout(text: string | undefined, path: string, target: TargetContext): readonly Finding[] {
  if (typeof text !== "string" || target.kind.group !== GATEWAY_GROUP) return [];
  const fix = `use the annotation ${TIMEOUT_KEYS.request}`;
  if (!supports(target.version.linkerd, "gatewayRouteTimeouts")) {
    return [
      ignored(
        `${path}.timeouts.request`,
        `Linkerd ${target.version.linkerd.text} ignores it; it is read from edge-25.11.3 (2.20) on`,
        fix,
      ),
    ];
  }
  if (parseDuration(text).ok) return [];
  return [
    ignored(
      `${path}.timeouts.request`,
      `Found ${quote(text)}; Linkerd reads one number with one unit and ignores the rest`,
      fix,
    ),
  ];
}

function ignored(path: string, message: string, fix: string): Finding {
  return finding("FL421", path, { message, fix });
}

/** Settings of the parent Services that no longer act on this route, since Linkerd does not merge (docs/linkerd.md, Service and route). */
export function switchedOff(target: TargetContext, reading: Reading): readonly Finding[] {
  const timeouts = routeTimeouts(target, reading);
  if (timeouts === undefined && reading.httpRetry === undefined && reading.grpcRetry === undefined) return [];
  return serviceParents(target.object as Route).flatMap((parent) => {
    const namespace = parent.namespace ?? target.key.namespace;
    const service = target.world.target({ group: "", kind: "Service", namespace, name: parent.name });
    if (service === undefined) return [];
    const ofService = readAnnotations(annotationsOf(service), "Service", target.version.linkerd);
    const lost = [...lostTimeouts(timeouts, ofService.timeouts), ...lostPerTry(reading, ofService)];
    if (lost.length === 0) return [];
    const message = `The settings of this route switch ${list(lost)} of Service ${parent.name} off here`;
    return [finding("FL313", "", { message, fix: "set them on the route too, where they are wanted" })];
  });
}

/** The timeouts of the annotations and, where some rule has one that Linkerd honours, `timeouts.request` of the route. */
function routeTimeouts({ kind, object, version }: TargetContext, { timeouts }: Reading): Timeouts | undefined {
  const { linkerd } = version;
  if (kind.kind !== "HTTPRoute" || timeouts?.requestMs !== undefined) return timeouts;
  const requests = recordsIn((object as Route).spec?.rules).map((rule) => {
    const request: unknown = rule.timeouts?.request;
    return typeof request === "string" ? routeFieldRequestMs({ apiGroup: kind.group, request }, linkerd) : undefined;
  });
  const requestMs = requests.find((ms) => ms !== undefined);
  return requestMs === undefined ? timeouts : { ...timeouts, requestMs };
}

function lostTimeouts(ofRoute: Timeouts | undefined, ofService: Timeouts | undefined): readonly string[] {
  if (ofRoute === undefined || ofService === undefined) return [];
  const names = [
    ["requestMs", TIMEOUT_KEYS.request],
    ["responseMs", TIMEOUT_KEYS.response],
    ["idleMs", TIMEOUT_KEYS.idle],
  ] as const;
  return names.filter(([name]) => ofService[name] !== undefined && ofRoute[name] === undefined).map(([, key]) => key);
}

function lostPerTry(ofRoute: Reading, ofService: Reading): readonly string[] {
  const route = ofRoute.httpRetry ?? ofRoute.grpcRetry;
  const service = ofService.httpRetry ?? ofService.grpcRetry;
  return route !== undefined && route.timeoutMs === undefined && service?.timeoutMs !== undefined
    ? [RETRY_KEYS.timeout]
    : [];
}
