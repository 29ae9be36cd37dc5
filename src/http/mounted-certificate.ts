import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import type { ServingPair } from "./server.ts";

/** What is mounted for the admission port. */
export interface MountedCertificate extends ServingPair {
  /** The CAs that API servers are told to trust. */
  readonly bundlePem: string;
  /** End of the certificate in milliseconds since 1970. */
  readonly notAfterMs: number;
  /** The unguessable part of the admission paths. */
  readonly pathSecret: string;
}

export interface MountOptions {
  /** Holds `tls.crt`, `tls.key`, `ca.crt` and `path`. */
  readonly directory: string;
  readonly log: Logger;
  /** Called with the first certificate and with every new one. */
  readonly onServed: (mounted: MountedCertificate) => void;
  readonly intervalMs?: number;
}

/**
 * The kubelet follows a Secret within about a minute, so looking every second adds nothing to that and costs a few
 * microseconds; events of the file system do not come through every kind of mount.
 */
const INTERVAL_MS = 1_000;

/** Follows the files that the kubelet mounts. Before they are all there, and whole, there is nothing to serve. */
export class CertificateMount {
  readonly #options: MountOptions;
  readonly #first = Promise.withResolvers<MountedCertificate>();
  #current: MountedCertificate | undefined;
  /** Told once, not every second. */
  #problem = "";
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: MountOptions) {
    this.#options = options;
  }

  /** Resolves with the first usable certificate, however long it takes until the controller has made it. */
  async start(): Promise<MountedCertificate> {
    void this.#follow();
    return this.#first.promise;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #follow(): Promise<void> {
    try {
      this.#take(await readMount(this.#options.directory));
      this.#problem = "";
    } catch (error) {
      // A half-written pair is whole at one of the next looks; what is served stays until then.
      const problem = (error as Error).message;
      if (problem !== this.#problem) this.#options.log.warn({ problem }, "mounted certificate is not usable yet");
      this.#problem = problem;
    }
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.#follow(), this.#options.intervalMs ?? INTERVAL_MS);
  }

  #take(found: MountedCertificate): void {
    const { certPem, keyPem, bundlePem, pathSecret } = found;
    const now = this.#current;
    if (now?.certPem === certPem && now.keyPem === keyPem && now.bundlePem === bundlePem) return;
    if (now !== undefined && now.pathSecret !== pathSecret)
      throw new Error("Found another path; it is taken over at the next start, restart this replica");
    this.#current = found;
    this.#options.onServed(found);
    this.#first.resolve(found);
  }
}

async function readMount(directory: string): Promise<MountedCertificate> {
  const read = (name: string): Promise<string> => readFile(join(directory, name), "utf8");
  const [certPem, keyPem, bundlePem, path] = await Promise.all(["tls.crt", "tls.key", "ca.crt", "path"].map(read));
  if (certPem === undefined || keyPem === undefined || bundlePem === undefined || path === undefined)
    throw new Error(`Cannot read the certificate in ${directory}`);
  const certificate = new X509Certificate(certPem);
  if (!certificate.checkPrivateKey(createPrivateKey(keyPem)))
    throw new Error(`Found a tls.key in ${directory} that does not belong to tls.crt`);
  return { certPem, keyPem, bundlePem, notAfterMs: certificate.validToDate.getTime(), pathSecret: path.trim() };
}
