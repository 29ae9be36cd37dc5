import { EXCLUDED_NAMESPACES, MESH_NAMES, type MeshName, MODES, type Mode } from "./core/names.ts";
import { type MeshVersion, meshVersionOf } from "./core/mesh/version.ts";
import { EXPRESSION_COST_MAX, RULE_COST_MAX, type RuleLimits } from "./core/rules/limits.ts";
import { duration, parseDurationMs } from "./api/v1alpha1/common.ts";
import { LEASE_TIMING, type LeaseTiming, leaseTimingProblem } from "./k8s/lease-step.ts";
import { UsageError } from "./usage-error.ts";
import type { FailurePolicy } from "./core/admission/registration.ts";
import type { DrainOptions } from "./http/server.ts";
import type { WatchTuning } from "./k8s/watch-options.ts";

/** Fairlead's own namespace unless told otherwise; the chart passes its release namespace. */
export const DEFAULT_NAMESPACE = "fairlead";

/** `--mesh linkerd`, in any case. */
export function parseMesh(text: string): MeshName {
  const mesh = MESH_NAMES.find((name) => name.toLowerCase() === text.toLowerCase());
  if (mesh === undefined) throw new UsageError(`Found --mesh ${text}, wanted ${MESH_NAMES.join(" or ")}`);
  return mesh;
}

/** Of nearly every cluster: kubelet's `--cluster-domain` where nobody changed it. */
export const CLUSTER_DOMAIN = "cluster.local";

export function parseMode(text: string): Mode {
  const mode = MODES.find((name) => name === text);
  if (mode === undefined) throw new UsageError(`Found --mode ${text}, wanted ${MODES.join(", ")}`);
  return mode;
}

/** `--mesh-version 2.18`, `1.24` or `2.18,1.24`; the newest known of a mesh that is not named. */
export function parseMeshVersion(text?: string): MeshVersion {
  const version = meshVersionOf(text);
  if (version === undefined) {
    throw new UsageError(
      `Found --mesh-version ${text}, wanted a version of Linkerd from 2.14 on, of Istio from 1.20 on, or both: 2.18,1.24`,
    );
  }
  return version;
}

export function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port;
  throw new UsageError(`Found the port ${text}, wanted a number from 0 to 65535`);
}

/** `--url https://host:port`, without a path: Fairlead adds its own. */
export function parseUrl(text: string): string {
  const url = URL.parse(text);
  if (url?.protocol === "https:" && url.pathname === "/" && url.search === "") return url.origin;
  throw new UsageError(`Found --url ${text}, wanted https://HOST:PORT without a path`);
}

export function excludedNamespaces(own: string): ReadonlySet<string> {
  return new Set([...EXCLUDED_NAMESPACES, own]);
}

const PERIOD = duration("");

/** A duration such as `15s`, as in policies; in milliseconds. */
export function parsePeriod(flag: string, text: string): number {
  if (PERIOD.safeParse(text).success) return parseDurationMs(text);
  throw new UsageError(`Found ${flag} ${text}, wanted a duration such as 15s or 1m30s`);
}

const COST_LIMIT = /^[1-9][0-9]{0,9}$/;

/** `--rule-cost-limit` and `--request-cost-limit`, in units of `Budget`. More than the API server's a rule never gets. */
export function parseRuleLimits(flags: Record<"rule" | "request", string>): RuleLimits {
  const units = (name: "rule" | "request", max: number): number => {
    const found = Number(flags[name]);
    if (COST_LIMIT.test(flags[name]) && found <= max) return found;
    throw new UsageError(`Found --${name}-cost-limit ${flags[name]}, wanted a whole number from 1 to ${max}`);
  };
  const [rule, request] = [units("rule", RULE_COST_MAX), units("request", REQUEST_COST_LIMIT_MAX)];
  if (request >= rule) return { expression: Math.min(rule, EXPRESSION_COST_MAX), rule, request };
  throw new UsageError(`Found --request-cost-limit ${request}, wanted at least --rule-cost-limit, ${rule}`);
}

/** The three flags of leader election; the defaults are those of client-go. */
export function parseLeaseTiming(
  flags: Record<"duration" | "renewDeadline" | "retryPeriod", string | undefined>,
): LeaseTiming {
  const period = (name: string, text: string | undefined, absent: number): number =>
    text === undefined ? absent : parsePeriod(`--lease-${name}`, text);
  const timing = {
    leaseDurationMs: period("duration", flags.duration, LEASE_TIMING.leaseDurationMs),
    renewDeadlineMs: period("renew-deadline", flags.renewDeadline, LEASE_TIMING.renewDeadlineMs),
    retryPeriodMs: period("retry-period", flags.retryPeriod, LEASE_TIMING.retryPeriodMs),
  };
  const problem = leaseTimingProblem(timing);
  if (problem !== undefined) throw new UsageError(problem);
  return timing;
}

/** Ten rules that each cost as much as the API server lets them. */
const REQUEST_COST_LIMIT_MAX = 10 * RULE_COST_MAX;

/** Which half of Fairlead a process is; development and demo run both in one. */
export const ROLES = ["all", "admission", "controller"] as const;
export type Role = (typeof ROLES)[number];

/** Who makes the certificates: Fairlead, or another tool such as cert-manager. */
export const CERTIFICATE_SOURCES = ["self-managed", "external"] as const;
export type CertificateSource = (typeof CERTIFICATE_SOURCES)[number];

/** The resync period that controller-runtime recommends is ten hours; ours is also the repair of lost writes. */
export const RESYNC_PERIOD_MS = 10 * 60_000;
/** Rules that depend on the time, and objects that nobody watches. */
export const AUDIT_PERIOD_MS = 60 * 60_000;

/** Everything that `serve` can be told. */
export interface ServeConfig {
  readonly role: Role;
  /** Where `tls.crt`, `tls.key`, `ca.crt` and `path` are mounted; with the role `admission` only, and needed there. */
  readonly certificateDir: string | undefined;
  readonly certificates: CertificateSource;
  readonly lease: LeaseTiming;
  /** Who holds the Lease, as `kubectl get lease` shows it. */
  readonly identity: string;
  /** How often every target and policy is looked at without a reason. */
  readonly resyncPeriodMs: number;
  /** How often everything in the namespaces that opted in is judged by the rules without a reason. */
  readonly auditPeriodMs: number;
  /** What rules may cost while a request waits, and in the audit. */
  readonly ruleLimits: RuleLimits;
  /** Path of a kubeconfig; undefined: the service account of the pod, found through `env`. */
  readonly kubeconfig: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Fairlead's own namespace, which holds its Secrets and is never matched. */
  readonly namespace: string;
  /** Address of both ports; undefined: all. */
  readonly host: string | undefined;
  /** 0 takes a free port. */
  readonly port: number;
  readonly operationsPort: number;
  /** Create the webhook configurations, pointing at `url` (development and demo). */
  readonly register: boolean;
  /** Where the API server reaches the admission port; undefined: 127.0.0.1. */
  readonly url: string | undefined;
  readonly mesh: MeshName | undefined;
  readonly meshVersion: MeshVersion;
  /** What the DNS names of Services end in. */
  readonly clusterDomain: string;
  /** Of the validating webhooks for Services and routes. */
  readonly failurePolicy: FailurePolicy;
  /** CA of the API server's client certificate, where the cluster can present one. */
  readonly clientCaPem: string | undefined;
  readonly drain: DrainOptions;
  readonly watchTuning?: Partial<WatchTuning>;
  /** The clock that exceptions end by, milliseconds since 1970; absent: the system's. */
  readonly nowMs?: () => number;
}
