import type { Logger } from "pino";
import { ADMISSION_RULE_KIND } from "../api/v1alpha1/admission-rule.ts";
import { RESILIENCE_POLICY_KIND } from "../api/v1alpha1/resilience-policy.ts";
import { RULE_EXCEPTION_KIND } from "../api/v1alpha1/rule-exception.ts";
import { excludedNamespaces, type ServeConfig } from "../config.ts";
import { compilePolicy } from "../core/intent/policy.ts";
import { versionsTaken } from "../core/mesh/discovery.ts";
import { FAIRLEAD_GROUP, TARGET_KINDS } from "../core/names.ts";
import { type OperationsServer, startOperationsServer } from "../http/operations.ts";
import { Readiness, type ReadinessCheck } from "../http/readiness.ts";
import { KubernetesClient } from "../k8s/client.ts";
import { loadCluster } from "../k8s/config.ts";
import { ClusterStore } from "../k8s/store.ts";
import { createMetrics, type Metrics } from "../observe/metrics.ts";
import { createTracing, type Tracing } from "../observe/tracing.ts";

/** Kinds that people write for Fairlead. */
const OWN_KINDS = [RESILIENCE_POLICY_KIND, ADMISSION_RULE_KIND, RULE_EXCEPTION_KIND];
/** Name of the Service in front of the admission replicas; the serving certificate carries it. */
const ADMISSION_SERVICE = "fairlead-admission";

/** What every role has. */
export interface Parts {
  readonly config: ServeConfig;
  readonly log: Logger;
  readonly client: KubernetesClient;
  readonly store: ClusterStore;
  readonly readiness: Readiness;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  /** End of the served certificate in milliseconds since 1970; a role that serves none leaves it. */
  certificateNotAfterMs: number | undefined;
}

export interface PartsOptions {
  /** What must hold before the process is ready. */
  readonly checks: readonly ReadinessCheck[];
  readonly watchRevisions: boolean;
}

export async function createParts(config: ServeConfig, log: Logger, options: PartsOptions): Promise<Parts> {
  const client = new KubernetesClient(await loadCluster({ kubeconfig: config.kubeconfig, env: config.env }));
  const tracing = await createTracing(config.env, log);
  const store = new ClusterStore({
    client,
    compilePolicy,
    log,
    ownNamespace: config.namespace,
    watchRevisions: options.watchRevisions,
    defaults: {
      // The API server has matched the label already; until the watch brings it, nothing is denied by guess.
      unknownNamespaceMode: "warn",
      mesh: config.mesh,
      meshVersion: config.meshVersion,
      clusterDomain: config.clusterDomain,
      excludedNamespaces: excludedNamespaces(config.namespace),
      ruleLimits: config.ruleLimits,
      controllerUser: controllerUser(config),
    },
    ...(config.watchTuning && { tuning: config.watchTuning }),
  });
  const metrics = createMetrics({
    knownKinds: [...TARGET_KINDS, ...OWN_KINDS.map((kind) => ({ group: FAIRLEAD_GROUP, kind }))],
    stalenessSeconds: () => staleness(store),
    meshVersions: () => versionsTaken(store),
    certificateNotAfterMs: () => parts.certificateNotAfterMs,
    nowMs: Date.now,
    processMetrics: true,
  });
  const readiness = new Readiness(options.checks);
  const parts: Parts = {
    config,
    log,
    client,
    store,
    readiness,
    metrics,
    tracing,
    certificateNotAfterMs: undefined,
  };
  return parts;
}

function staleness(store: ClusterStore): readonly (readonly [kind: string, seconds: number])[] {
  return store.watchStates().map((state) => {
    const name = state.group === "" ? state.resource : `${state.resource}.${state.group}`;
    return [name, state.stalenessMs / 1000] as const;
  });
}

export function startOperations({ config, readiness, metrics, store, log }: Parts): Promise<OperationsServer> {
  return startOperationsServer({
    port: config.operationsPort,
    ...(config.host !== undefined && { host: config.host }),
    readiness,
    metrics,
    stalenessSeconds: () => staleness(store),
    meshVersions: () => versionsTaken(store),
    nowMs: Date.now,
    log,
  });
}

const LOOPBACK = "127.0.0.1";

/** An address for all interfaces is one to listen on; loopback is among them. */
export function reachableHost(config: ServeConfig): string {
  return config.host ?? LOOPBACK;
}

/** As it stands in a URL, with brackets around an IPv6 address. */
export function hostInUrl(config: ServeConfig): string {
  const host = reachableHost(config);
  return host.includes(":") ? `[${host}]` : host;
}

/** Under which the chart runs the controller. */
const CONTROLLER_SERVICE_ACCOUNT = "fairlead-controller";

/** What the controller is to the API server; development runs it as whoever the kubeconfig says. */
export function controllerUser({ namespace }: ServeConfig): string {
  return `system:serviceaccount:${namespace}:${CONTROLLER_SERVICE_ACCOUNT}`;
}

/** The name under which the API server reaches admission through the chart's Service. */
export function serviceName(config: ServeConfig): string {
  return `${ADMISSION_SERVICE}.${config.namespace}.svc`;
}

/** The names under which the API server may reach us: the Service of the chart, and the host of `--url`. */
export function servingNames(config: ServeConfig): readonly string[] {
  // A URL has brackets around an IPv6 address, a certificate has none.
  const host = config.url === undefined ? [] : [new URL(config.url).hostname.replace(/^\[(.*)\]$/, "$1")];
  return [...new Set([serviceName(config), "localhost", LOOPBACK, ...host])];
}
