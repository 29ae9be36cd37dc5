import { randomBytes } from "node:crypto";
import type { Logger } from "pino";
import { excludedNamespaces, type ServeConfig } from "./config.ts";
import { Certificates, type ServedCertificate } from "./controller/certificates.ts";
import { Resync } from "./controller/resync.ts";
import { decide } from "./core/admission/decide.ts";
import { planTarget } from "./core/admission/plan.ts";
import {
  mutatingWebhookConfiguration,
  REGISTRATION_NAME,
  validatingWebhookConfiguration,
} from "./core/admission/registration.ts";
import { compilePolicy } from "./core/intent/policy.ts";
import { FAIRLEAD_GROUP, TARGET_KINDS } from "./core/names.ts";
import { answer, type Answer, type Door } from "./http/admission.ts";
import { type OperationsServer, startOperationsServer } from "./http/operations.ts";
import { Readiness } from "./http/readiness.ts";
import { selfReview } from "./http/self-review.ts";
import { type AdmissionServer, startAdmissionServer } from "./http/server.ts";
import { ApiError } from "./k8s/api-error.ts";
import { ClusterWriter } from "./k8s/apply.ts";
import { KubernetesClient, resourcePath } from "./k8s/client.ts";
import { loadCluster } from "./k8s/config.ts";
import { Secrets } from "./k8s/secrets.ts";
import { ClusterStore } from "./k8s/store.ts";
import { WebhookConfigurations } from "./k8s/webhook-configurations.ts";
import { createMetrics, type Metrics, type ResyncNumbers } from "./observe/metrics.ts";

/** Name of the Service in front of the admission replicas; the serving certificate carries it. */
const ADMISSION_SERVICE = "fairlead-admission";
/** The Secret with the unguessable part of the admission paths, shared by all replicas. */
const PATH_SECRET = "fairlead-path";
/** 128 bits: nobody guesses it (docs/architecture.md). */
const PATH_SECRET_BYTES = 16;

/** A running Fairlead, both roles in one process. */
export interface Fairlead {
  readonly admissionUrl: string;
  readonly operationsUrl: string;
  readonly store: ClusterStore;
  readonly resync: Resync;
  readonly certificates: Certificates;
  /** Drains and stops; final. */
  stop(): Promise<void>;
}

interface Parts {
  readonly config: ServeConfig;
  readonly log: Logger;
  readonly client: KubernetesClient;
  readonly store: ClusterStore;
  readonly resync: Resync;
  readonly readiness: Readiness;
  readonly metrics: Metrics;
  readonly configurations: WebhookConfigurations;
  readonly secrets: Secrets;
  /** The part of the admission paths that nobody can guess. */
  readonly pathSecret: string;
  /** What stands behind the two paths. */
  readonly answer: (door: Door, body: Buffer) => Answer;
}

