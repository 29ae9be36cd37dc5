import { randomBytes } from "node:crypto";
import { request } from "node:https";
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
import { answer } from "./http/admission.ts";
import { type OperationsServer, startOperationsServer } from "./http/operations.ts";
import { Readiness } from "./http/readiness.ts";
import { type AdmissionServer, startAdmissionServer } from "./http/server.ts";
import { ApiError } from "./k8s/api-error.ts";
import { ClusterWriter } from "./k8s/apply.ts";
import { KubernetesClient, resourcePath } from "./k8s/client.ts";
import { loadCluster } from "./k8s/config.ts";
import { Secrets } from "./k8s/secrets.ts";
import { ClusterStore } from "./k8s/store.ts";
import { WebhookConfigurations } from "./k8s/webhook-configurations.ts";
import { createMetrics, type Metrics } from "./observe/metrics.ts";

/** Name of the Service in front of the admission replicas; the serving certificate carries it. */
const ADMISSION_SERVICE = "fairlead-admission";
/** The Secret with the unguessable part of the admission paths, shared by all replicas. */
const PATH_SECRET = "fairlead-path";
/** 128 bits: nobody guesses it (design section 3). */
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
  readonly readiness: Readiness;
  readonly metrics: Metrics;
  readonly configurations: WebhookConfigurations;
  readonly secrets: Secrets;
}

/** Composition root of the server: constructs every part, starts them in the order in which each needs the ones before. */
export async function startFairlead(config: ServeConfig, log: Logger): Promise<Fairlead> {
  let served: ServedCertificate | undefined;
  let server: AdmissionServer | undefined;
  const parts = await construct(config, log, () => served?.notAfterMs);
  const { store, readiness, secrets, configurations, client } = parts;
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
  const resync = new Resync({ store, writer: new ClusterWriter({ client }), planTarget, log });
  const stop = async (): Promise<void> => {
    readiness.drain();
    await resync.stop();
    await certificates.stop();
    await server?.drain(config.drain);
    await store.stop();
    await operations.close();
    client.close();
  };
  try {
    if (config.register) await ensureNamespace(client, config.namespace);
    const pathSecret = await sharedPathSecret(secrets);
    store.start();
    await certificates.start();
    if (served === undefined)
      throw new Error("Cannot serve: there is no serving certificate; see the log for what it needs");
    readiness.pass("certificateLoaded");
    await store.whenSynced();
    readiness.pass("cachesSynced");
    server = await startServer(parts, served, pathSecret);
    const admissionUrl = config.url ?? `https://127.0.0.1:${server.port}`;
    await selfReview({ port: server.port, pathSecret, certificate: served });
    readiness.pass("selfReview");
    if (config.register) await register({ parts, admissionUrl, pathSecret, certificate: served });
    await certificates.check();
    await resync.start();
    log.info({ admission: admissionUrl, operations: operations.port }, "ready");
    return { admissionUrl, operationsUrl: `http://127.0.0.1:${operations.port}`, store, resync, certificates, stop };
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
  const metrics = createMetrics({
    knownKinds: [...TARGET_KINDS, { group: FAIRLEAD_GROUP, kind: "ResiliencePolicy" }],
    stalenessSeconds: () => staleness(store),
    certificateNotAfterMs,
    nowMs: Date.now,
    processMetrics: true,
  });
  return {
    config,
    log,
    client,
    store,
    metrics,
    readiness: new Readiness(),
    configurations: new WebhookConfigurations(client, REGISTRATION_NAME),
    secrets: new Secrets(client, config.namespace),
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
    readiness,
    metrics,
    stalenessSeconds,
    nowMs: Date.now,
    log,
  });
}

function startServer(
  { config, store, log, metrics }: Parts,
  pair: ServedCertificate,
  pathSecret: string,
): Promise<AdmissionServer> {
  const deps = { decide, world: store, log, metrics, monotonicMs: () => performance.now() };
  return startAdmissionServer({
    certPem: pair.certPem,
    keyPem: pair.keyPem,
    port: config.port,
    pathSecret,
    ...(config.host !== undefined && { host: config.host }),
    ...(config.clientCaPem !== undefined && { clientCaPem: config.clientCaPem }),
    answer: (door, body) => answer(door, body, deps),
    log,
    metrics,
  });
}

