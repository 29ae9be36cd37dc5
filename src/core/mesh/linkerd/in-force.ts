import type { CircuitBreakerIntent, Intent, RetryIntent, TimeoutIntent } from "../../intent/intent.ts";
import { leavesService } from "../../intent/routes.ts";
import { annotationsOf, type KubernetesObject, recordsIn, type Route } from "../../kubernetes.ts";
import { GATEWAY_GROUP, LINKERD_POLICY_GROUP, SERVICE_KIND } from "../../names.ts";
import type { InForce, TargetContext } from "../mesh.ts";
import { accessOnly } from "../pods.ts";
import { carriedBeside } from "./companions.ts";
import { linkerdEligibility, serviceParents, shadowingProfiles } from "./eligibility.ts";
import type { StatusRange } from "./lists.ts";
import { readAnnotations } from "./read.ts";
import type { Accrual, Reading } from "./reading.ts";
import { routeTimeoutsInForce } from "./route.ts";

const NOTHING: InForce = Object.freeze({ settings: Object.freeze({}), inherited: Object.freeze({}) });

/** Linkerd keeps retries, timeouts and breaker on the target; the other sections are objects of their own. */
export function inForce(target: TargetContext, wanted: Intent): InForce {
  const isActedOn = linkerdEligibility(target).eligible && shadowingProfiles(target).length === 0;
  if (target.kind !== SERVICE_KIND) return isActedOn ? onRoute(target) : NOTHING;
  if (isActedOn) return onService(target, wanted);
  return { settings: carriedBeside({ service: target, intent: accessOnly(wanted, target.object) }), inherited: {} };
}

function onService(service: TargetContext, wanted: Intent): InForce {
  const { object, version } = service;
  const reading = readAnnotations(annotationsOf(object), "Service", version.linkerd);
  const circuitBreaker = breakerOf(reading.accrual);
  const retry = retryOf(reading) ?? (leavesService(wanted.retry, wanted.routes) ? wanted.retry : undefined);
  return {
    settings: {
      ...(circuitBreaker !== undefined && { circuitBreaker }),
      ...(reading.timeouts !== undefined && { timeout: reading.timeouts }),
      ...(retry !== undefined && { retry }),
      ...(wanted.routes !== undefined && { routes: wanted.routes }),
      ...(wanted.trafficSplit !== undefined && { trafficSplit: wanted.trafficSplit }),
      ...carriedBeside({ service, intent: wanted }),
    },
    inherited: {},
  };
}

/** A breaker that counts failures in a row up to 0 never opens. */
function breakerOf(accrual: Accrual | undefined): CircuitBreakerIntent | undefined {
  if (accrual === undefined || (accrual.mode === "consecutive" && accrual.maxFailures === 0)) return undefined;
  return {
    enabled: true,
    consecutiveFailures: accrual.maxFailures,
    minPenaltyMs: accrual.minPenaltyMs,
    maxPenaltyMs: accrual.maxPenaltyMs,
    jitterPercent: Math.round(accrual.jitterRatio * 100),
  };
}

function retryOf({ httpRetry, grpcRetry }: Reading): RetryIntent | undefined {
  const shared = httpRetry ?? grpcRetry;
  if (shared === undefined) return undefined;
  return {
    maxAttempts: shared.limit,
    statusCodes: (httpRetry?.statusRanges ?? []).map(rangeText),
    grpcCodes: grpcRetry?.codes ?? [],
    ...(shared.timeoutMs !== undefined && { timeoutMs: shared.timeoutMs }),
  };
}

function rangeText([from, to]: StatusRange): string {
  return from === to ? `${from}` : `${from}-${to}`;
}

/** What holds for one rule of a route beneath one of its Services. */
interface RuleInForce {
  readonly timeout: TimeoutIntent;
  readonly retry: RetryIntent | undefined;
  readonly timeoutFrom: KubernetesObject | undefined;
  readonly retryFrom: KubernetesObject | undefined;
}

/**
 * A route takes a whole family from its Service or none of it. Its rules and parents may differ: of timeouts the longest
 * is told, and none where one of them has none; of retries the most. So a limit that holds here holds everywhere.
 */
function onRoute(target: TargetContext): InForce {
  const reading = readAnnotations(annotationsOf(target.object), target.kind.kind, target.version.linkerd);
  // With one bad value Linkerd drops the route itself.
  if (reading.problems.length > 0) return NOTHING;
  const all = serviceParents(target.object as Route).flatMap(({ namespace = target.key.namespace, name }) =>
    beneath(target, reading, target.world.target({ ...SERVICE_KIND, namespace, name })),
  );
  const timeout = longest(all.map((one) => one.timeout));
  const mostRetried = all.reduce<RuleInForce | undefined>(
    (most, one) => (retries(one) > retries(most) ? one : most),
    undefined,
  );
  const retry = mostRetried?.retry;
  const [first] = all;
  return {
    settings: { ...(timeout !== undefined && { timeout }), ...(retry !== undefined && { retry }) },
    inherited: {
      ...(first?.timeoutFrom !== undefined && { timeout: first.timeoutFrom }),
      ...(mostRetried?.retryFrom !== undefined && { retry: mostRetried.retryFrom }),
    },
  };
}

function beneath(
  target: TargetContext,
  reading: Reading,
  service: KubernetesObject | undefined,
): readonly RuleInForce[] {
  const { kind, version } = target;
  const ofService = service && readAnnotations(annotationsOf(service), "Service", version.linkerd);
  const own = retryOf(reading);
  const inherited = ofService && retryOf(ofKind(kind.kind, ofService));
  return ruleRequests(target).map((request) => {
    const rule = { apiGroup: kind.group === LINKERD_POLICY_GROUP ? kind.group : GATEWAY_GROUP, request } as const;
    const annotated = { route: reading.timeouts, service: ofService?.timeouts };
    const { timeouts, from } = routeTimeoutsInForce(rule, annotated, version.linkerd);
    return {
      timeout: timeouts,
      retry: own ?? inherited,
      timeoutFrom: from === "service" ? service : undefined,
      retryFrom: own === undefined ? service : undefined,
    };
  });
}

/** A GRPCRoute retries by gRPC codes only, an HTTPRoute by status codes only. */
function ofKind(kind: string, { httpRetry, grpcRetry, ...reading }: Reading): Reading {
  if (kind === "GRPCRoute") return { ...reading, ...(grpcRetry !== undefined && { grpcRetry }) };
  return { ...reading, ...(httpRetry !== undefined && { httpRetry }) };
}

/** `timeouts.request` of each rule; a route without rules is one rule for everything. */
function ruleRequests({ kind, object }: TargetContext): readonly (string | undefined)[] {
  const rules = recordsIn((object as Route).spec?.rules);
  if (rules.length === 0 || kind.kind === "GRPCRoute") return [undefined];
  return rules.map((rule) => {
    const request: unknown = rule.timeouts?.request;
    return typeof request === "string" ? request : undefined;
  });
}

function retries(one: RuleInForce | undefined): number {
  return one?.retry?.maxAttempts ?? 0;
}

const TIMEOUTS = ["requestMs", "responseMs", "idleMs"] as const;

function longest(timeouts: readonly TimeoutIntent[]): TimeoutIntent | undefined {
  const members = TIMEOUTS.flatMap((name) => {
    const values = timeouts.flatMap((timeout) => timeout[name] ?? []);
    return values.length > 0 && values.length === timeouts.length ? [[name, Math.max(...values)] as const] : [];
  });
  return members.length === 0 ? undefined : Object.fromEntries(members);
}
