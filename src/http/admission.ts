import { Buffer } from "node:buffer";
import type { Logger } from "pino";
import type { AdmissionRequest, PatchOperation, Phase, Verdict } from "../core/admission/review.ts";
import { FAIRLEAD_GROUP } from "../core/names.ts";
import type { World } from "../core/world.ts";
import { logRecord } from "../observe/log.ts";
import type { Metrics, ReviewDecision } from "../observe/metrics.ts";
import { traceOf } from "../observe/trace-context.ts";
import type { Tracing } from "../observe/tracing.ts";
import { type PolicyTraces, type Why, whyOf } from "./review-audit.ts";
import { decodeReview, REVIEW_API_VERSION, REVIEW_KIND } from "./decode.ts";

/** The admission paths: the mutating one patches, the others deny. */
export type Door = Phase;

/** An HTTP answer; the body is always JSON. */
export interface Answer {
  readonly status: number;
  readonly body: string;
}

export interface AdmissionDeps {
  readonly decide: (request: AdmissionRequest, world: World) => Verdict;
  readonly world: World;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Monotonic clock in milliseconds, such as performance.now. */
  readonly monotonicMs: () => number;
  /** Wall clock, milliseconds since 1970. */
  readonly nowMs: () => number;
  readonly tracing: Tracing;
  readonly traces: PolicyTraces;
  /** Of the controller: it tells its writes itself. */
  readonly controllerUser: string;
}

interface Outcome extends Answer {
  readonly decision: ReviewDecision;
  readonly uid: string | undefined;
  readonly user?: string | undefined;
  readonly dryRun?: boolean;
  readonly request?: AdmissionRequest;
  readonly verdict?: Verdict;
  /** Why it was not answered with 200. */
  readonly problem?: string;
  readonly error?: unknown;
}

export interface Call {
  readonly body: Buffer;
  /** The header; undefined while the API server does not trace. */
  readonly traceparent?: string | undefined;
  /** When the whole body was there, by the clock of the deps; absent: now. */
  readonly arrivedMs?: number;
}

/** Body in, answer out: no socket, no waiting, never throws. One log line and one count of each metric a call. */
export function answer(door: Door, { body, traceparent, arrivedMs }: Call, deps: AdmissionDeps): Answer {
  const startMs = arrivedMs ?? deps.monotonicMs();
  const outcome = review(door, body, deps);
  observe(door, outcome, { deps, startMs, durationMs: deps.monotonicMs() - startMs, traceparent });
  return { status: outcome.status, body: outcome.body };
}

function review(door: Door, body: Buffer, deps: AdmissionDeps): Outcome {
  const decoded = decodeReview(body, door, deps.nowMs());
  if (!decoded.ok) {
    const { uid, message: problem } = decoded;
    return { status: 400, body: failureBody(uid, 400, problem), decision: "bad_request", uid, problem };
  }
  const { request, user, dryRun } = decoded;
  const { uid } = request;
  // No webhook registers DELETE or CONNECT (docs/policy.md); if one is asked all the same, it stands in nobody's way.
  if (request.object === undefined || request.operation === "DELETE" || request.operation === "CONNECT") {
    return { status: 200, body: reviewBody(uid, true, ""), decision: "skipped", uid, request };
  }
  try {
    const verdict = deps.decide(request, deps.world);
    const encoded = door === "mutate" ? encodePatch(uid, verdict) : encodeVerdict(uid, verdict);
    return { status: 200, body: encoded, decision: decisionAt(door, verdict), uid, user, dryRun, request, verdict };
  } catch (error) {
    // HTTP 500 makes the API server apply the webhook's own failurePolicy. The error itself stays in the log.
    const problem = `Fairlead failed on this request; its log has the details under uid ${uid}`;
    return { status: 500, body: failureBody(uid, 500, problem), decision: "error", uid, request, problem, error };
  }
}

function decisionAt(door: Door, verdict: Verdict): ReviewDecision {
  if (door === "mutate") return verdict.patch.length > 0 ? "patched" : "unchanged";
  return verdict.allowed ? "allowed" : "denied";
}

/** The mutating door never denies: the validating one does, on the object in its final form. */
function encodePatch(uid: string, { patch, warnings }: Verdict): string {
  if (patch.length === 0) return reviewBody(uid, true, warningsField(warnings));
  return reviewBody(uid, true, patchField(patch) + warningsField(warnings));
}

/** Most patches are one of a few lists that the core made once (core/admission/pure-state.ts). */
const patchFields = new WeakMap<readonly PatchOperation[], string>();

function patchField(patch: readonly PatchOperation[]): string {
  let field = patchFields.get(patch);
  if (field === undefined) {
    const encoded = Buffer.from(JSON.stringify(patch), "utf8").toString("base64");
    patchFields.set(patch, (field = `,"patchType":"JSONPatch","patch":"${encoded}"`));
  }
  return field;
}

function encodeVerdict(uid: string, verdict: Verdict): string {
  const { allowed, message, warnings, reason = "Forbidden", auditAnnotations } = verdict;
  const status = allowed ? "" : statusField(DENIAL_CODES[reason] ?? 403, reason, message);
  const audit = auditAnnotations === undefined ? "" : `,"auditAnnotations":${JSON.stringify(auditAnnotations)}`;
  return reviewBody(uid, allowed, status + warningsField(warnings) + audit);
}

/** The reasons that a ValidatingAdmissionPolicy may give, and so a rule. */
const DENIAL_CODES: Readonly<Record<string, number>> = {
  Forbidden: 403,
  Invalid: 422,
  RequestEntityTooLarge: 413,
  Unauthorized: 401,
};

