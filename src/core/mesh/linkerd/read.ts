import { readAccrual } from "./accrual.ts";
import { readHonorRetryAfter, readLoadBiaser, readRetry, readTimeouts } from "./groups.ts";
import { type AnnotationSource, isLinkerdKey, isResilienceKey, keySpec, type LinkerdKey } from "./keys.ts";
import { nearestKey } from "./nearest.ts";
import { parseBool } from "./numbers.ts";
import { EMPTY_READING, type Problem, type Reading } from "./reading.ts";
import type { Scan } from "./scan.ts";
import { suggestValue } from "./suggest.ts";
import { featureSince, type LinkerdVersion, supports } from "./version.ts";

/** So many unknown keys of one object get a nearest key; a search takes a while and nobody reads more. */
const NEAREST_KEYS_MAX = 16;

type Groups = Pick<Reading, "accrual" | "loadBiaser" | "honorRetryAfter" | "timeouts" | "httpRetry" | "grpcRetry">;
type KeyRemarks = Pick<Reading, "unknown" | "notReadHere" | "tooNew" | "notConsulted">;

/**
 * What this version of Linkerd makes of one object's annotations. On a Service each group stands for itself; a route
 * with a problem is as if it were not there. Keys outside Linkerd's resilience prefixes are not looked at.
 */
export function readAnnotations(
  annotations: Readonly<Record<string, string>>,
  source: AnnotationSource,
  version: LinkerdVersion,
): Reading {
  const keys = Object.keys(annotations).filter(isResilienceKey);
  if (keys.length === 0) return EMPTY_READING;
  const scan: Scan = { annotations, source, version, problems: [] };
  const groups = readGroups(scan);
  const remarks = remarksOn(keys, scan);
  const problems = scan.problems.length === 0 ? EMPTY_READING.problems : withSuggestions(scan);
  return { ...groups, ...remarks, problems };
}

/** `apply` of outbound/index.rs for a Service, `convert_route` of index/http.rs and index/grpc.rs for a route. */
function readGroups(scan: Scan): Groups {
  if (scan.source !== "Service") return readRouteGroups(scan);
  const accrual = readAccrual(scan);
  const annotated = supports(scan.version, "retryAndTimeoutAnnotations");
  return { ...(accrual !== undefined && { accrual }), ...readAlphaGroups(scan), ...(annotated && readShared(scan)) };
}

/** Any bad value fails the conversion of the whole route, so that none of its settings is in force. */
function readRouteGroups(scan: Scan): Groups {
  if (!supports(scan.version, "retryAndTimeoutAnnotations")) return {};
  const groups = readShared(scan);
  const isIndexed = scan.problems.length === 0;
  // The webhook's check of accrual keys (runtime/src/admission.rs, parse_accrual_config) has no other effect.
  if (supports(scan.version, "routeWebhookParsesAccrual")) readAccrual(scan);
  return isIndexed ? groups : {};
}

function readShared(scan: Scan): Groups {
  const timeouts = readTimeouts(scan);
  return { ...(timeouts !== undefined && { timeouts }), ...readRetry(scan) };
}

function readAlphaGroups(scan: Scan): Groups {
  if (!supports(scan.version, "unifiedAccrual")) return {};
  const loadBiaser = readLoadBiaser(scan);
  const honorRetryAfter = readHonorRetryAfter(scan);
  return { ...(loadBiaser !== undefined && { loadBiaser }), ...(honorRetryAfter !== undefined && { honorRetryAfter }) };
}

/** Everything about the keys that does not depend on whether a group parses. */
function remarksOn(keys: readonly string[], { annotations, source, version }: Scan): KeyRemarks {
  const unknown: Reading["unknown"][number][] = [];
  const notReadHere: LinkerdKey[] = [];
  const tooNew: Reading["tooNew"][number][] = [];
  const notConsulted: Reading["notConsulted"][number][] = [];
  for (const key of keys) {
    if (!isLinkerdKey(key)) {
      const nearest = unknown.length < NEAREST_KEYS_MAX ? nearestKey(key) : undefined;
      unknown.push(nearest === undefined ? { key } : { key, nearest });
      continue;
    }
    const { readFrom, since } = keySpec(key);
    const because = missingPrecondition(key, annotations);
    if (!readFrom.includes(source)) notReadHere.push(key);
    else if (!supports(version, since)) tooNew.push({ key, since: featureSince(since) });
    else if (because !== undefined) notConsulted.push({ key, because });
  }
  return { unknown, notReadHere, tooNew, notConsulted };
}

/** Why Linkerd does not get to this key; undefined also where the key in its way is itself bad, a problem already. */
function missingPrecondition(key: LinkerdKey, annotations: Readonly<Record<string, string>>): string | undefined {
  const { needs } = keySpec(key);
  if (needs === undefined) return undefined;
  if (needs === "penalizeFailures") {
    const penalize = parseBool(annotations["balancer.alpha.linkerd.io/penalize-failures"] ?? "false");
    return penalize.ok && !penalize.value ? "balancer.alpha.linkerd.io/penalize-failures is not true" : undefined;
  }
  const mode = annotations["balancer.linkerd.io/failure-accrual"];
  if (mode === undefined) return "balancer.linkerd.io/failure-accrual is not set";
  const needsUnified = needs === "unifiedMode" && mode === "consecutive";
  return needsUnified ? "balancer.linkerd.io/failure-accrual is consecutive, not unified" : undefined;
}

/**
 * The problems with a value that would work, each tried out: all suggestions go in at once, and where a group then
 * still has a problem that a suggestion should have ended, none of that group is offered.
 */
function withSuggestions(scan: Scan): readonly Problem[] {
  const problems = scan.problems.map((problem) => withSuggestion(problem, scan.version));
  const corrected: Record<string, string> = { ...scan.annotations };
  const unanswered = new Set<LinkerdKey>();
  for (const { key, suggestion } of problems) {
    if (suggestion === undefined) unanswered.add(key);
    else corrected[key] = suggestion;
  }
  if (unanswered.size === problems.length) return problems;
  const retried: Scan = { ...scan, annotations: corrected, problems: [] };
  readGroups(retried);
  const failing = new Set(retried.problems.filter(({ key }) => !unanswered.has(key)).map(({ group }) => group));
  return failing.size === 0
    ? problems
    : problems.map((item) => (failing.has(item.group) ? withoutSuggestion(item) : item));
}

function withSuggestion(problem: Problem, version: LinkerdVersion): Problem {
  const suggestion = problem.suggestion ?? suggestValue(problem.key, problem.value, version);
  return suggestion === undefined ? problem : { ...problem, suggestion };
}

function withoutSuggestion(problem: Problem): Problem {
  const { key, value, group, drops, reason } = problem;
  return { key, value, group, drops, reason };
}
