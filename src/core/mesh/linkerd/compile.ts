import { type Finding, finding } from "../../finding.ts";
import type {
  CircuitBreakerIntent,
  Intent,
  RetryIntent,
  RouteIntent,
  RouteMatchIntent,
  Section,
  TimeoutIntent,
  TrafficSplitIntent,
} from "../../intent/intent.ts";
import { splitIsDistinct } from "../../intent/route-checks.ts";
import { isRetried, isUnretried, leavesService, timeoutOnRoute } from "../../intent/routes.ts";
import { GATEWAY_HTTP_ROUTE, type TargetKind } from "../../names.ts";
import { quote, withArticle } from "../../text.ts";
import type { CompiledSettings, SettingsGroup } from "../mesh.ts";
import { BREAKER_KEYS, RETRY_KEYS, TIMEOUT_KEYS } from "./annotations.ts";
import { inboundDifferences } from "./inbound.ts";
import { type LinkerdVersion, supports } from "./version.ts";

/** Neutral intent to the annotations that Linkerd reads from this kind of target (docs/linkerd.md, Annotations). */
export function compileForLinkerd(intent: Intent, kind: TargetKind, version: LinkerdVersion): CompiledSettings {
  const groups: SettingsGroup[] = [];
  const findings: Finding[] = [];
  const { circuitBreaker, retry, timeout, routes, trafficSplit, faultInjection } = intent;
  if (circuitBreaker !== undefined && kind.kind === "Service") {
    groups.push(group("accrual", "circuitBreaker", breakerAnnotations(circuitBreaker)));
    findings.push(...breakerDifferences(circuitBreaker));
  }
  const annotated = supports(version, "retryAndTimeoutAnnotations");
  if (retry !== undefined) {
    const problems = annotated ? retryDifferences(intent, kind, "spec") : [tooOld("retry", version)];
    findings.push(...problems);
    if (!problems.some((item) => item.severity === "deny")) groups.push(retryGroup(retry, kind));
  }
  if (timeout !== undefined) {
    if (annotated) groups.push(group("timeouts", "timeout", timeoutAnnotations(timeout)));
    else findings.push(tooOld("timeout", version));
  }
  if (routes !== undefined && kind.kind === "Service") findings.push(...routeDifferences(intent, version));
  findings.push(...(routes ?? []).flatMap(({ matches }, at) => exactRoots(matches, `spec.routes[${at}].matches`)));
  findings.push(...exactRoots(trafficSplit?.matches ?? [], "spec.trafficSplit.matches"));
  if (trafficSplit !== undefined) findings.push(...splitDifferences(trafficSplit, intent), ...splitIsDistinct(intent));
  if (faultInjection !== undefined) findings.push(noFaults());
  findings.push(...inboundDifferences(intent, version));
  return { groups, findings };
}

function group(name: string, section: Section, annotations: Readonly<Record<string, string>>): SettingsGroup {
  return { name, section, annotations, neverReplaces: false };
}

/** Both penalties and the jitter are always written: a default partner could turn a lone one invalid (docs/linkerd.md, What is dropped). */
function breakerAnnotations(breaker: CircuitBreakerIntent): Readonly<Record<string, string>> {
  if (!breaker.enabled) return {};
  return {
    [BREAKER_KEYS.mode]: "consecutive",
    [BREAKER_KEYS.maxFailures]: String(breaker.consecutiveFailures),
    [BREAKER_KEYS.minPenalty]: milliseconds(breaker.minPenaltyMs),
    [BREAKER_KEYS.maxPenalty]: milliseconds(breaker.maxPenaltyMs),
    [BREAKER_KEYS.jitterRatio]: String(breaker.jitterPercent / 100),
  };
}

function breakerDifferences(breaker: CircuitBreakerIntent): readonly Finding[] {
  if (!breaker.enabled || breaker.maxEjectionPercent === undefined) return [];
  return [
    finding("FL311", "spec.circuitBreaker.maxEjectionPercent", {
      message: `Found ${breaker.maxEjectionPercent}; Linkerd has no such limit, its breaker may shut every endpoint`,
      fix: "remove it where the mesh is Linkerd",
    }),
  ];
}

