import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import { Distribution, Tally } from "./scraped.ts";
import { createRuleMetrics, type RuleMetrics } from "./rule-metrics.ts";

/** How one review ended. The mutating door: patched or unchanged; the validating one: allowed or denied. */
export type ReviewDecision = "patched" | "unchanged" | "allowed" | "denied" | "skipped" | "bad_request" | "error";

/** Why the admission port turned a request away before it was read as a review. */
export type Refusal = "path" | "content_type" | "too_large" | "body_timeout" | "aborted" | "protocol" | "tls";

/** As labels of a metric. */
interface MeshVersionSeen {
  readonly mesh: string;
  readonly revision: string;
  readonly version: string;
  readonly source: string;
}

interface GroupKind {
  readonly group: string;
  readonly kind: string;
}

export interface ReviewObservation {
  readonly door: string;
  /** Undefined when the review could not be read. */
  readonly kind: GroupKind | undefined;
  readonly operation: string;
  readonly mode: string;
  readonly decision: ReviewDecision;
  readonly durationSeconds: number;
}

export interface MetricsOptions {
  /** Kinds that get a label value of their own; every other kind is `other`, so that labels stay bounded. */
  readonly knownKinds: readonly GroupKind[];
  /** Seconds since each watch last heard from the API server, read at every scrape. */
  readonly stalenessSeconds: () => Iterable<readonly [kind: string, seconds: number]>;
  /** The versions of meshes that settings are compiled for, read at every scrape. */
  readonly meshVersions: () => Iterable<MeshVersionSeen>;
  /** End of the served certificate in milliseconds since 1970, or undefined while there is none. */
  readonly certificateNotAfterMs: () => number | undefined;
  /** Wall clock, milliseconds since 1970. */
  readonly nowMs: () => number;
  /** Memory, CPU, event loop and garbage collection of the process; switched off in tests. */
  readonly processMetrics: boolean;
}

export interface Metrics extends RuleMetrics {
  readonly registry: Registry;
  review(observation: ReviewObservation): void;
  finding(code: string, severity: string): void;
  refused(reason: Refusal): void;
}

/** From what a small review takes (50 microseconds) to beyond the webhook's timeout of 3 s. */
const DURATION_BUCKETS_SECONDS = [
  0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5, 5,
];

/** Metrics of one process (or one test) in a registry of their own. */
export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const kindLabel = kindLabels(options.knownKinds);
  const reviews = new Tally(registry, {
    name: "fairlead_admission_reviews_total",
    help: "Admission reviews answered, by door, kind, operation, mode of the namespace and decision",
    labelNames: ["door", "kind", "operation", "mode", "decision"],
  });
  const durations = new Distribution(registry, {
    name: "fairlead_admission_duration_seconds",
    help: "Time from the whole body to the answer, in seconds",
    label: "door",
    buckets: DURATION_BUCKETS_SECONDS,
  });
  const findings = new Counter({
    name: "fairlead_findings_total",
    help: "Findings reported, by code and severity",
    labelNames: ["code", "severity"],
    registers,
  });
  const refusals = new Counter({
    name: "fairlead_admission_refused_total",
    help: "Requests turned away before they were read as a review, by reason",
    labelNames: ["reason"],
    registers,
  });
  registerGauges(registry, options);
  if (options.processMetrics) collectDefaultMetrics({ register: registry });
  return {
    ...createRuleMetrics(registry),
    registry,
    review({ door, kind, operation, mode, decision, durationSeconds }) {
      reviews.count(door, kindLabel(kind), operation, mode, decision);
      durations.observe(door, durationSeconds);
    },
    finding: (code, severity) => findings.inc({ code, severity }),
    refused: (reason) => refusals.inc({ reason }),
  };
}

function registerGauges(registry: Registry, options: MetricsOptions): void {
  const staleness = new Gauge({
    name: "fairlead_world_staleness_seconds",
    help: "Seconds since the watch of a kind last heard from the API server",
    labelNames: ["kind"],
    registers: [],
    collect() {
      this.reset();
      for (const [kind, seconds] of options.stalenessSeconds()) this.set({ kind }, seconds);
    },
  });
  const certificate = new Gauge({
    name: "fairlead_certificate_seconds_left",
    help: "Seconds until the served certificate expires; negative once it has, absent while there is none",
    labelNames: [],
    registers: [],
    collect() {
      const notAfterMs = options.certificateNotAfterMs();
      if (notAfterMs === undefined) this.remove();
      else this.set((notAfterMs - options.nowMs()) / 1_000);
    },
  });
  const versions = new Gauge({
    name: "fairlead_mesh_version_info",
    help: "1 for each version of a mesh that settings are compiled for, by revision and where the version is from",
    labelNames: ["mesh", "revision", "version", "source"],
    registers: [],
    collect() {
      this.reset();
      for (const { mesh, revision, version, source } of options.meshVersions())
        this.set({ mesh, revision, version, source }, 1);
    },
  });
  registry.registerMetric(versions);
  registry.registerMetric(staleness);
  registry.registerMetric(certificate);
}

/** `Service`, `HTTPRoute.gateway.networking.k8s.io`, or `other`. */
function kindLabels(known: readonly GroupKind[]): (kind: GroupKind | undefined) => string {
  const labels = known.map(({ group, kind }) => ({ group, kind, label: group === "" ? kind : `${kind}.${group}` }));
  return (found) => labels.find((l) => l.kind === found?.kind && l.group === found.group)?.label ?? "other";
}
