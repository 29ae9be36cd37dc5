import type { Logger } from "pino";
import type { ServeConfig } from "../config.ts";
import type { Certificates, ServedCertificate } from "../controller/certificates.ts";
import type { Controller } from "../controller/controller.ts";
import type { LeaderWork } from "../controller/leader-work.ts";
import type { RuleRegistrar } from "../controller/rule-registrar.ts";
import { mutatingWebhookConfiguration, validatingWebhookConfiguration } from "../core/admission/registration.ts";
import { READINESS_CHECKS } from "../http/readiness.ts";
import type { AdmissionServer } from "../http/server.ts";
import { ApiError } from "../k8s/api-error.ts";
import { type KubernetesClient, resourcePath } from "../k8s/client.ts";
import type { ClusterStore } from "../k8s/store.ts";
import { type CertificateHalf, startCertificateHalf } from "./certificates.ts";
import { createControllerHalf } from "./controller.ts";
import { openDoor } from "./door.ts";
import { createParts, hostInUrl, type Parts, startOperations } from "./parts.ts";
import { admissionPaths } from "./path-secret.ts";

/** A running Fairlead, both roles in one process: development, demo and tests. */
export interface Fairlead {
  readonly admissionUrl: string;
  readonly operationsUrl: string;
  readonly store: ClusterStore;
  /** What runs while this process leads. */
  readonly work: LeaderWork<Controller>;
  readonly certificates: Certificates;
  readonly rules: RuleRegistrar;
  /** Drains and stops; final. */
  stop(): Promise<void>;
}

/** Constructs every part and starts them in the order in which each needs the ones before. */
export async function startFairlead(config: ServeConfig, log: Logger): Promise<Fairlead> {
  const parts = await createParts(config, log, { checks: READINESS_CHECKS, watchRevisions: true });
  const { store, readiness, client, tracing } = parts;
  if (config.register) await ensureNamespace(client, config.namespace);
  const operations = await startOperations(parts);
  const half = await createControllerHalf(parts);
  const starting = new AbortController();
  let served: ServedCertificate | undefined;
  let server: AdmissionServer | undefined;
  let keeper: CertificateHalf | undefined;
  const stop = async (): Promise<void> => {
    starting.abort();
    readiness.drain();
    // Before the port closes: what the controller has under way is injected by our own webhook.
    await half.work.stop();
    await keeper?.stop();
    await half.stop();
    await server?.drain(config.drain);
    await store.stop();
    await operations.close();
    await tracing.shutdown();
    client.close();
  };
  try {
    store.start();
    half.election.start();
    keeper = await startCertificateHalf({
      parts,
      leadership: half.election,
      writer: half.writer,
      signal: starting.signal,
      mustServe: true,
      onServed(certificate) {
        served = certificate;
        parts.certificateNotAfterMs = certificate.notAfterMs;
        readiness.serveCertificateUntil(certificate.notAfterMs);
        server?.reload(certificate);
      },
      onSettled(inEveryBundle) {
        if (inEveryBundle) readiness.pass("certificateInBundle");
        else readiness.fail("certificateInBundle", "the webhook configurations do not exist, or carry another CA");
      },
    });
    const certificates = keeper?.certificates;
    await certificates?.whenServed();
    if (keeper === undefined || certificates === undefined || served === undefined) {
      throw new Error("Cannot serve: there is no serving certificate; see the log for what it needs");
    }
    readiness.pass("certificateLoaded");
    await store.whenSynced();
    readiness.pass("cachesSynced");
    server = await openDoor(parts, { ...served, pathSecret: keeper.pathSecret });
    const admissionUrl = config.url ?? `https://127.0.0.1:${server.port}`;
    if (config.register) await register(parts, keeper, { url: admissionUrl, bundlePem: served.bundlePem });
    await certificates.check();
    await keeper.rules.check();
    half.work.start();
    log.info({ admission: admissionUrl, operations: operations.port }, "ready");
    const operationsUrl = `http://${hostInUrl(config)}:${operations.port}`;
    return { admissionUrl, operationsUrl, store, work: half.work, certificates, rules: keeper.rules, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function ensureNamespace(client: KubernetesClient, name: string): Promise<void> {
  try {
    const path = resourcePath({ group: "", version: "v1", resource: "namespaces" });
    await client.create(path, { apiVersion: "v1", kind: "Namespace", metadata: { name } });
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 409)) throw error;
  }
}

/** Only after the server has answered a review of its own: a webhook that is registered too early refuses writes. */
async function register(
  { config }: Parts,
  { configurations, pathSecret }: CertificateHalf,
  { url, bundlePem }: { readonly url: string; readonly bundlePem: string },
): Promise<void> {
  const options = {
    clientConfig: { url },
    paths: admissionPaths(pathSecret),
    caBundle: Buffer.from(bundlePem).toString("base64"),
    fairleadNamespace: config.namespace,
    failurePolicy: { services: config.failurePolicy, routes: config.failurePolicy },
  };
  await configurations.register(mutatingWebhookConfiguration(options));
  await configurations.register(validatingWebhookConfiguration(options));
}