function retryGroup(retry: RetryIntent, kind: TargetKind): SettingsGroup {
  if (retry.maxAttempts === 0) return { ...group("retry", "retry", {}), neverReplaces: true };
  const http = readsStatusCodes(kind) && retry.statusCodes.length > 0;
  const grpc = readsGrpcCodes(kind) && retry.grpcCodes.length > 0;
  return group("retry", "retry", {
    ...(http && { [RETRY_KEYS.http]: retry.statusCodes.join(",") }),
    ...(grpc && { [RETRY_KEYS.grpc]: retry.grpcCodes.join(",") }),
    [RETRY_KEYS.limit]: String(retry.maxAttempts),
    ...(retry.timeoutMs !== undefined && { [RETRY_KEYS.timeout]: milliseconds(retry.timeoutMs) }),
  });
}

function readsStatusCodes(kind: TargetKind): boolean {
  return kind.kind !== "GRPCRoute";
}

function readsGrpcCodes(kind: TargetKind): boolean {
  return kind.kind !== "HTTPRoute";
}

/** `at`: the section of the policy in which retry stands. */
function retryDifferences({ retry, timeout }: Intent, kind: TargetKind, at: string): readonly Finding[] {
  if (retry === undefined) return [];
  if (retry.maxAttempts === 0) return kind.kind === "Service" ? [] : [routeCannotSwitchRetryOff(kind)];
  const findings: Finding[] = [];
  const unread = kind.kind === "HTTPRoute" ? retry.grpcCodes : kind.kind === "GRPCRoute" ? retry.statusCodes : [];
  if (unread.length > 0) findings.push(unreadCodes(retry, kind, at));
  if (retry.timeoutMs !== undefined) {
    findings.push(
      finding("FL311", `${at}.retry.timeout`, {
        message: "Linkerd's per-try timeout ends with the response headers and is lifted on the last try",
        fix:
          timeout?.requestMs === undefined
            ? "set spec.timeout.request to bound the request as a whole"
            : "nothing to do: spec.timeout.request bounds the request as a whole",
      }),
    );
  }
  return findings;
}

function unreadCodes(retry: RetryIntent, kind: TargetKind, at: string): Finding {
  const isHttp = kind.kind === "HTTPRoute";
  const field = isHttp ? "grpcCodes" : "statusCodes";
  const other = isHttp ? "statusCodes" : "grpcCodes";
  const nothingLeft = (isHttp ? retry.statusCodes : retry.grpcCodes).length === 0;
  return finding(nothingLeft ? "FL312" : "FL311", `${at}.retry.${field}`, {
    message: `Linkerd does not read ${field} from ${withArticle(kind.kind)}${nothingLeft ? ", so nothing would be retried" : ""}`,
    fix: `${nothingLeft ? `list ${other}` : `remove ${field}`}${at === "spec" ? ", or target the Service" : ""}`,
  });
}

function routeCannotSwitchRetryOff(kind: TargetKind): Finding {
  return finding("FL311", "spec.retry.maxAttempts", {
    message: `Found 0 on ${withArticle(kind.kind)}; Linkerd has no off value on a route, retries of its Service still apply`,
    fix: "remove retry from the Service's policy and list it on the other routes",
  });
}

/** What Linkerd makes of the entries of `spec.routes`, which it gets as HTTPRoutes. */
function routeDifferences({ routes = [], retry, timeout }: Intent, version: LinkerdVersion): readonly Finding[] {
  const annotated = supports(version, "retryAndTimeoutAnnotations");
  const ofEntries = routes.flatMap((entry, index) => {
    const at = `spec.routes[${index}]`;
    if (!annotated) return SECTIONS_OF_ENTRY.filter((section) => entry[section]).map((it) => tooOld(it, version, at));
    const inForce = { ...entry, timeout: timeoutOnRoute(entry.timeout, timeout) ?? {} };
    return isRetried(entry.retry) ? retryDifferences(inForce, GATEWAY_HTTP_ROUTE, at) : [];
  });
  const isMoved = annotated && retry !== undefined && leavesService(retry, routes) && retry.grpcCodes.length > 0;
  return isMoved ? [...ofEntries, movedGrpcCodes(retry, routes)] : ofEntries;
}

