import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import type { ServingPair } from "./server.ts";

/** The texts of the mounted files. */
interface MountedFiles extends ServingPair {
  /** The CAs that API servers are told to trust. */
  readonly bundlePem: string;
  /** The unguessable part of the admission paths. */
  readonly pathSecret: string;
}

/** What is mounted for the admission port. */
export interface MountedCertificate extends MountedFiles {
  /** End of the certificate in milliseconds since 1970. */
  readonly notAfterMs: number;
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
 * The kubelet follows a Secret within about a minute, so looking every second adds nothing to that. It costs 0.4 to 0.8 ms
 * of CPU, nearly all of it to read four files; what they hold is looked at where it is not what is served. Events of the
 * file system do not come through every kind of mount.
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
      const files = await readMount(this.#options.directory);
      if (this.#current === undefined || !isSame(files, this.#current)) this.#take(checked(files));
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
    if (this.#current !== undefined && this.#current.pathSecret !== found.pathSecret)
      throw new Error("Found another path; it is taken over at the next start, restart this replica");
    this.#current = found;
    this.#options.onServed(found);
    this.#first.resolve(found);
  }
}

function isSame(a: MountedFiles, b: MountedFiles): boolean {
  const isPairSame = a.certPem === b.certPem && a.keyPem === b.keyPem;
  return isPairSame && a.bundlePem === b.bundlePem && a.pathSecret === b.pathSecret;
}

async function readMount(directory: string): Promise<MountedFiles> {
  const read = (name: string): Promise<string> => readFile(join(directory, name), "utf8");
  const [certPem, keyPem, bundlePem, path] = await Promise.all(["tls.crt", "tls.key", "ca.crt", "path"].map(read));
  if (certPem === undefined || keyPem === undefined || bundlePem === undefined || path === undefined)
    throw new Error(`Cannot read the certificate in ${directory}`);
  return { certPem, keyPem, bundlePem, pathSecret: path.trim() };
}

/** Throws where the key is not that of the certificate. */
function checked(files: MountedFiles): MountedCertificate {
  const certificate = new X509Certificate(files.certPem);
  if (!certificate.checkPrivateKey(createPrivateKey(files.keyPem)))
    throw new Error("Found a tls.key that does not belong to tls.crt");
  return { ...files, notAfterMs: certificate.validToDate.getTime() };
}
