import type { Logger } from "pino";
import { Controller } from "../controller/controller.ts";
import { AuditState } from "../controller/audit-state.ts";
import { LeaderWork } from "../controller/leader-work.ts";
import { newCounters } from "../controller/resync.ts";
import type { ServeConfig } from "../config.ts";
import { ClusterWriter } from "../k8s/apply.ts";
import { AuditSource } from "../k8s/audit-source.ts";
import { KubernetesClient } from "../k8s/client.ts";
import { loadCluster } from "../k8s/config.ts";
import { EventRecorder } from "../k8s/events.ts";
import { LeaseClient } from "../k8s/lease.ts";
import { LeaseElection } from "../k8s/lease-election.ts";
import { createAuditMetrics } from "../observe/audit-metrics.ts";
import { type ControllerNumbers, createControllerMetrics } from "../observe/controller-metrics.ts";
import { type CertificateHalf, startCertificateHalf } from "./certificates.ts";
import { createParts, hostInUrl, type Parts, startOperations } from "./parts.ts";
import { createTelemetry } from "./telemetry.ts";

const LEASE = "fairlead-controller";
/** A watch brings a change within a few milliseconds; this leaves room for a busy replica. */
const ADMISSION_LAG_MS = 100;

/** The half of Fairlead that writes; only the leader of its replicas does. */
export interface ControllerHalf {
  readonly election: LeaseElection;
  readonly work: LeaderWork<Controller>;
  readonly writer: ClusterWriter;
  /** Ends what is under way, then gives leadership up. */
  stop(): Promise<void>;
}

export async function createControllerHalf(parts: Parts): Promise<ControllerHalf> {
  const { config, log, client, store, metrics, tracing } = parts;
  // Of its own: a client whose connections are all busy with slow writes would keep a renewal waiting.
  const leaseClient = new KubernetesClient(await loadCluster({ kubeconfig: config.kubeconfig, env: config.env }));
  const election = new LeaseElection({
    lease: new LeaseClient(leaseClient, { namespace: config.namespace, name: LEASE }),
    identity: config.identity,
    timing: config.lease,
    log,
  });
  const mayWrite = (): boolean => election.isLeader;
  const writer = new ClusterWriter({ client, mayWrite });
  const events = new EventRecorder({ client, mayWrite, reportingInstance: config.identity, log });
  const totals = newCounters();
  const controllerMetrics = createControllerMetrics(metrics.registry, (): ControllerNumbers => {
    const { applied, conflicts, failed, rejected } = writer.counters;
    return {
      isLeader: election.isLeader,
      terms: election.transitions.gained,
      queues: work.current?.queues ?? {},
      writes: { applied, conflict: conflicts, failed, rejected },
      directWrites: totals.direct,
      events: { ...events.counters },
    };
  });
  const audit = new AuditState();
  const onAudit = createAuditMetrics(metrics.registry, () => ({
    violations: audit.violations,
    unlisted: audit.unlisted,
    lastFull: audit.lastFull,
    errors: audit.errors,
    exceptions: election.isLeader ? [...store.namespaces()].flatMap(({ name }) => store.exceptionsIn(name)) : [],
    nowMs: Date.now(),
  }));
  const telemetry = createTelemetry(log, controllerMetrics, tracing);
  const work = new LeaderWork({
    leadership: election,
    log,
    create: () =>
      new Controller({
        store,
        writer,
        events,
        telemetry,
        log,
        totals,
        resyncPeriodMs: config.resyncPeriodMs,
        admissionLagMs: config.role === "controller" ? ADMISSION_LAG_MS : 0,
        onQueued: (queue, seconds) => controllerMetrics.queued(queue, seconds),
        audit: {
          source: new AuditSource(client),
          state: audit,
          periodMs: config.auditPeriodMs,
          onRun: onAudit,
        },
      }),
  });
  return {
    election,
    work,
    writer,
    async stop() {
      await work.stop();
      await events.stop();
      await election.stop();
      leaseClient.close();
    },
  };
}

export interface ControllerRole {
  readonly operationsUrl: string;
  readonly half: ControllerHalf;
  stop(): Promise<void>;
}

/** One of a few replicas, of which the leader writes. It answers no reviews. */
export async function startControllerRole(config: ServeConfig, log: Logger): Promise<ControllerRole> {
  const parts = await createParts(config, log, { checks: ["cachesSynced"], watchRevisions: true });
  const { store, readiness, client, tracing } = parts;
  const operations = await startOperations(parts);
  const half = await createControllerHalf(parts);
  const starting = new AbortController();
  let certificates: CertificateHalf | undefined;
  const stop = async (): Promise<void> => {
    starting.abort();
    readiness.drain();
    // First, so that the Lease is given up in time even where a certificate check hangs on a slow API server.
    await half.work.stop();
    await certificates?.stop();
    await half.stop();
    await store.stop();
    await operations.close();
    await tracing.shutdown();
    client.close();
  };
  try {
    store.start();
    half.election.start();
    await store.whenSynced();
    readiness.pass("cachesSynced");
    half.work.start();
    log.info({ role: "controller", operations: operations.port }, "serving");
    const leadership = half.election;
    certificates = await startCertificateHalf({
      parts,
      leadership,
      writer: half.writer,
      signal: starting.signal,
      mustServe: false,
    });
    return { operationsUrl: `http://${hostInUrl(config)}:${operations.port}`, half, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
