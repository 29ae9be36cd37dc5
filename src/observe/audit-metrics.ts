import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** What the audit last found, read at every scrape. */
export interface AuditNumbers {
  /** By namespace. */
  readonly violations: ReadonlyMap<
    string,
    readonly { readonly rule: string; readonly severity: string; readonly count: number }[]
  >;
  /** Why rules are not audited on a resource. */
  readonly unlisted: ReadonlyMap<string, string>;
  /** The last look at everything; undefined until one has ended. */
  readonly lastFull: { readonly endMs: number; readonly objects: number } | undefined;
  readonly errors: number;
  /** Of every RuleException that has not expired. */
  readonly exceptions: Iterable<{ readonly namespace: string; readonly name: string; readonly expiresAtMs: number }>;
  readonly nowMs: number;
}

/** Namespaces with a label value of their own; those beyond are `other`, so that a large cluster does not flood Prometheus. */
const NAMESPACES_MAX = 200;
const DAY_MS = 24 * 60 * 60 * 1_000;
/** From an empty cluster to one that takes minutes. */
const DURATION_BUCKETS_SECONDS = [0.01, 0.1, 1, 10, 60, 600];

/** The metrics of the audit, in the registry of the controller. Returns what is told when a look has ended. */
export function createAuditMetrics(registry: Registry, read: () => AuditNumbers): (seconds: number) => void {
  for (const metric of [...foundMetrics(read), ...runMetrics(read)]) registry.registerMetric(metric);
  const duration = new Histogram({
    name: "fairlead_audit_duration_seconds",
    help: "Time that one look of the audit took, in seconds",
    buckets: DURATION_BUCKETS_SECONDS,
    registers: [registry],
  });
  return (seconds) => duration.observe(seconds);
}

/** What is wrong, and what is let pass. */
function foundMetrics(read: () => AuditNumbers): readonly Gauge[] {
  const violations = new Gauge({
    name: "fairlead_rule_violations",
    help: "Objects that violate a rule, as the audit last found them, by rule, severity and namespace",
    labelNames: ["rule", "severity", "namespace"],
    registers: [],
    collect() {
      violations.reset();
      const sorted = [...read().violations].sort(([a], [b]) => (a < b ? -1 : 1));
      for (const [index, [name, counts]] of sorted.entries()) {
        const namespace = index < NAMESPACES_MAX ? name : "other";
        for (const { rule, severity, count } of counts) violations.inc({ rule, severity, namespace }, count);
      }
    },
  });
  const daysLeft = new Gauge({
    name: "fairlead_rule_exception_days_left",
    help: "Days until a RuleException ends; absent once it has",
    labelNames: ["namespace", "exception"],
    registers: [],
    collect() {
      daysLeft.reset();
      const { exceptions, nowMs } = read();
      for (const { namespace, name, expiresAtMs } of exceptions)
        if (expiresAtMs > nowMs) daysLeft.set({ namespace, exception: name }, (expiresAtMs - nowMs) / DAY_MS);
    },
  });
  return [violations, daysLeft];
}

/** How the audit itself does. */
function runMetrics(read: () => AuditNumbers): readonly (Gauge | Counter)[] {
  const unlisted = new Gauge({
    name: "fairlead_audit_unlisted_resources",
    help: "1 for each resource that rules match and the audit does not look at, by reason",
    labelNames: ["resource", "reason"],
    registers: [],
    collect() {
      unlisted.reset();
      for (const [resource, reason] of read().unlisted) unlisted.set({ resource, reason }, 1);
    },
  });
  const lastRun = new Gauge({
    name: "fairlead_audit_last_run_timestamp_seconds",
    help: "When the audit last had looked at everything, in seconds since 1970; absent until it has",
    labelNames: [],
    registers: [],
    collect() {
      const { lastFull } = read();
      if (lastFull === undefined) lastRun.remove();
      else lastRun.set(lastFull.endMs / 1_000);
    },
  });
  const objects = new Gauge({
    name: "fairlead_audit_objects",
    help: "Objects that the audit looked at when it last looked at everything",
    registers: [],
    collect() {
      objects.set(read().lastFull?.objects ?? 0);
    },
  });
  const errors = new Counter({
    name: "fairlead_audit_errors_total",
    help: "Namespaces that could not be audited, or whose report could not be written",
    registers: [],
    collect() {
      errors.reset();
      errors.inc(read().errors);
    },
  });
  return [unlisted, lastRun, objects, errors];
}