/** The names under which the API server may reach us: the Service of the chart, and the host of `--url`. */
function servingNames(config: ServeConfig): readonly string[] {
  const service = `${ADMISSION_SERVICE}.${config.namespace}.svc`;
  return [service, "localhost", "127.0.0.1", ...(config.url === undefined ? [] : [new URL(config.url).hostname])];
}

async function ensureNamespace(client: KubernetesClient, name: string): Promise<void> {
  try {
    const path = resourcePath({ group: "", version: "v1", resource: "namespaces" });
    await client.create(path, { apiVersion: "v1", kind: "Namespace", metadata: { name } });
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 409)) throw error;
  }
}

/** Reads the shared secret, or makes it; of two replicas that make it at once, one reads the other's. */
async function sharedPathSecret(secrets: Secrets): Promise<string> {
  const existing = (await secrets.read(PATH_SECRET))?.data["path"];
  if (existing !== undefined) return existing;
  const path = randomBytes(PATH_SECRET_BYTES).toString("hex");
  try {
    await secrets.write(PATH_SECRET, { labels: {}, data: { path } }, undefined);
    return path;
  } catch (error) {
    if (error instanceof ApiError && error.status === 409) return sharedPathSecret(secrets);
    throw error;
  }
}

interface RegisterInput {
  readonly parts: Parts;
  readonly admissionUrl: string;
  readonly pathSecret: string;
  readonly certificate: ServedCertificate;
}

/** Only after the server has answered a review of its own: a webhook that is registered too early refuses writes. */
async function register({ parts, admissionUrl, pathSecret, certificate }: RegisterInput): Promise<void> {
  const { config, configurations } = parts;
  const options = {
    clientConfig: { url: admissionUrl },
    paths: { mutate: `/mutate/${pathSecret}`, validate: `/validate/${pathSecret}` },
    caBundle: Buffer.from(certificate.bundlePem).toString("base64"),
    fairleadNamespace: config.namespace,
    failurePolicy: { services: config.failurePolicy, routes: config.failurePolicy },
  };
  await configurations.register(mutatingWebhookConfiguration(options));
  await configurations.register(validatingWebhookConfiguration(options));
}

const SELF_REVIEW = JSON.stringify({
  apiVersion: "admission.k8s.io/v1",
  kind: "AdmissionReview",
  request: {
    uid: "self-review",
    kind: { group: "", version: "v1", kind: "Service" },
    operation: "CREATE",
    namespace: "default",
    name: "self-review",
    object: { apiVersion: "v1", kind: "Service", metadata: { name: "self-review", namespace: "default" } },
  },
});
const SELF_REVIEW_TIMEOUT_MS = 5_000;

/** Asks our own port as the API server will: certificate, path and evaluator must all work. */
async function selfReview(target: {
  readonly port: number;
  readonly pathSecret: string;
  readonly certificate: ServedCertificate;
}): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const asked = request(
    {
      host: "127.0.0.1",
      port: target.port,
      path: `/validate/${target.pathSecret}`,
      method: "POST",
      ca: target.certificate.bundlePem,
      headers: { "content-type": "application/json", "content-length": SELF_REVIEW.length, connection: "close" },
      timeout: SELF_REVIEW_TIMEOUT_MS,
    },
    (response) => {
      response.resume();
      response.once("end", () => resolve(response.statusCode ?? 0));
    },
  );
  asked.once("timeout", () => asked.destroy(new Error(`no answer within ${SELF_REVIEW_TIMEOUT_MS} ms`)));
  asked.once("error", reject);
  asked.end(SELF_REVIEW);
  const status = await promise;
  if (status !== 200) throw new Error(`Cannot serve: the self-review was answered with HTTP ${status}, wanted 200`);
}
