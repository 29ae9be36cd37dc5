import type { Logger } from "pino";
import { isConflict } from "../k8s/apply.ts";
import { describeError } from "../k8s/ports.ts";
import type { Secret, Secrets } from "../k8s/secrets.ts";
import type { WebhookConfigurations } from "../k8s/webhook-configurations.ts";
import { BundleSightings, type CertificateAction, type CertificatePlan, planCertificates } from "./certificate-plan.ts";
import {
  CERTIFICATE_LABEL,
  CERTIFICATE_LABEL_VALUE,
  carryOut,
  readStored,
  type StoredCertificates,
} from "./certificate-secrets.ts";

/** The Secret with the CA, of the controller alone. */
export const AUTHORITY_SECRET = "fairlead-ca";
/** The Secret with the serving certificate, which admission mounts. */
export const LEAF_SECRET = "fairlead-tls";

/** A caBundle that somebody overwrites (a Helm upgrade does) is right again after this time. */
const CHECK_INTERVAL_MAX_MS = 10_000;
/** While there is nothing to serve, because the leader has made no certificate yet. */
const FIRST_CHECK_INTERVAL_MS = 500;
/** A plan takes one step at a time; a whole rotation needs four. More than this is a loop. */
const STEPS_MAX = 10;

export interface ServedCertificate {
  readonly certPem: string;
  readonly keyPem: string;
  /** Every CA that is current or previous. */
  readonly bundlePem: string;
  readonly notAfterMs: number;
}

export interface CertificatesOptions {
  readonly secrets: Secrets;
  readonly configurations: WebhookConfigurations;
  /** DNS names and IP addresses of the serving certificate. */
  readonly names: readonly string[];
  readonly log: Logger;
  readonly nowMs: () => number;
  /** Asked before every write: a replica that is not the leader only reads and serves. */
  readonly mayWrite: () => boolean;
  /** Called with the first certificate and with every new one. */
  readonly onServed: (certificate: ServedCertificate) => void;
  /** Called when nothing is left to do: whether there are webhooks, and all of them accept what is served. */
  readonly onSettled: (inEveryBundle: boolean) => void;
}

/** Keeps the CA, the serving certificate and the caBundles right, one planned step after the other. */
export class Certificates {
  readonly #options: CertificatesOptions;
  readonly #sightings = new BundleSightings();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<unknown> = Promise.resolve();
  readonly #first = Promise.withResolvers<void>();
  #served = "";
  #stopped = false;

  constructor(options: CertificatesOptions) {
    this.#options = options;
  }

  /** Brings everything in line once, then keeps it so. Rejects when the first pass fails. */
  async start(): Promise<void> {
    const plan = await this.check();
    this.#schedule(plan);
  }

  /** As {@link start}, but a first pass that fails is logged, and made again like any other. */
  keepTrying(): Promise<void> {
    return this.#checkAgain();
  }

