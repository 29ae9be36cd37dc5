import type { ClusterWriter } from "../k8s/apply.ts";
import type { AuditSource } from "../k8s/audit-source.ts";
import type { EventSink } from "../k8s/events.ts";
import type { Logger } from "../k8s/ports.ts";
import type { ClusterStore } from "../k8s/store.ts";
import type { AuditState } from "./audit-state.ts";
import type { Work } from "./leader-work.ts";
import { planOnce } from "./plan-once.ts";
import { PolicyReconciler } from "./policies.ts";
import type { Telemetry } from "./ports.ts";
import type { QueueNumbers } from "./queue.ts";
import { Resync, type ResyncCounters } from "./resync.ts";
import { RuleAudit } from "./rule-audit.ts";

export interface ControllerOptions {
  readonly store: ClusterStore;
  readonly writer: ClusterWriter;
  readonly events: EventSink;
  readonly telemetry: Telemetry;
  readonly log: Logger;
  /** Kept beyond one term. */
  readonly totals: ResyncCounters;
  readonly resyncPeriodMs: number;
  /** See {@link Resync}; 0 where admission reads the same store. */
  readonly admissionLagMs: number;
  readonly onQueued: (queue: string, seconds: number) => void;
  readonly audit: {
    readonly source: AuditSource;
    /** Kept beyond one term. */
    readonly state: AuditState;
    readonly periodMs: number;
    readonly onRun: (seconds: number) => void;
  };
}

/** Everything that one term of leadership does to targets and policies, and the audit of what exists. */
export class Controller implements Work {
  readonly #options: ControllerOptions;
  readonly #resync: Resync;
  readonly #policies: PolicyReconciler;
  readonly #audit: RuleAudit;

  constructor(options: ControllerOptions) {
    this.#options = options;
    const { store, writer, events, telemetry, log, totals, resyncPeriodMs, admissionLagMs, onQueued } = options;
    this.#resync = new Resync({
      store,
      writer,
      planTarget: planOnce,
      events,
      telemetry,
      log,
      counters: totals,
      admissionLagMs,
      fullPassMs: resyncPeriodMs,
      onFailureChange: (key) => this.#policies.targetChanged(key),
      onQueued: (seconds) => onQueued("targets", seconds),
    });
    this.#policies = new PolicyReconciler({
      store,
      writer,
      events,
      telemetry,
      log,
      failures: this.#resync.failures,
      fullPassMs: resyncPeriodMs,
      onQueued: (seconds) => onQueued("policies", seconds),
    });
    this.#audit = new RuleAudit({ store, writer, log, ...options.audit });
  }

  async start(): Promise<void> {
    await this.#options.store.whenSynced();
    await Promise.all([this.#resync.start(), this.#policies.start(), this.#audit.start()]);
  }

  async stop(): Promise<void> {
    await Promise.all([this.#resync.stop(), this.#policies.stop(), this.#audit.stop()]);
  }

  /** Resolves when nothing is dirty; what waits for a time of day does not count. */
  async idle(): Promise<void> {
    while (this.dirtyTargets > 0 || this.#policies.depth > 0) {
      await Promise.all([this.#resync.idle(), this.#policies.idle()]);
    }
  }

  /** Targets that are queued, under way, or wait for a retry. */
  get dirtyTargets(): number {
    return this.#resync.depth;
  }

  get counters(): Readonly<ResyncCounters> {
    return this.#resync.counters;
  }

  get queues(): Readonly<Record<"targets" | "policies", QueueNumbers>> {
    return { targets: this.#resync.numbers, policies: this.#policies.numbers };
  }
}
