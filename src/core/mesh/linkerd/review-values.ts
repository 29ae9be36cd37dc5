import { annotationPath, type Finding, finding } from "../../finding.ts";
import type { StringMap } from "../../kubernetes.ts";
import { failingGrpcCodes } from "../../intent/status-codes.ts";
import { list, quote, showMs, withArticle } from "../../text.ts";
import type { TargetContext } from "../mesh.ts";
import { BREAKER_KEYS, RETRY_KEYS, TIMEOUT_KEYS } from "./annotations.ts";
import { type KeySpec, keySpec, type LinkerdKey } from "./keys.ts";
import type { Problem, Reading } from "./reading.ts";
import { parseValue, type ValueOf } from "./values.ts";
import { supports } from "./version.ts";

/** Below this a status is no failure. */
const FAILURES_FROM = 400;
/** From here on the breaker counts a status as a failure (docs/linkerd.md, What acts differently than it looks). */
const BREAKER_FAILURES_FROM = 500;

/** A value that Linkerd's parser drops. */
export function problemFinding(problem: Problem): Finding {
  const { key, reason, drops, suggestion } = problem;
  const message = reason.charAt(0).toUpperCase() + reason.slice(1);
  return finding("FL401", annotationPath(key), {
    message: `${message}; Linkerd would drop ${drops}`,
    fix: suggestion === undefined ? "correct it or remove it" : `write ${quote(suggestion)}`,
  });
}

/**
 * Values that Linkerd accepts and that fail every request or repeat those that succeeded. Each is read alone, so that
 * it shows also beside another value that drops the group.
 */
export function forbiddenValues(annotations: StringMap, target: TargetContext): readonly Finding[] {
  const zero = Object.values(TIMEOUT_KEYS).filter((key) => readAlone(key, annotations, target) === 0);
  const findings = zero.map((key) =>
    finding("FL402", annotationPath(key), {
      message: `Found zero, which Linkerd takes as a deadline of now: requests to this ${target.kind.kind} would get 504`,
      fix: "remove it for no timeout, or write a duration such as 10s",
    }),
  );
  const below = readAlone(RETRY_KEYS.http, annotations, target)?.filter(([from]) => from < FAILURES_FROM) ?? [];
  if (below.length === 0) return findings;
  const shown = list(below.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)));
  const retriesSuccess = finding("FL403", annotationPath(RETRY_KEYS.http), {
    message: `Found ${shown}: codes below ${FAILURES_FROM} are no failures, so requests that succeeded would be repeated`,
    fix: 'list failures only, such as "5xx,429"',
  });
  return [...findings, retriesSuccess];
}

/** One value without regard to the others; undefined where it is absent, unreadable or not read from this target. */
function readAlone<Key extends LinkerdKey>(
  key: Key,
  annotations: StringMap,
  target: TargetContext,
): ValueOf<Key> | undefined {
  const text = annotations[key];
  if (text === undefined || !isReadFrom(key, target)) return undefined;
  const parsed = parseValue(key, text, target.version.linkerd);
  return parsed.ok ? parsed.value : undefined;
}

/** Values that Linkerd accepts and that do nothing, or not what they seem to. */
export function inertValues(reading: Reading, annotations: StringMap, target: TargetContext): readonly Finding[] {
  const findings: Finding[] = [];
  if (reading.accrual?.maxFailures === 0) {
    findings.push(
      finding("FL411", annotationPath(BREAKER_KEYS.maxFailures), {
        message: "Found 0: the failure counter can never match, so the breaker never opens",
        fix: `write a number of failures such as "7", or remove ${BREAKER_KEYS.mode} for no breaker`,
      }),
    );
  }
  if (reading.accrual?.minPenaltyMs === 0) {
    findings.push(
      finding("FL412", annotationPath(BREAKER_KEYS.minPenalty), {
        message: "Found 0: the endpoint is tried again at once, so it is never shut",
        fix: 'write a duration such as "1s"',
      }),
    );
  }
  if (readAlone(RETRY_KEYS.limit, annotations, target) === 0) {
    findings.push(
      finding("FL413", annotationPath(RETRY_KEYS.limit), {
        message: "Found 0, which Linkerd takes as absent: one retry where a status list is present, not none",
        fix: "remove the retry annotations for no retries, or write the number of retries",
      }),
    );
  }
  if (readAlone(RETRY_KEYS.timeout, annotations, target) === 0) {
    findings.push(
      finding("FL414", annotationPath(RETRY_KEYS.timeout), {
        message: "Found 0, which Linkerd takes as absent: there is no per-try timeout",
        fix: 'remove it, or write a duration such as "300ms"',
      }),
    );
  }
  return findings;
}

function isReadFrom(key: LinkerdKey, target: TargetContext): boolean {
  const { readFrom, since }: KeySpec = keySpec(key);
  return readFrom.includes(target.kind.kind) && supports(target.version.linkerd, since);
}

