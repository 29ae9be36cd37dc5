import { parseDurationMs } from "../../../api/v1alpha1/common.ts";
import { type Finding, finding } from "../../finding.ts";
import {
  BREAKER_DEFAULTS,
  type CircuitBreakerIntent,
  type FaultInjectionIntent,
  type Intent,
  type RetryIntent,
  SECTIONS,
  type TimeoutIntent,
  type TrafficSplitIntent,
} from "../../intent/intent.ts";
import { splitIsDistinct } from "../../intent/route-checks.ts";
import { SERVICE_KIND, type TargetKind } from "../../names.ts";
import { list, quote, showMs, withArticle } from "../../text.ts";
import type { CompiledSettings } from "../mesh.ts";
import { accessDifferences } from "./access-differences.ts";
import { unnamedCodes } from "./retries.ts";

/** Two endpoints are the least that anybody runs who wants to lose one. */
const ENDPOINTS_EXPECTED = 2;
/** Envoy lets the time of an ejection grow up to this, or to the first one where that is longer. */
const EJECTION_CAP_MS = 300_000;

/**
 * What Istio cannot do, and does differently. It reads no settings from annotations: what it is given stands in objects
 * beside the Service.
 */
export function compileForIstio(intent: Intent, kind: TargetKind): CompiledSettings {
  if (kind !== SERVICE_KIND) return { groups: [], findings: readsNoRoute(intent, kind) };
  const { circuitBreaker, retry, timeout, routes = [], trafficSplit, faultInjection } = intent;
  const findings = [
    ...(circuitBreaker?.enabled ? breakerDifferences(circuitBreaker) : []),
    ...requestDifferences({ retry, timeout }, "spec"),
    ...routes.flatMap((entry, index) => requestDifferences(entry, `spec.routes[${index}]`)),
    ...(retry === undefined &&
    (timeout !== undefined || trafficSplit !== undefined || routes.some((entry) => entry.retry === undefined))
      ? [retriesByItself(timeout !== undefined ? "timeout" : trafficSplit !== undefined ? "trafficSplit" : "routes")]
      : []),
    ...(trafficSplit === undefined ? [] : splitDifferences(trafficSplit, intent)),
    ...splitIsDistinct(intent),
    ...(faultInjection === undefined ? [] : faultDifferences(faultInjection, intent)),
    ...accessDifferences(intent),
  ];
  return { groups: [], findings };
}

function readsNoRoute(intent: Intent, kind: TargetKind): readonly Finding[] {
  return SECTIONS.filter((section) => intent[section] !== undefined).map((section) =>
    finding("FL310", `spec.${section}`, {
      message: `Istio reads no settings from ${withArticle(kind.kind)} but its own fields, which Fairlead leaves to people`,
      fix: "target the Service, and list what differs for these requests in spec.routes",
    }),
  );
}

function breakerDifferences(breaker: CircuitBreakerIntent): readonly Finding[] {
  const { minPenaltyMs, maxPenaltyMs, jitterPercent, maxEjectionPercent } = breaker;
  const capMs = Math.max(EJECTION_CAP_MS, minPenaltyMs);
  const isAsked = maxPenaltyMs !== parseDurationMs(BREAKER_DEFAULTS.maxPenalty) && maxPenaltyMs !== capMs;
  return [
    ...(isAsked ? [fixedCap(maxPenaltyMs, capMs)] : []),
    ...(jitterPercent !== BREAKER_DEFAULTS.jitterPercent && jitterPercent !== 0 ? [noJitter(jitterPercent)] : []),
    ...(maxEjectionPercent === undefined ? [] : ejectionTrap(maxEjectionPercent)),
  ];
}

function fixedCap(foundMs: number, capMs: number): Finding {
  return finding("FL311", "spec.circuitBreaker.maxPenalty", {
    message: `Found ${showMs(foundMs)}; Istio lengthens the penalty by minPenalty each time, up to ${showMs(capMs)}, which cannot be set`,
    fix: "remove it where the mesh is Istio",
  });
}

function noJitter(percent: number): Finding {
  return finding("FL311", "spec.circuitBreaker.jitterPercent", {
    message: `Found ${percent}; Istio's penalties have no jitter`,
    fix: "remove it where the mesh is Istio",
  });
}