  /** Resolves when there is a certificate to serve, be it the leader's. */
  whenServed(): Promise<void> {
    return this.#first.promise;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  /** Plans and carries out until nothing is left to do; after the check that is under way, if there is one. */
  check(): Promise<CertificatePlan> {
    const next = this.#running.then(() => this.#bringInLine());
    this.#running = next.catch(() => undefined);
    return next;
  }

  /** One action that fails does not hold the others up. */
  async #bringInLine(): Promise<CertificatePlan> {
    for (let step = 0; step < STEPS_MAX; step += 1) {
      const { stored, secrets } = await this.#read();
      this.#serve(stored);
      const plan = planCertificates(readStored(stored), this.#options.nowMs());
      const errors: unknown[] = [];
      for (const action of plan.actions) {
        if (!this.#options.mayWrite()) break;
        if (action.type === "report") {
          this.#options.log.error({ reason: action.reason }, "certificates need help");
          continue;
        }
        this.#options.log.info({ action: action.type, reason: action.reason }, "certificates");
        try {
          await this.#carryOut(action, stored, secrets);
          // Each action is safe on the state that it was planned on, so the next one is planned anew.
          break;
        } catch (error) {
          // Another replica, or a person, was first: what they wrote is planned on.
          if (isConflict(error)) break;
          errors.push(error);
        }
      }
      const open = plan.actions.filter((action) => action.type !== "report");
      if (open.length === 0 || !this.#options.mayWrite()) {
        this.#options.onSettled(isInEveryBundle(stored));
        return plan;
      }
      if (errors.length === open.length) {
        const failed = open.map((action, index) => `${action.type} (${describeError(errors[index])})`);
        throw new AggregateError(errors, `Cannot keep the certificates right: ${failed.join(", ")}`);
      }
    }
    throw new Error(`Certificates did not settle in ${STEPS_MAX} steps`);
  }

  #schedule(plan: CertificatePlan | undefined): void {
    if (this.#stopped) return;
    const dueMs = (plan?.nextCheckMs ?? 0) - this.#options.nowMs();
    const maxMs = this.#served === "" ? FIRST_CHECK_INTERVAL_MS : CHECK_INTERVAL_MAX_MS;
    const delayMs = plan === undefined || !this.#options.mayWrite() ? maxMs : Math.min(maxMs, Math.max(dueMs, 0));
    this.#timer = setTimeout(() => void this.#checkAgain(), delayMs);
    this.#timer.unref();
  }

  async #checkAgain(): Promise<void> {
    let plan: CertificatePlan | undefined;
    try {
      plan = await this.check();
    } catch (error) {
      this.#options.log.error({ err: error }, "certificates could not be checked");
    }
    this.#schedule(plan);
  }

  async #read(): Promise<{
    stored: StoredCertificates;
    secrets: Readonly<Record<"authority" | "leaf", Secret | undefined>>;
  }> {
    const { secrets, configurations, names, nowMs } = this.#options;
    const [authority, leaf, bundles] = await Promise.all([
      secrets.read(AUTHORITY_SECRET),
      secrets.read(LEAF_SECRET),
      configurations.bundles(),
    ]);
    const seen = bundles.map(({ configuration, webhook, pem }) => ({
      configuration,
      pem,
      seenSinceMs: this.#sightings.seenSinceMs(`${configuration}/${webhook}`, pem, nowMs()),
    }));
    return { stored: { authority, leaf, bundles: seen, names }, secrets: { authority, leaf } };
  }

  async #carryOut(
    action: Exclude<CertificateAction, { type: "report" }>,
    stored: StoredCertificates,
    secrets: Readonly<Record<"authority" | "leaf", Secret | undefined>>,
  ): Promise<void> {
    if (action.type === "set-bundle") {
      for (const configuration of action.configurations)
        await this.#options.configurations.setBundle(configuration, action.pem);
      return;
    }
    const write = await carryOut(action, stored, this.#options.nowMs());
    const name = write.secret === "authority" ? AUTHORITY_SECRET : LEAF_SECRET;
    const labels = { [CERTIFICATE_LABEL]: CERTIFICATE_LABEL_VALUE };
    await this.#options.secrets.write(name, { labels, data: write.data }, secrets[write.secret]);
  }

  /** Hands out the stored pair when it is usable and new. */
  #serve(stored: StoredCertificates): void {
    const { authority, leaf } = readStored(stored);
    if (authority.state !== "ours" || leaf.state !== "ours") return;
    const certPem = stored.leaf?.data["tls.crt"] ?? "";
    const bundlePem = [authority.value.current, ...authority.value.previous].map((ca) => ca.pem).join("");
    if (this.#served === certPem + bundlePem) return;
    const keyPem = stored.leaf?.data["tls.key"] ?? "";
    this.#options.onServed({ certPem, keyPem, bundlePem, notAfterMs: leaf.value.certificate.notAfterMs });
    this.#served = certPem + bundlePem;
    this.#first.resolve();
  }
}

function isInEveryBundle(stored: StoredCertificates): boolean {
  const { leaf, bundles } = readStored(stored);
  if (leaf.state !== "ours" || bundles.length === 0) return false;
  const { issuer } = leaf.value;
  return bundles.every((bundle) => bundle.certificates.some((certificate) => certificate.fingerprint === issuer));
}
