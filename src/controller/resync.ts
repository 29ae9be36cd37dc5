import { setImmediate } from "node:timers/promises";
import type { Action } from "../core/action.ts";
import type { TargetPlan } from "../core/admission/plan.ts";
import type { KubernetesObject } from "../core/kubernetes.ts";
import type { TargetKey, World } from "../core/world.ts";
import { type ClusterWriter, isConflict, isNotFound } from "../k8s/apply.ts";
import { targetKeyOf } from "../k8s/namespaced.ts";
import { type Clock, describeError, type Logger, type Random, systemClock } from "../k8s/ports.ts";
import type { Change, ClusterStore } from "../k8s/store.ts";
import { WorkQueue } from "./queue.ts";

export interface ResyncOptions {
  readonly store: World & Pick<ClusterStore, "allTargets" | "isFilling" | "onChange" | "whenSynced">;
  readonly writer: Pick<ClusterWriter, "execute">;
  /** core/admission/plan.ts: undefined when the target is in line. */
  readonly planTarget: (live: KubernetesObject, key: TargetKey, world: World) => TargetPlan | undefined;
  readonly log: Logger;
  readonly fullPassMs?: number;
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

/** The resync period that controller-runtime recommends is ten hours; ours is also the repair of lost writes. */
const FULL_PASS_MS = 10 * 60_000;
/**
 * Against a tool that undoes every write at once, an undamped loop was measured at a hundred writes a second. One and
 * the same write so often in this time means that somebody undoes it; policies that change quickly want another write
 * each time.
 */
const SAME_WRITES_MAX = 5;
const SAME_WRITES_WINDOW_MS = 30_000;

/** One and the same write to one target. */
interface Repetition {
  readonly write: string;
  readonly sinceMs: number;
  count: number;
  /** Set while the target waits for the end of the window. */
  cancelWait?: () => void;
}

/**
 * Brings existing targets in line with their policies (docs/architecture.md). Level-based: a change only marks targets
 * dirty; what to do is decided from the store when a target's turn comes.
 */
export class Resync {
  readonly counters: ResyncCounters = { planned: 0, changed: 0, direct: 0, errors: 0 };
  readonly #options: ResyncOptions;
  readonly #clock: Clock;
  readonly #queue: WorkQueue<TargetKey>;
  #unsubscribe: (() => void) | undefined;
  #cancelPass: (() => void) | undefined;
  readonly #repetitions = new Map<string, Repetition>();
  #stopped = false;

  constructor(options: ResyncOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#queue = new WorkQueue<TargetKey>({
      keyOf: textOf,
      run: (key) => this.#bringInLine(key),
      onError: (key, error) => this.#onError(key, error),
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
    for (const { cancelWait } of this.#repetitions.values()) cancelWait?.();
    await this.#queue.stop();
  }

  /** Resolves when no target is dirty. */
  idle(): Promise<void> {
    return this.#queue.idle();
  }

  /** Targets that are dirty now. */
  get depth(): number {
    return this.#queue.size;
  }

  #fullPass(): void {
    for (const [id, { sinceMs }] of this.#repetitions) if (this.#isOver(sinceMs)) this.#repetitions.delete(id);
    for (const target of this.#options.store.allTargets()) this.#queue.add(targetKeyOf(target));
    this.#cancelPass = this.#clock.after(this.#options.fullPassMs ?? FULL_PASS_MS, () => this.#fullPass());
  }

  /** A ServiceProfile changes no annotation, only warnings. */
  #onChange(change: Change): void {
    if (change.type === "target" && change.key) this.#queue.add(change.key);
    if (change.type !== "policy" && change.type !== "namespace") return;
    for (const target of this.#options.store.targetsIn(change.namespace)) this.#queue.add(targetKeyOf(target));
  }

  async #bringInLine(key: TargetKey): Promise<void> {
    const { store, writer, planTarget, log } = this.#options;
    // Reviews go between: planning 5,000 targets in one go held them up for 260 ms (measured).
    await setImmediate();
    if (this.#stopped) return;
    // The namespace change at the end of filling, or when the namespace becomes known, marks it dirty again. The webhook
    // may take an unknown namespace for an opted-in one, as it was asked; nobody has asked here.
    if (store.isFilling(key.namespace) || store.namespace(key.namespace) === undefined) return;
    const live = store.target(key);
    if (live === undefined) return;
    this.counters.planned += 1;
    const plan = planTarget(live, key, store);
    if (plan === undefined || this.#isUndone(key, plan.first)) return;
    try {
      const answer = await writer.execute(plan.first);
      this.counters.changed += 1;
      this.#count(key, plan.first);
      const next = plan.verify(answer);
      log.info({ ...key, direct: next !== undefined }, "target brought in line");
      if (next === undefined) return;
      this.counters.direct += 1;
      await writer.execute(next);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  #count(key: TargetKey, action: Action): void {
    const write = contentOf(action);
    const repetition = this.#repetitions.get(textOf(key));
    if (repetition?.write === write && !this.#isOver(repetition.sinceMs)) repetition.count += 1;
    else this.#repetitions.set(textOf(key), { write, sinceMs: this.#clock.now(), count: 1 });
  }

  /** True when the same write was made too often; the target then waits for the end of the window. */
  #isUndone(key: TargetKey, action: Action): boolean {
    const repetition = this.#repetitions.get(textOf(key));
    if (repetition === undefined || repetition.write !== contentOf(action)) return false;
    if (repetition.count < SAME_WRITES_MAX || this.#isOver(repetition.sinceMs)) return false;
    if (repetition.cancelWait === undefined) {
      const waitMs = repetition.sinceMs + SAME_WRITES_WINDOW_MS - this.#clock.now();
      this.#options.log.warn({ ...key, writes: repetition.count, waitMs }, "somebody undoes what is written; waiting");
      repetition.cancelWait = this.#clock.after(waitMs, () => this.#queue.add(key));
    }
    return true;
  }

  #isOver(sinceMs: number): boolean {
    return this.#clock.now() - sinceMs >= SAME_WRITES_WINDOW_MS;
  }

  #onError(key: TargetKey, error: unknown): void {
    if (isConflict(error)) {
      this.#options.log.debug({ ...key }, "target changed meanwhile");
      return;
    }
    this.counters.errors += 1;
    this.#options.log.warn({ ...key, error: describeError(error) }, "target could not be brought in line");
  }
}

function textOf(key: TargetKey): string {
  return `${key.group}/${key.kind}/${key.namespace}/${key.name}`;
}

/** What an action writes, whatever the version of the object that it was planned on. */
function contentOf(action: Action): string {
  return JSON.stringify(action.kind === "label" ? action.value : action.operations);
}
