import { Certificates, type ServedCertificate } from "../controller/certificates.ts";
import { RuleRegistrar } from "../controller/rule-registrar.ts";
import { WebhookPaths } from "../controller/webhook-paths.ts";
import { REGISTRATION_NAME } from "../core/admission/registration.ts";
import type { ClusterWriter } from "../k8s/apply.ts";
import type { Leadership } from "../k8s/lease-election.ts";
import { describeError } from "../k8s/ports.ts";
import { Secrets } from "../k8s/secrets.ts";
import { WebhookConfigurations } from "../k8s/webhook-configurations.ts";
import { type Parts, servingNames } from "./parts.ts";
import { admissionPaths, sharedPathSecret } from "./path-secret.ts";

/** Certificates, paths, bundles and the entries of rules: kept right by the leader, read by every replica. */
export interface CertificateHalf {
  readonly pathSecret: string;
  readonly configurations: WebhookConfigurations;
  /** Undefined where another tool makes them. */
  readonly certificates: Certificates | undefined;
  readonly rules: RuleRegistrar;
  stop(): Promise<void>;
}

export interface CertificateHalfOptions {
  readonly parts: Parts;
  readonly leadership: Leadership;
  readonly writer: ClusterWriter;
  readonly signal: AbortSignal;
  /** False: a first check that fails is logged and made again; reconciling does not wait for certificates. */
  readonly mustServe: boolean;
  readonly onServed?: (certificate: ServedCertificate) => void;
  readonly onSettled?: (inEveryBundle: boolean) => void;
}

/** Undefined when the signal ended the wait for the leader's first Secret. */
export async function startCertificateHalf(options: CertificateHalfOptions): Promise<CertificateHalf | undefined> {
  const { parts, leadership, writer, signal } = options;
  const { config, client, log } = parts;
  const secrets = new Secrets(client, config.namespace);
  const mayWrite = (): boolean => leadership.isLeader;
  const pathSecret = await sharedPathSecret(secrets, mayWrite, signal);
  if (pathSecret === undefined) return undefined;
  const configurations = new WebhookConfigurations(client, REGISTRATION_NAME, admissionPaths(pathSecret));
  const kept = await (config.certificates === "external" ? keepPaths : keepCertificates)({
    ...options,
    configurations,
    secrets,
    mayWrite,
  });
  const rules = new RuleRegistrar({
    store: parts.store,
    configurations,
    writer,
    mayWrite,
    log,
  });
  const unsubscribe = leadership.onChange((leading) => void (leading && rules.check()));
  void rules.start();
  return {
    pathSecret,
    configurations,
    certificates: kept.certificates,
    rules,
    async stop() {
      unsubscribe();
      await Promise.all([rules.stop(), kept.stop()]);
    },
  };
}

type Kept = Pick<CertificateHalf, "certificates" | "stop">;

interface KeepOptions extends CertificateHalfOptions {
  readonly configurations: WebhookConfigurations;
  readonly secrets: Secrets;
  readonly mayWrite: () => boolean;
}

async function keepPaths({ parts, leadership, configurations, mayWrite }: KeepOptions): Promise<Kept> {
  const paths = new WebhookPaths({ configurations, mayWrite, log: parts.log });
  const unsubscribe = leadership.onChange((leading) => void (leading && paths.check()));
  await paths.check();
  return {
    certificates: undefined,
    async stop() {
      unsubscribe();
      await paths.stop();
    },
  };
}

async function keepCertificates(options: KeepOptions): Promise<Kept> {
  const { parts, leadership, configurations, secrets, mayWrite, mustServe } = options;
  const { onServed = ignore, onSettled = ignore } = options;
  const { config, log } = parts;
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
  await (mustServe ? certificates.start() : certificates.keepTrying());
  return {
    certificates,
    async stop() {
      unsubscribe();
      await certificates.stop();
    },
  };
}

function ignore(): void {}
