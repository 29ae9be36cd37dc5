import { setImmediate } from "node:timers/promises";
import type { TargetAction } from "../core/action.ts";
import type { TargetPlan } from "../core/admission/plan.ts";
import { type KubernetesObject, labelsOf } from "../core/kubernetes.ts";
import { REVISION_LABEL } from "../core/names.ts";
import { targetText } from "../core/policy/targets.ts";
import type { TargetKey, World } from "../core/world.ts";
import { isConflict, isNotFound, NotLeaderError } from "../k8s/apply.ts";
import type { EventSink } from "../k8s/events.ts";
import { targetKeyOf } from "../k8s/namespaced.ts";
import { type Clock, describeError, type Logger, type Random, systemClock } from "../k8s/ports.ts";
import type { Change } from "../k8s/change.ts";
import type { ClusterStore } from "../k8s/store.ts";
import type { ReconcileResult, Telemetry, Writer } from "./ports.ts";
import { type QueueNumbers, WorkQueue } from "./queue.ts";
import { Repetitions } from "./repetitions.ts";

export interface ResyncOptions {
  readonly store: World & Pick<ClusterStore, "allTargets" | "isFilling" | "onChange" | "policyObject" | "whenSynced">;
  readonly writer: Writer<TargetAction>;
  /** core/admission/plan.ts: undefined when the target is in line. */
  readonly planTarget: (live: KubernetesObject, key: TargetKey, world: World) => TargetPlan | undefined;
  readonly events: EventSink;
  readonly telemetry: Telemetry;
  readonly log: Logger;
  /** Called when writing to a target begins or ends to fail, so that the status of its policies can say so. */
  readonly onFailureChange: (key: TargetKey) => void;
  readonly counters?: ResyncCounters;
  readonly onQueued?: (seconds: number) => void;
  /**
   * How long a change of policies waits before targets are written. Admission replicas hear of it at about the same
   * moment, each through its own watch; one that has not yet would answer the first writes with the old settings.
   */
  readonly admissionLagMs?: number;
  readonly fullPassMs: number;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Totals since the start, for metrics. */
export interface ResyncCounters {
  /** Targets looked at. */
  planned: number;
  /** Targets that were written to. */
  changed: number;
  /** Targets on which the webhook had not acted, so that keys were written directly. */
  direct: number;
  errors: number;
}

export function newCounters(): ResyncCounters {
  return { planned: 0, changed: 0, direct: 0, errors: 0 };
}

/**
 * Brings existing targets in line with their policies (docs/architecture.md). Level-based: a change only marks targets
 * dirty; what to do is decided from the store when a target's turn comes.
 */
export class Resync {
  readonly counters: ResyncCounters;
  readonly #options: ResyncOptions;
  readonly #clock: Clock;
  readonly #queue: WorkQueue<TargetKey>;
  readonly #repetitions: Repetitions;
  /** Targets that could not be written, by their text, with the last error. */
  readonly #failures = new Map<string, string>();
  /** Namespaces with a change that waits for the admission replicas to hear of it. */
  readonly #lagging = new Map<string, () => void>();
  /** Since when the webhook answers a target with other settings than ours, by the text of the target. */
  readonly #behindSinceMs = new Map<string, number>();
  #unsubscribe: (() => void) | undefined;
  #cancelPass: (() => void) | undefined;
  #stopped = false;

