import {
  AUDIT_PERIOD_MS,
  CLUSTER_DOMAIN,
  DEFAULT_NAMESPACE,
  parseMeshVersion,
  RESYNC_PERIOD_MS,
  type ServeConfig,
} from "../config.ts";
import { SERVE_LIMITS } from "../core/rules/limits.ts";
import { LEASE_TIMING } from "../k8s/lease-step.ts";

/** Fairlead beside a control plane of its own on this machine, on free ports of the loopback address: demo and tests. */
export function localServeConfig(kubeconfig: string): ServeConfig {
  return {
    role: "all",
    certificateDir: undefined,
    certificates: "self-managed",
    lease: LEASE_TIMING,
    identity: "local",
    resyncPeriodMs: RESYNC_PERIOD_MS,
    auditPeriodMs: AUDIT_PERIOD_MS,
    ruleLimits: SERVE_LIMITS,
    kubeconfig,
    env: {},
    namespace: DEFAULT_NAMESPACE,
    host: "127.0.0.1",
    port: 0,
    operationsPort: 0,
    register: true,
    url: undefined,
    mesh: undefined,
    meshVersion: parseMeshVersion(),
    clusterDomain: CLUSTER_DOMAIN,
    failurePolicy: "Ignore",
    clientCaPem: undefined,
    drain: { serveMs: 0, inFlightMs: 3_000 },
  };
}
