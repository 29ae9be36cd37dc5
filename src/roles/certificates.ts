import { Certificates, type ServedCertificate } from "../controller/certificates.ts";
import { WebhookPaths } from "../controller/webhook-paths.ts";
import { REGISTRATION_NAME } from "../core/admission/registration.ts";
import type { Leadership } from "../k8s/lease-election.ts";
import { describeError } from "../k8s/ports.ts";
import { Secrets } from "../k8s/secrets.ts";
import { WebhookConfigurations } from "../k8s/webhook-configurations.ts";
import { type Parts, servingNames } from "./parts.ts";
import { admissionPaths, sharedPathSecret } from "./path-secret.ts";

/** Certificates, paths and bundles: kept right by the leader, read by every replica. */
export interface CertificateHalf {
  readonly pathSecret: string;
  readonly configurations: WebhookConfigurations;
  /** Undefined where another tool makes them. */
  readonly certificates: Certificates | undefined;
  stop(): Promise<void>;
}

export interface CertificateHalfOptions {
  readonly parts: Parts;
  readonly leadership: Leadership;
  readonly signal: AbortSignal;
  /** False: a first check that fails is logged and made again; reconciling does not wait for certificates. */
  readonly mustServe: boolean;
  readonly onServed?: (certificate: ServedCertificate) => void;
  readonly onSettled?: (inEveryBundle: boolean) => void;
}

/** Undefined when the signal ended the wait for the leader's first Secret. */
export async function startCertificateHalf(options: CertificateHalfOptions): Promise<CertificateHalf | undefined> {
  const { parts, leadership, signal, onServed = ignore, onSettled = ignore } = options;
  const { config, client, log } = parts;
  const secrets = new Secrets(client, config.namespace);
  const mayWrite = (): boolean => leadership.isLeader;
  const pathSecret = await sharedPathSecret(secrets, mayWrite, signal);
  if (pathSecret === undefined) return undefined;
  const configurations = new WebhookConfigurations(client, REGISTRATION_NAME, admissionPaths(pathSecret));
  if (config.certificates === "external") {
    const paths = new WebhookPaths({ configurations, mayWrite, log });
    const unsubscribe = leadership.onChange((leading) => void (leading && paths.check()));
    await paths.check();
    const stop = async (): Promise<void> => {
      unsubscribe();
      await paths.stop();
    };
    return { pathSecret, configurations, certificates: undefined, stop };
  }
  const names = servingNames(config);
  const certificates = new Certificates({
    secrets,
    configurations,
    names,
    log,
    nowMs: Date.now,
    mayWrite,
    onServed,
    onSettled,
  });
  const unsubscribe = leadership.onChange((leading) => {
    if (leading)
      certificates
        .check()
        .catch((error: unknown) => log.error({ error: describeError(error) }, "certificates could not be checked"));
  });
  await (options.mustServe ? certificates.start() : certificates.keepTrying());
  const stop = async (): Promise<void> => {
    unsubscribe();
    await certificates.stop();
  };
  return { pathSecret, configurations, certificates, stop };
}

function ignore(): void {}