  constructor(options: ResyncOptions) {
    this.#options = options;
    this.counters = options.counters ?? newCounters();
    this.#clock = options.clock ?? systemClock;
    this.#repetitions = new Repetitions(this.#clock);
    this.#queue = new WorkQueue<TargetKey>({
      keyOf: targetText,
      run: (key) => this.#reconcile(key),
      onError: (key, error) => this.#onError(key, error),
      onStart: (_key, waitedMs) => options.onQueued?.(waitedMs / 1_000),
      clock: this.#clock,
      ...(options.random && { random: options.random }),
    });
  }

  /** Resolves when the first full pass is queued. Nothing is done before the whole world is known: an unknown policy is not a deleted one. */
  async start(): Promise<void> {
    await this.#options.store.whenSynced();
    if (this.#stopped) return;
    this.#unsubscribe = this.#options.store.onChange((change) => this.#onChange(change));
    this.#fullPass();
  }

  /** Final; resolves when the writes under way have ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unsubscribe?.();
    this.#cancelPass?.();
    for (const cancel of this.#lagging.values()) cancel();
    this.#repetitions.stop();
    await this.#queue.stop();
  }

  /** Resolves when no target in the queue is dirty. */
  idle(): Promise<void> {
    return this.#queue.idle();
  }

  /** Targets that are dirty now, and namespaces with a change that waits. */
  get depth(): number {
    return this.#queue.size + this.#lagging.size;
  }

  get numbers(): QueueNumbers {
    return this.#queue.numbers;
  }

  /** The error of the last write to a target, until one succeeds or none is needed. */
  get failures(): ReadonlyMap<string, string> {
    return this.#failures;
  }

  #fullPass(): void {
    this.#repetitions.forgetOld();
    for (const target of this.#options.store.allTargets()) this.#queue.add(targetKeyOf(target));
    this.#cancelPass = this.#clock.after(this.#options.fullPassMs, () => this.#fullPass());
  }

  /** A ServiceProfile changes no annotation, only warnings. */
  #onChange(change: Change): void {
    if (change.type === "target" && change.key) this.#queue.add(change.key);
    if (change.type !== "policy" && change.type !== "namespace") return;
    const { namespace } = change;
    const lagMs = this.#options.admissionLagMs ?? 0;
    if (lagMs === 0) this.#addAllIn(namespace);
    else if (!this.#lagging.has(namespace)) {
      const cancel = this.#clock.after(lagMs, () => {
        this.#lagging.delete(namespace);
        this.#addAllIn(namespace);
      });
      this.#lagging.set(namespace, cancel);
    }
  }

  #addAllIn(namespace: string): void {
    for (const target of this.#options.store.targetsIn(namespace)) this.#queue.add(targetKeyOf(target));
  }

  async #reconcile(key: TargetKey): Promise<void> {
    // Reviews go between: planning 5,000 targets in one go held them up for 260 ms (measured).
    await setImmediate();
    if (this.#stopped) return;
    const startMs = performance.now();
    const done = (result: ReconcileResult): void =>
      this.#options.telemetry.reconciled("target", result, (performance.now() - startMs) / 1_000);
    try {
      done((await this.#bringInLine(key)) ? "written" : "unchanged");
    } catch (error) {
      done(isConflict(error) ? "conflict" : "failed");
      throw error;
    }
  }

  async #bringInLine(key: TargetKey): Promise<boolean> {
    const { store, planTarget } = this.#options;
    // The namespace change at the end of filling, or when the namespace becomes known, marks it dirty again. The webhook
    // may take an unknown namespace for an opted-in one, as it was asked; nobody has asked here.
    if (store.isFilling(key.namespace) || store.namespace(key.namespace) === undefined) return false;
    const live = store.target(key);
    const plan = live && planTarget(live, key, store);
    if (live !== undefined) this.counters.planned += 1;
    if (live === undefined || plan === undefined) {
      this.#behindSinceMs.delete(targetText(key));
      this.#setFailure(key, undefined);
      return false;
    }
    if (this.#waitsForTheOther(key, plan.first)) return false;
    try {
      await this.#write(key, live, plan);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    return true;
  }

  async #write(key: TargetKey, live: KubernetesObject, plan: TargetPlan): Promise<void> {
    const { writer, telemetry } = this.#options;
    const traceId = this.#traceOf(key, plan);
    const answer = await this.#traced(traceId, key, () => writer.execute(plan.first));
    const next = plan.verify(answer);
    if (next !== undefined && isAnsweredOtherwise(plan.first, answer)) throw new AdmissionBehindError();
    this.#repetitions.count(targetText(key), contentOf(plan.first));
    this.#behindSinceMs.delete(targetText(key));
    this.counters.changed += 1;
    const { policy, reason } = plan;
    const why = { reason, policy };
    telemetry.wrote({ ...key, action: plan.first.kind, direct: next !== undefined, why, traceId });
    if (next !== undefined) {
      this.counters.direct += 1;
      const written = await this.#traced(traceId, key, () => writer.execute(next));
      if (plan.verify(written) !== undefined) {
        this.#setFailure(key, "Another webhook takes the settings off again within the same write");
        // Nobody tells when that webhook goes.
        this.#queue.addAfter(key, UNDONE_RETRY_MS);
        return;
      }
    }
    this.#setFailure(key, undefined);
    if (reason === "repaired") this.#tellRepaired(key, { live, policy, traceId });
  }

  async #traced<T>(traceId: string | undefined, key: TargetKey, write: () => Promise<T>): Promise<T> {
    if (traceId === undefined) return write();
    const span = this.#options.telemetry.span("controller.write", traceId, {
      "k8s.namespace.name": key.namespace,
      "fairlead.target.kind": key.kind,
      "fairlead.target.name": key.name,
    });
    try {
      const answer = await write();
      span.end();
      return answer;
    } catch (error) {
      span.end(error);
      throw error;
    }
  }

  /** The trace of the first policy that is in force, or was. */
  #traceOf(key: TargetKey, { policy }: TargetPlan): string | undefined {
    const { uid, generation } =
      this.#options.store.policyObject(key.namespace, policy.split(",")[0] ?? "")?.metadata ?? {};
    return uid === undefined ? undefined : this.#options.telemetry.policyTrace(uid, generation ?? 0);
  }

  /** Applied and cleaned are told by the policy, once for all its targets; a repair is news about one target. */
  #tellRepaired(key: TargetKey, { live, policy, traceId }: Repaired): void {
    const { telemetry, events } = this.#options;
    telemetry.drift(key.kind);
    events.emit({
      regarding: { ...regarding(key, live) },
      type: "Warning",
      reason: "Repaired",
      message: `Somebody changed what ResiliencePolicy ${policy} had set; it is put back`,
      ...(traceId !== undefined && { traceId }),
    });
  }

  /** True when the same write was made too often; the target then waits for the end of the window. */
  #waitsForTheOther(key: TargetKey, action: TargetAction): boolean {
    const repeated = this.#repetitions.tooMany(targetText(key), contentOf(action), () => this.#queue.add(key));
    if (repeated === undefined) return false;
    if (repeated.isNew) {
      this.#options.log.warn({ ...key, writes: repeated.count }, "somebody undoes what is written; waiting");
      this.#setFailure(key, `Somebody undoes what is written: ${repeated.count} times within ${repeated.seconds} s`);
    }
    return true;
  }

  #onError(key: TargetKey, error: unknown): void {
    if (isConflict(error)) {
      this.#options.log.debug({ ...key }, "target changed meanwhile");
      return;
    }
    if (error instanceof NotLeaderError) return;
    if (error instanceof AdmissionBehindError && !this.#isBehindForLong(key)) return;
    this.counters.errors += 1;
    const message = describeError(error);
    this.#options.log.warn({ ...key, error: message }, "target could not be brought in line");
    this.#setFailure(key, message);
  }

  #isBehindForLong(key: TargetKey): boolean {
    const sinceMs = this.#behindSinceMs.get(targetText(key)) ?? this.#clock.now();
    this.#behindSinceMs.set(targetText(key), sinceMs);
    return this.#clock.now() - sinceMs >= ADMISSION_BEHIND_MS;
  }

  #setFailure(key: TargetKey, message: string | undefined): void {
    const text = targetText(key);
    if (this.#failures.get(text) === message) return;
    if (message === undefined) this.#failures.delete(text);
    else {
      this.#failures.set(text, message);
      const object = this.#options.store.target(key) ?? {};
      this.#options.events.emit({ regarding: regarding(key, object), type: "Warning", reason: "WriteFailed", message });
    }
    this.#options.onFailureChange(key);
  }
}

