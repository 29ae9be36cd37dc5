import type { Logger } from "pino";
import { isInBundles } from "../controller/bundle-check.ts";
import type { ServeConfig } from "../config.ts";
import { REGISTRATION_NAME } from "../core/admission/registration.ts";
import { CertificateMount, type MountedCertificate } from "../http/mounted-certificate.ts";
import { READINESS_CHECKS } from "../http/readiness.ts";
import type { AdmissionServer } from "../http/server.ts";
import { describeError } from "../k8s/ports.ts";
import { WebhookConfigurations } from "../k8s/webhook-configurations.ts";
import { UsageError } from "../usage-error.ts";
import { openDoor } from "./door.ts";
import { createParts, hostInUrl, type Parts, startOperations } from "./parts.ts";
import { admissionPaths } from "./path-secret.ts";

/** How often the bundles are looked at until the replica is ready: the controller needs about a second to write them. */
const BUNDLE_CHECK_MS = 1_000;

export interface AdmissionRole {
  readonly admissionUrl: string;
  readonly operationsUrl: string;
  stop(): Promise<void>;
}

/** One of many replicas that answer reviews. It reads the cluster and never writes; it holds no CA key. */
export async function startAdmissionRole(config: ServeConfig, log: Logger): Promise<AdmissionRole> {
  if (config.certificateDir === undefined) {
    throw new UsageError("Found --role admission without --certificate-dir, wanted the directory of tls.crt and path");
  }
  const parts = await createParts(config, log, { checks: READINESS_CHECKS, watchRevisions: false });
  const { store, readiness, client, tracing } = parts;
  const operations = await startOperations(parts);
  let server: AdmissionServer | undefined;
  let bundleTimer: NodeJS.Timeout | undefined;
  let served: MountedCertificate | undefined;
  let stopped = false;
  const mount = new CertificateMount({
    directory: config.certificateDir,
    log,
    onServed(mounted) {
      served = mounted;
      parts.certificateNotAfterMs = mounted.notAfterMs;
      readiness.serveCertificateUntil(mounted.notAfterMs);
      server?.reload(mounted);
    },
  });
  const stop = async (): Promise<void> => {
    stopped = true;
    readiness.drain();
    mount.stop();
    clearTimeout(bundleTimer);
    await server?.drain(config.drain);
    await store.stop();
    await operations.close();
    await tracing.shutdown();
    client.close();
  };
  try {
    store.start();
    const mounted = await mount.start();
    readiness.pass("certificateLoaded");
    await store.whenSynced();
    readiness.pass("cachesSynced");
    server = await openDoor(parts, mounted);
    const configurations = new WebhookConfigurations(client, REGISTRATION_NAME, admissionPaths(mounted.pathSecret));
    const checkBundles = async (): Promise<void> => {
      // What is served now: it may be another certificate than at the start.
      await checkBundle(parts, configurations, served ?? mounted);
      if (!readiness.latched && !stopped) bundleTimer = setTimeout(() => void checkBundles(), BUNDLE_CHECK_MS);
    };
    await checkBundles();
    log.info({ role: "admission", port: server.port, operations: operations.port }, "serving");
    return {
      admissionUrl: `https://${hostInUrl(config)}:${server.port}`,
      operationsUrl: `http://${hostInUrl(config)}:${operations.port}`,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** An API server that does not trust us yet would refuse, or skip, every write that it asks about. */
async function checkBundle(
  { readiness, log }: Parts,
  configurations: WebhookConfigurations,
  { certPem }: MountedCertificate,
): Promise<void> {
  try {
    const bundles = await configurations.bundles();
    if (
      isInBundles(
        certPem,
        bundles.map((bundle) => bundle.pem),
      )
    )
      readiness.pass("certificateInBundle");
    else readiness.fail("certificateInBundle", "the webhook configurations do not exist, or carry another CA or path");
  } catch (error) {
    log.warn({ error: describeError(error) }, "webhook configurations could not be read");
    readiness.fail("certificateInBundle", "the webhook configurations could not be read");
  }
}
