import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** What is read at every scrape: totals since the start, and the state now. */
export interface ControllerNumbers {
  readonly isLeader: boolean;
  /** How often this replica became the leader. */
  readonly terms: number;
  readonly queues: Readonly<Record<string, QueueState>>;
  /** Writes to the API server by outcome. */
  readonly writes: Readonly<Record<"applied" | "conflict" | "failed" | "rejected", number>>;
  /** Targets on which the webhook had not acted, so that keys were written directly. */
  readonly directWrites: number;
  /** Events by outcome. */
  readonly events: Readonly<Record<string, number>>;
}

interface QueueState {
  readonly ready: number;
  readonly waiting: number;
  readonly adds: number;
  readonly retries: number;
}

export interface ControllerMetrics {
  reconciled(what: string, result: string, seconds: number): void;
  drift(kind: string): void;
  /** How long a key was ready before its turn came. */
  queued(queue: string, seconds: number): void;
}

/** From a look that finds nothing to do to the timeout of a write. */
const DURATION_BUCKETS_SECONDS = [0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30];

/** The metrics of the controller, in the registry of its process. */
export function createControllerMetrics(registry: Registry, read: () => ControllerNumbers): ControllerMetrics {
  const registers = [registry];
  const durations = new Histogram({
    name: "fairlead_reconcile_duration_seconds",
    help: "Time that one look at a target or a policy took, its writes included, in seconds",
    labelNames: ["what", "result"],
    buckets: DURATION_BUCKETS_SECONDS,
    registers,
  });
  const latency = new Histogram({
    name: "fairlead_queue_latency_seconds",
    help: "Time from when a key was ready until its turn came, in seconds",
    labelNames: ["queue"],
    buckets: DURATION_BUCKETS_SECONDS,
    registers,
  });
  const drift = new Counter({
    name: "fairlead_drift_total",
    help: "Targets and generated objects that somebody had changed or deleted, put back, by kind",
    labelNames: ["kind"],
    registers,
  });
  registerReadings(registry, read);
  return {
    reconciled: (what, result, seconds) => durations.observe({ what, result }, seconds),
    drift: (kind) => drift.inc({ kind }),
    queued: (queue, seconds) => latency.observe({ queue }, seconds),
  };
}

type Reading = Iterable<readonly [label: string, value: number]>;

interface Family {
  readonly name: string;
  readonly help: string;
  readonly of: (numbers: ControllerNumbers) => number | Reading;
  /** Absent: one value without a label. */
  readonly label?: "queue" | "result";
}

const GAUGES: readonly Family[] = [
  {
    name: "fairlead_leader",
    help: "1 while this replica is the leader, else 0",
    of: ({ isLeader }) => Number(isLeader),
  },
  {
    name: "fairlead_queue_depth",
    help: "Keys that are ready and wait for their turn",
    label: "queue",
    of: ({ queues }) => of(queues, "ready"),
  },
  {
    name: "fairlead_queue_waiting",
    help: "Keys that wait for a retry or the end of their interval",
    label: "queue",
    of: ({ queues }) => of(queues, "waiting"),
  },
];

const COUNTERS: readonly Family[] = [
  { name: "fairlead_leader_terms_total", help: "How often this replica became the leader", of: ({ terms }) => terms },
  {
    name: "fairlead_direct_writes_total",
    help: "Targets to which settings were written directly, because the webhook had not acted",
    of: ({ directWrites }) => directWrites,
  },
  {
    name: "fairlead_queue_adds_total",
    help: "Keys added to a queue",
    label: "queue",
    of: ({ queues }) => of(queues, "adds"),
  },
  {
    name: "fairlead_queue_retries_total",
    help: "Runs that failed and are tried again",
    label: "queue",
    of: ({ queues }) => of(queues, "retries"),
  },
  {
    name: "fairlead_writes_total",
    help: "Writes to the API server, by result",
    label: "result",
    of: ({ writes }) => Object.entries(writes),
  },
  {
    name: "fairlead_events_total",
    help: "Events for kubectl describe, by result",
    label: "result",
    of: ({ events }) => Object.entries(events),
  },
];

function of(queues: ControllerNumbers["queues"], field: keyof QueueState): Reading {
  return Object.entries(queues).map(([name, state]) => [name, state[field]] as const);
}

function registerReadings(registry: Registry, read: () => ControllerNumbers): void {
  for (const [Kind, families] of [[Gauge, GAUGES] as const, [Counter, COUNTERS] as const]) {
    for (const { name, help, label, of } of families) {
      const metric: Gauge | Counter = new Kind({
        name,
        help,
        labelNames: label === undefined ? [] : [label],
        registers: [],
        collect() {
          metric.reset();
          const found = of(read());
          if (typeof found === "number") metric.inc(found);
          else if (label !== undefined) for (const [value, number] of found) metric.inc({ [label]: value }, number);
        },
      });
      registry.registerMetric(metric);
    }
  }
}