/** Two requests in this time are no load, and people wait no longer for the cure. As long as the longest backoff. */
const UNDONE_RETRY_MS = 30_000;
/** A replica of admission that lags so long has lost its watch. */
const ADMISSION_BEHIND_MS = 10_000;

/**
 * The webhook was asked, since the label is not what was written, and knows other policies than we do. To write the
 * keys directly would make them ours, and the webhook would undo it: it is asked again a little later.
 */
class AdmissionBehindError extends Error {
  constructor() {
    super(
      "Admission answers with other settings than those of the policies; the watch of one of its replicas is behind, " +
        "see fairlead_world_staleness_seconds",
    );
  }
}

function isAnsweredOtherwise(action: TargetAction, answer: KubernetesObject): boolean {
  return action.kind === "label" && (labelsOf(answer)[REVISION_LABEL] ?? null) !== action.value;
}

interface Repaired {
  readonly live: KubernetesObject;
  readonly policy: string;
  readonly traceId: string | undefined;
}

function regarding(key: TargetKey, object: KubernetesObject): Parameters<EventSink["emit"]>[0]["regarding"] {
  const { uid } = object.metadata ?? {};
  const apiVersion = object.apiVersion ?? (key.group === "" ? "v1" : `${key.group}/v1`);
  return { apiVersion, kind: key.kind, namespace: key.namespace, name: key.name, ...(uid !== undefined && { uid }) };
}

/** What an action writes, whatever the version of the object that it was planned on. */
function contentOf(action: TargetAction): string {
  return JSON.stringify(action.kind === "label" ? action.value : action.operations);
}