/** Keys that Linkerd does not look at on this object, in this version, or beside these others. */
export function unreadKeys(reading: Reading, annotations: StringMap, target: TargetContext): readonly Finding[] {
  return [
    ...retryWithoutList(reading, annotations, target),
    ...reading.notReadHere.map((key) => notReadHere(key, target)),
    ...reading.notConsulted.map(({ key, because }) =>
      finding("FL417", annotationPath(key), {
        message: `Linkerd does not look at it: ${because}`,
        fix: key.startsWith(BREAKER_KEYS.mode) ? `add ${BREAKER_KEYS.mode}: consecutive, or remove it` : "remove it",
      }),
    ),
    ...reading.tooNew.map(({ key, since }) =>
      finding("FL418", annotationPath(key), {
        message: `Linkerd ${target.version.linkerd.text} does not know this annotation; it came with ${since}`,
        fix: `upgrade Linkerd to ${since}, or remove it`,
      }),
    ),
    ...reading.unknown.map(({ key, nearest }) =>
      finding("FL418", annotationPath(key), {
        message: "Linkerd does not know this annotation and ignores it",
        fix: nearest === undefined ? "remove it" : `remove it, or rename it to ${nearest}`,
      }),
    ),
  ];
}

function notReadHere(key: LinkerdKey, target: TargetContext): Finding {
  const from: KeySpec["readFrom"] = keySpec(key).readFrom;
  return finding("FL416", annotationPath(key), {
    message: `Linkerd does not read it from ${withArticle(target.kind.kind)}, only from ${list(from.map((source) => `${source}s`))}`,
    fix:
      from.length === 1
        ? "move it to the Service"
        : `remove it, or move it to ${withArticle(from[from.length - 1] ?? "Service")}`,
  });
}

/** An empty list retries no status, so the other retry keys alone are nearly without effect. */
function retryWithoutList(
  { httpRetry, grpcRetry, problems }: Reading,
  annotations: StringMap,
  target: TargetContext,
): readonly Finding[] {
  // Beside a bad value the list may be missing only because a policy would not fill the group up.
  if (problems.some(({ key }) => Object.values<string>(RETRY_KEYS).includes(key))) return [];
  const key = [RETRY_KEYS.limit, RETRY_KEYS.timeout].find((candidate) => annotations[candidate] !== undefined);
  const lists = (httpRetry?.statusRanges.length ?? 0) + (grpcRetry?.codes.length ?? 0);
  const isWritten = annotations[RETRY_KEYS.http] !== undefined || annotations[RETRY_KEYS.grpc] !== undefined;
  if (key === undefined || lists > 0 || isWritten) return [];
  const lacks = [RETRY_KEYS.http, RETRY_KEYS.grpc].filter((candidate) => isReadFrom(candidate, target));
  return [
    finding("FL415", annotationPath(key), {
      message: `Found no ${lacks.join(" and no ")}, so no status is retried`,
      fix:
        lacks[0] === RETRY_KEYS.http
          ? `add ${RETRY_KEYS.http}, for example "5xx"`
          : `add ${RETRY_KEYS.grpc}, for example "unavailable"`,
    }),
  ];
}

/** Settings that each parse and together do not do what they say. */
export function acrossGroups({ accrual, httpRetry, grpcRetry, timeouts }: Reading): readonly Finding[] {
  const findings: Finding[] = [];
  const perTryMs = (httpRetry ?? grpcRetry)?.timeoutMs;
  const requestMs = timeouts?.requestMs;
  if (perTryMs !== undefined && requestMs !== undefined && requestMs > 0 && perTryMs >= requestMs) {
    findings.push(
      finding("FL419", annotationPath(RETRY_KEYS.timeout), {
        message: `Found ${showMs(perTryMs)}, but ${TIMEOUT_KEYS.request} ends the request after ${showMs(requestMs)}`,
        fix: `lower it below ${showMs(requestMs)}, or raise ${TIMEOUT_KEYS.request}`,
      }),
    );
  }
  const retriesServerErrors = httpRetry?.statusRanges.some(([, to]) => to >= BREAKER_FAILURES_FROM) ?? false;
  const retriesFailedCalls = failingGrpcCodes(grpcRetry?.codes ?? []).length > 0;
  const limits = [
    retriesServerErrors ? httpRetry?.limit : undefined,
    retriesFailedCalls ? grpcRetry?.limit : undefined,
  ];
  const tries = Math.max(0, ...limits.map((limit) => (limit === undefined ? 0 : limit + 1)));
  if (accrual !== undefined && tries > 0 && accrual.maxFailures > 0 && tries >= accrual.maxFailures) {
    findings.push(
      finding("FL420", annotationPath(BREAKER_KEYS.maxFailures), {
        message: `One request makes up to ${tries} tries and max-failures is ${accrual.maxFailures}: a single request can shut an endpoint`,
        fix: `raise max-failures above ${tries}, or lower ${RETRY_KEYS.limit}`,
      }),
    );
  }
  return findings;
}
