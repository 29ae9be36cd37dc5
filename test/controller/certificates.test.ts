import { pino } from "pino";
import { describe, expect, test } from "vitest";
import {
  AUTHORITY_SECRET,
  Certificates,
  type CertificatesOptions,
  LEAF_SECRET,
} from "../../src/controller/certificates.ts";
import { ApiError } from "../../src/k8s/api-error.ts";
import type { Secret } from "../../src/k8s/secrets.ts";

interface Written {
  readonly name: string;
  readonly writer: string;
}

/** The Secrets of one namespace, shared by replicas; of two writers of one version the second gets a 409. */
class Store {
  readonly written: Written[] = [];
  readonly #secrets = new Map<string, Secret>();

  secretsFor(writer: string, fail?: (name: string) => Error | undefined): CertificatesOptions["secrets"] {
    const secrets: Pick<CertificatesOptions["secrets"], "read" | "write"> = {
      read: async (name) => this.#secrets.get(name),
      write: async (name, { labels, data }, read) => {
        const failure = fail?.(name);
        if (failure) throw failure;
        if (this.#secrets.get(name) !== read) throw new ApiError({ status: 409, reason: "Conflict", message: "taken" });
        this.#secrets.set(name, { labels, data, resourceVersion: String(this.written.push({ name, writer })) });
      },
    };
    return secrets as CertificatesOptions["secrets"];
  }
}

function replica(secrets: CertificatesOptions["secrets"]) {
  const served: string[] = [];
  const certificates = new Certificates({
    secrets,
    configurations: { bundles: async () => [] } as unknown as CertificatesOptions["configurations"],
    names: ["localhost"],
    log: pino({ level: "silent" }),
    mayWrite: () => true,
    nowMs: Date.now,
    onServed: (certificate) => served.push(certificate.certPem),
    onSettled: () => undefined,
  });
  return { certificates, served };
}

describe("Certificates", () => {
  test("two replicas that start at once end with one CA and one leaf", async () => {
    const store = new Store();
    const one = replica(store.secretsFor("one"));
    const two = replica(store.secretsFor("two"));
    await Promise.all([one.certificates.check(), two.certificates.check()]);
    expect(store.written.map(({ name }) => name)).toEqual([AUTHORITY_SECRET, LEAF_SECRET]);
    expect(one.served).toEqual(two.served);
  });

  test("one check runs after the other, so that a replica is no rival of itself", async () => {
    const store = new Store();
    const { certificates, served } = replica(store.secretsFor("one"));
    await Promise.all([certificates.check(), certificates.check()]);
    expect(store.written).toHaveLength(2);
    expect(served).toHaveLength(1);
  });

  test("a failed check says what the API server said, and the next one starts afresh", async () => {
    const store = new Store();
    const denial = new ApiError({ status: 403, reason: "Forbidden", message: "secrets is forbidden" });
    let denied = true;
    const { certificates, served } = replica(store.secretsFor("one", () => (denied ? denial : undefined)));
    await expect(certificates.check()).rejects.toThrow(
      "Cannot keep the certificates right: create-ca (secrets is forbidden)",
    );
    denied = false;
    await certificates.check();
    expect(served).toHaveLength(1);
  });
});