function warningsField(warnings: readonly string[]): string {
  return warnings.length > 0 ? `,"warnings":${JSON.stringify(warnings)}` : "";
}

const REVIEW_HEAD = `{"apiVersion":"${REVIEW_API_VERSION}","kind":"${REVIEW_KIND}","response":{"uid":`;

/** `rest` is JSON members, each with its comma in front. */
function reviewBody(uid: string, allowed: boolean, rest: string): string {
  return `${REVIEW_HEAD}${JSON.stringify(uid)},"allowed":${allowed}${rest}}}`;
}

function statusField(code: number, reason: string, message: string): string {
  return `,"status":{"code":${code},"reason":"${reason}","message":${JSON.stringify(message)}}`;
}

const FAILURE_REASONS = { 400: "BadRequest", 500: "InternalError" } as const;

/** An AdmissionReview where the uid is known, else a Status, which is how the Kubernetes API words an error. */
function failureBody(uid: string | undefined, code: 400 | 500, message: string): string {
  const reason = FAILURE_REASONS[code];
  if (uid !== undefined) return reviewBody(uid, false, statusField(code, reason, message));
  return statusBody(code, reason, message);
}

/** A `v1` Status: the body of every answer that cannot carry a uid. */
export function statusBody(code: number, reason: string, message: string): string {
  return JSON.stringify({ kind: "Status", apiVersion: "v1", status: "Failure", message, reason, code });
}

interface Timing {
  readonly deps: AdmissionDeps;
  readonly startMs: number;
  readonly durationMs: number;
  readonly traceparent?: string | undefined;
}

function observe(door: Door, outcome: Outcome, timing: Timing): void {
  const { deps, durationMs } = timing;
  const { request, verdict, decision } = outcome;
  deps.metrics.review({
    door,
    kind: request?.kind,
    operation: request?.operation ?? "none",
    mode: verdict?.mode ?? "none",
    decision,
    durationSeconds: durationMs / 1_000,
  });
  // The mutating door reports only what the validating one cannot see any more, so nothing is counted twice.
  if (verdict?.rules !== undefined) deps.metrics.evaluated(verdict.rules, request?.namespace ?? "");
  for (const finding of verdict?.findings ?? []) deps.metrics.finding(finding.code, finding.severity);
  const level = levelOf(outcome);
  const isTold = deps.log.isLevelEnabled(level);
  const isTraced = deps.tracing.enabled && (level !== "debug" || timing.traceparent !== undefined);
  if (!isTold && !isTraced) return;
  const why = request && level !== "debug" ? whyOf(request, verdict, deps.traces) : NO_REASON;
  if (isTraced) trace(door, outcome, { ...timing, why });
  if (isTold) logRecord(deps.log, level, lineOf(door, outcome, { ...timing, why }));
}

const NO_REASON: Why = Object.freeze({});

function trace(door: Door, { request, decision, error }: Outcome, timing: Timing & { readonly why: Why }): void {
  const { deps, startMs, traceparent, why } = timing;
  const traceId = why.traceId ?? traceOf(traceparent)?.traceId;
  if (traceId === undefined) return;
  const attributes = {
    "k8s.namespace.name": request?.namespace,
    "fairlead.target.kind": request?.kind.kind,
    "fairlead.target.name": request?.name,
    "fairlead.policy.name": why.policy,
    "fairlead.door": door,
    "fairlead.decision": decision,
  };
  deps.tracing.span("admission.review", { traceId, parent: traceparent, startMs, attributes }).end(error);
}

/**
 * A review that changes nothing and finds nothing is told at debug: it is nearly every one, it tells nobody anything,
 * and its line would cost more CPU than its decision (docs/performance.md).
 */
function levelOf(outcome: Outcome): "error" | "warn" | "info" | "debug" {
  if (outcome.decision === "error") return "error";
  if (outcome.decision === "bad_request") return "warn";
  return isEventful(outcome) ? "info" : "debug";
}

function isEventful({ decision, verdict, request }: Outcome): boolean {
  if (decision === "patched" || decision === "denied" || (verdict?.findings.length ?? 0) > 0) return true;
  // Somebody changed what a policy says; status and finalizers leave the generation.
  if (request?.kind.group !== FAIRLEAD_GROUP) return false;
  return request.object?.metadata?.generation !== request.oldObject?.metadata?.generation;
}

/** The line of a review; one that changes something is its audit line as well. The controller tells of its own writes. */
function lineOf(door: Door, outcome: Outcome, { deps, durationMs, why }: Timing & { readonly why: Why }) {
  const { user, request, verdict, decision } = outcome;
  const isAudited = request !== undefined && user !== deps.controllerUser && isEventful(outcome);
  return {
    audit: isAudited || undefined,
    user: isAudited ? user : undefined,
    dry_run: outcome.dryRun || undefined,
    uid: outcome.uid,
    door,
    kind: request?.kind.kind,
    group: request?.kind.group,
    operation: request?.operation,
    namespace: request?.namespace,
    name: request?.name,
    decision,
    policy: why.policy,
    revision: why.revision,
    findings: verdict === undefined || verdict.findings.length === 0 ? undefined : verdict.findings.map((f) => f.code),
    problem: outcome.problem,
    fault: outcome.error,
    trace_id: why.traceId,
    durationMs: Math.round(durationMs * 1_000) / 1_000,
    msg: "review",
  };
}