/** Linkerd counts how much of the path a match takes: the whole path `/` is as much as the prefix of the rest takes. */
function exactRoots(matches: readonly RouteMatchIntent[], at: string): readonly Finding[] {
  return matches.flatMap(({ path, method, headers }, index) => {
    const isRoot = path.type === "Exact" && path.value === "/" && method === undefined && headers.length === 0;
    return isRoot ? [rootIsTaken(`${at}[${index}].path`)] : [];
  });
}

function rootIsTaken(path: string): Finding {
  return finding("FL310", path, {
    message:
      'For Linkerd the exact path "/" is no more specific than the route that takes the rest, which is older and goes first',
    fix: "add a method or a header, or set at the top of the policy what the rest is to have",
  });
}

const SECTIONS_OF_ENTRY = ["retry", "timeout"] as const;

function movedGrpcCodes(retry: RetryIntent, routes: readonly RouteIntent[]): Finding {
  const { name = "" } = routes.find(isUnretried) ?? {};
  const nothingLeft = retry.statusCodes.length === 0;
  return finding(nothingLeft ? "FL312" : "FL311", "spec.retry.grpcCodes", {
    message: `Because ${quote(name)} asks for no retry, spec.retry stands on HTTPRoutes, from which Linkerd reads no grpcCodes`,
    fix: nothingLeft ? "list statusCodes, or give the entry a retry" : "remove grpcCodes, or give the entry a retry",
  });
}

/** docs/linkerd.md, HTTPRoutes: weights count among the backends that are available, and the breaker is the parent's. */
function splitDifferences({ backends }: TrafficSplitIntent, { circuitBreaker }: Intent): readonly Finding[] {
  return [
    ...(backends.filter(({ weight }) => weight > 0).length > 1
      ? [
          finding("FL311", "spec.trafficSplit.backends", {
            message: "Linkerd passes over a backend without a ready endpoint: its share goes to the others",
            fix: "nothing to do, unless the shares have to hold whatever happens",
          }),
        ]
      : []),
    ...(circuitBreaker === undefined
      ? [
          finding("FL311", "spec.trafficSplit", {
            message:
              "On Linkerd the circuit breakers of the backends do not act on these requests: the one of the target does",
            fix: "set circuitBreaker for the target",
          }),
        ]
      : []),
  ];
}

/** Its proxy has a filter for it, which no object of Linkerd's reaches (docs/linkerd.md). */
function noFaults(): Finding {
  return finding("FL310", "spec.faultInjection", {
    message: "Linkerd has no fault injection",
    fix: "remove it; an HTTPRoute of your own that sends a share of the requests to a Service that fails does the same",
  });
}

function timeoutAnnotations(timeout: TimeoutIntent): Readonly<Record<string, string>> {
  return {
    ...(timeout.requestMs !== undefined && { [TIMEOUT_KEYS.request]: milliseconds(timeout.requestMs) }),
    ...(timeout.responseMs !== undefined && { [TIMEOUT_KEYS.response]: milliseconds(timeout.responseMs) }),
    ...(timeout.idleMs !== undefined && { [TIMEOUT_KEYS.idle]: milliseconds(timeout.idleMs) }),
  };
}

/** Linkerd reads one integer with one unit; milliseconds fit every value exactly (docs/linkerd.md, Value grammars). */
function milliseconds(ms: number): string {
  return `${ms}ms`;
}

function tooOld(section: "retry" | "timeout", version: LinkerdVersion, at = "spec"): Finding {
  const instead = section === "retry" ? "a ServiceProfile" : "an HTTPRoute of policy.linkerd.io with timeouts";
  return finding("FL310", `${at}.${section}`, {
    message: `Linkerd ${version.text} reads no ${section} annotations; they came with 2.16 (edge-24.7.5)`,
    fix: `upgrade Linkerd, or remove the section and use ${instead}`,
  });
}