function ejectionTrap(percent: number): readonly Finding[] {
  const path = "spec.circuitBreaker.maxEjectionPercent";
  if (percent === 0) {
    return [
      finding("FL310", path, {
        message: "Found 0; Istio reads it as absent, which is 10",
        fix: "set circuitBreaker.enabled: false to eject nothing, or write 1 to 100",
      }),
    ];
  }
  const endpoints = Math.ceil(100 / percent);
  if (endpoints <= ENDPOINTS_EXPECTED) return [];
  return [
    finding("FL311", path, {
      message: `Found ${percent}; Istio shuts no endpoint out while the Service has fewer than ${endpoints}`,
      fix: "raise it to 100 divided by the number of endpoints, rounded up",
    }),
  ];
}

interface Requests {
  readonly retry?: RetryIntent | undefined;
  readonly timeout?: TimeoutIntent | undefined;
}

/** `at`: the section of the policy in which both stand. */
function requestDifferences({ retry, timeout }: Requests, at: string): readonly Finding[] {
  const codes = retry !== undefined && retry.maxAttempts > 0 ? retry.statusCodes : [];
  return [
    ...codes.flatMap((code, index) => unnamed(code, `${at}.retry.statusCodes[${index}]`)),
    ...(timeout?.responseMs === undefined
      ? []
      : [
          noSuchTimeout(
            `${at}.timeout.response`,
            "of the answer of one try",
            "set retry.timeout, which bounds each try",
          ),
        ]),
    ...(timeout?.idleMs === undefined
      ? []
      : [noSuchTimeout(`${at}.timeout.idle`, "of silence within a request", "set timeout.request")]),
  ];
}

function unnamed(code: string, path: string): readonly Finding[] {
  const codes = unnamedCodes(code);
  const [first] = codes;
  if (codes.length === 0) return [];
  const found = codes.length > 2 ? `${codes.length} others, such as ${first}` : list(codes.map(String));
  return [
    finding("FL310", path, {
      message: `Found ${quote(code)}; Istio retries only codes that HTTP has a name for: not ${found}`,
      fix: "list the codes that are meant, or write 5xx",
    }),
  ];
}

/** A breaker belongs to the Service whose endpoints get the request; one entry of a VirtualService takes a request. */
function splitDifferences(
  { matches }: TrafficSplitIntent,
  { circuitBreaker, faultInjection }: Intent,
): readonly Finding[] {
  return [
    ...(circuitBreaker?.enabled
      ? [
          finding("FL311", "spec.trafficSplit", {
            message: "On Istio the circuit breaker of the target does not act on requests that go to other Services",
            fix: "give the other backends a policy with circuitBreaker, too",
          }),
        ]
      : []),
    ...(matches.length > 0 && faultInjection !== undefined && faultInjection.matches.length > 0
      ? [
          finding("FL310", "spec.trafficSplit.matches", {
            message: "Istio would not divide those of its requests that faultInjection.matches fits as well",
            fix: "remove matches of one of the two",
          }),
        ]
      : []),
  ];
}

/** Envoy makes faults before it routes: its retries and timeouts come after that. */
function faultDifferences({ matches }: FaultInjectionIntent, { retry, timeout, routes }: Intent): readonly Finding[] {
  const others = Object.entries({ retry, timeout, routes }).filter(([, section]) => section !== undefined);
  if (others.length === 0) return [];
  const text = `Istio neither retries an injected error nor counts a delay into a timeout, so ${list(others.map(([name]) => name))} would not act on them`;
  return matches.length === 0
    ? [
        finding("FL310", "spec.faultInjection", {
          message: text,
          fix: "narrow faultInjection.matches, or remove the others",
        }),
      ]
    : [
        finding("FL311", "spec.faultInjection", {
          message: text,
          fix: "nothing to do where faults are to reach the client as they are",
        }),
      ];
}

function noSuchTimeout(path: string, what: string, instead: string): Finding {
  return finding("FL310", path, {
    message: `Istio has no limit ${what}`,
    fix: `remove it; ${instead}`,
  });
}

function retriesByItself(section: "routes" | "timeout" | "trafficSplit"): Finding {
  return finding("FL311", `spec.${section}`, {
    message: "Where no policy sets retry, Istio goes on retrying requests that never reached a server, twice",
    fix: "set retry.maxAttempts: 0 to have none",
  });
}
