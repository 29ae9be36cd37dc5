import { setImmediate } from "node:timers/promises";
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
 * Against a tool that undoes every write at once, an undamped loop was measured at a hundred writes a second. This many
 * in this time are more than a person, a rollout or a conflict ever needs on one target.
 */
const CHANGES_MAX = 5;
const CHANGES_WINDOW_MS = 30_000;

/** Writes to one target within the window. */
interface Changes {
  count: number;
  readonly sinceMs: number;
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
  readonly #changes = new Map<string, Changes>();
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
    for (const { cancelWait } of this.#changes.values()) cancelWait?.();
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
    for (const [id, { sinceMs }] of this.#changes) if (this.#isOver(sinceMs)) this.#changes.delete(id);
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
    if (plan === undefined || this.#isFoughtOver(key)) return;
    try {
      const answer = await writer.execute(plan.first);
      this.counters.changed += 1;
      this.#countChange(key);
      const next = plan.verify(answer);
      log.info({ ...key, direct: next !== undefined }, "target brought in line");
      if (next === undefined) return;
      this.counters.direct += 1;
      await writer.execute(next);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  #countChange(key: TargetKey): void {
    const changes = this.#changes.get(textOf(key));
    if (changes !== undefined && !this.#isOver(changes.sinceMs)) changes.count += 1;
    else this.#changes.set(textOf(key), { count: 1, sinceMs: this.#clock.now() });
  }

  /** True when there were too many writes; the target then waits for the end of the window. */
  #isFoughtOver(key: TargetKey): boolean {
    const changes = this.#changes.get(textOf(key));
    if (changes === undefined || changes.count < CHANGES_MAX || this.#isOver(changes.sinceMs)) return false;
    if (changes.cancelWait === undefined) {
      this.#options.log.warn(
        { ...key, writes: changes.count },
        "somebody undoes what is written to this target; waiting",
      );
      changes.cancelWait = this.#clock.after(CHANGES_WINDOW_MS, () => this.#queue.add(key));
    }
    return true;
  }

  #isOver(sinceMs: number): boolean {
    return this.#clock.now() - sinceMs >= CHANGES_WINDOW_MS;
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