/** Composition root of the server: constructs every part, starts them in the order in which each needs the ones before. */
export async function startFairlead(config: ServeConfig, log: Logger): Promise<Fairlead> {
  let served: ServedCertificate | undefined;
  let server: AdmissionServer | undefined;
  const parts = await construct(config, log, () => served?.notAfterMs);
  const { store, resync, readiness, secrets, configurations, client, pathSecret } = parts;
  const operations = await startOperations(parts);
  const certificates = new Certificates({
    secrets,
    configurations,
    names: servingNames(config),
    log,
    nowMs: Date.now,
    onServed(certificate) {
      served = certificate;
      readiness.serveCertificateUntil(certificate.notAfterMs);
      server?.reload(certificate);
    },
    onSettled(inEveryBundle) {
      if (inEveryBundle) readiness.pass("certificateInBundle");
      else readiness.fail("certificateInBundle", "the webhook configurations do not exist, or carry another CA");
    },
  });
  const stop = async (): Promise<void> => {
    readiness.drain();
    // Before the port closes: what resync has under way is injected by our own webhook.
    await Promise.all([resync.stop(), certificates.stop()]);
    await server?.drain(config.drain);
    await store.stop();
    await operations.close();
    client.close();
  };
  try {
    store.start();
    await certificates.start();
    if (served === undefined)
      throw new Error("Cannot serve: there is no serving certificate; see the log for what it needs");
    readiness.pass("certificateLoaded");
    await store.whenSynced();
    readiness.pass("cachesSynced");
    server = await startServer(parts, served);
    const admissionUrl = config.url ?? `https://127.0.0.1:${server.port}`;
    await selfReview({
      // An address for all interfaces is one to listen on; loopback is among them.
      host: config.host ?? LOOPBACK,
      port: server.port,
      pathSecret,
      caPem: served.bundlePem,
      ...(config.clientCaPem !== undefined && { inProcess: parts.answer }),
    });
    readiness.pass("selfReview");
    if (config.register) await register(parts, admissionUrl, served);
    await certificates.check();
    await resync.start();
    log.info({ admission: admissionUrl, operations: operations.port }, "ready");
    return {
      admissionUrl,
      operationsUrl: `http://${loopbackOr(config.host)}:${operations.port}`,
      store,
      resync,
      certificates,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function construct(
  config: ServeConfig,
  log: Logger,
  certificateNotAfterMs: () => number | undefined,
): Promise<Parts> {
  const client = new KubernetesClient(await loadCluster({ kubeconfig: config.kubeconfig, env: config.env }));
  if (config.register) await ensureNamespace(client, config.namespace);
  const secrets = new Secrets(client, config.namespace);
  const pathSecret = await sharedPathSecret(secrets);
  const store = new ClusterStore({
    client,
    compilePolicy,
    log,
    defaults: {
      // The API server has matched the label already; until the watch brings it, nothing is denied by guess.
      unknownNamespaceMode: "warn",
      mesh: config.mesh,
      meshVersion: config.meshVersion,
      excludedNamespaces: excludedNamespaces(config.namespace),
    },
    ...(config.watchTuning && { tuning: config.watchTuning }),
  });
  const writer = new ClusterWriter({ client });
  const resync = new Resync({ store, writer, planTarget, log });
  const metrics = createMetrics({
    knownKinds: [...TARGET_KINDS, { group: FAIRLEAD_GROUP, kind: "ResiliencePolicy" }],
    stalenessSeconds: () => staleness(store),
    certificateNotAfterMs,
    nowMs: Date.now,
    resync: () => resyncNumbers(resync, writer),
    processMetrics: true,
  });
  const deps = { decide, world: store, log, metrics, monotonicMs: () => performance.now() };
  return {
    config,
    log,
    client,
    store,
    resync,
    metrics,
    answer: (door, body) => answer(door, body, deps),
    readiness: new Readiness(),
    configurations: new WebhookConfigurations(client, REGISTRATION_NAME, admissionPaths(pathSecret)),
    secrets,
    pathSecret,
  };
}

function resyncNumbers(resync: Resync, writer: ClusterWriter): ResyncNumbers {
  const { errors, ...targets } = resync.counters;
  const { applied, conflicts, failed, rejected } = writer.counters;
  return {
    targets: { ...targets, error: errors },
    writes: { applied, conflict: conflicts, failed, rejected },
    waiting: resync.depth,
  };
}

function staleness(store: ClusterStore): readonly (readonly [kind: string, seconds: number])[] {
  return store.watchStates().map((state) => {
    const name = state.group === "" ? state.resource : `${state.resource}.${state.group}`;
    return [name, state.stalenessMs / 1000] as const;
  });
}

function startOperations({ config, readiness, metrics, store, log }: Parts): Promise<OperationsServer> {
  const stalenessSeconds = (): ReturnType<typeof staleness> => staleness(store);
  return startOperationsServer({
    port: config.operationsPort,
    ...(config.host !== undefined && { host: config.host }),
    readiness,
    metrics,
    stalenessSeconds,
    nowMs: Date.now,
    log,
  });
}

function startServer(
  { config, log, metrics, pathSecret, answer }: Parts,
  pair: ServedCertificate,
): Promise<AdmissionServer> {
  return startAdmissionServer({
    certPem: pair.certPem,
    keyPem: pair.keyPem,
    port: config.port,
    pathSecret,
    ...(config.host !== undefined && { host: config.host }),
    ...(config.clientCaPem !== undefined && { clientCaPem: config.clientCaPem }),
    answer,
    log,
    metrics,
  });
}

const LOOPBACK = "127.0.0.1";

/** As it stands in a URL, with brackets around an IPv6 address. */
function loopbackOr(host: string = LOOPBACK): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** The names under which the API server may reach us: the Service of the chart, and the host of `--url`. */
function servingNames(config: ServeConfig): readonly string[] {
  const service = `${ADMISSION_SERVICE}.${config.namespace}.svc`;
  // A URL has brackets around an IPv6 address, a certificate has none.
  const host = config.url === undefined ? [] : [new URL(config.url).hostname.replace(/^\[(.*)\]$/, "$1")];
  return [...new Set([service, "localhost", "127.0.0.1", ...host])];
}

async function ensureNamespace(client: KubernetesClient, name: string): Promise<void> {
  try {
    const path = resourcePath({ group: "", version: "v1", resource: "namespaces" });
    await client.create(path, { apiVersion: "v1", kind: "Namespace", metadata: { name } });
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 409)) throw error;
  }
}

/**
 * Reads the shared secret, or makes it, also in a Secret that was created empty; of two replicas that make it at once,
 * one reads the other's.
 */
async function sharedPathSecret(secrets: Secrets): Promise<string> {
  const existing = await secrets.read(PATH_SECRET);
  if (existing?.data["path"]) return existing.data["path"];
  const path = randomBytes(PATH_SECRET_BYTES).toString("hex");
  try {
    const { labels = {}, data = {} } = existing ?? {};
    await secrets.write(PATH_SECRET, { labels, data: { ...data, path } }, existing);
    return path;
  } catch (error) {
    if (error instanceof ApiError && error.status === 409) return sharedPathSecret(secrets);
    throw error;
  }
}

function admissionPaths(secret: string): { readonly mutate: string; readonly validate: string } {
  return { mutate: `/mutate/${secret}`, validate: `/validate/${secret}` };
}

/** Only after the server has answered a review of its own: a webhook that is registered too early refuses writes. */
async function register(
  { config, configurations, pathSecret }: Parts,
  url: string,
  certificate: ServedCertificate,
): Promise<void> {
  const options = {
    clientConfig: { url },
    paths: admissionPaths(pathSecret),
    caBundle: Buffer.from(certificate.bundlePem).toString("base64"),
    fairleadNamespace: config.namespace,
    failurePolicy: { services: config.failurePolicy, routes: config.failurePolicy },
  };
  await configurations.register(mutatingWebhookConfiguration(options));
  await configurations.register(validatingWebhookConfiguration(options));
}
