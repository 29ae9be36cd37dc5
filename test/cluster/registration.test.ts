import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createAuthority } from "../../src/controller/certificate-material.ts";
import type { ControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import type { Fairlead } from "../../src/main.ts";
import { kubectl, ROOT, startClusterWithCrds, startInProcess } from "./support.ts";

const RESOURCES = ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"];

let cluster: ControlPlane;
let fairlead: Fairlead;

beforeAll(async () => {
  cluster = await startClusterWithCrds({ controllerManager: false });
  await kubectl(cluster, ["create", "namespace", "fairlead"]);
  // As a chart makes it whose rights name single Secrets.
  await kubectl(cluster, ["create", "secret", "generic", "fairlead-path", "-n", "fairlead"]);
});

afterAll(async () => {
  await fairlead?.stop();
  await cluster?.stop();
});

interface Configuration {
  readonly webhooks: readonly {
    readonly clientConfig: { readonly caBundle?: string; readonly service: { readonly path: string } };
  }[];
}

async function configurations(): Promise<readonly Configuration[]> {
  return Promise.all(
    RESOURCES.map(async (name) => JSON.parse(await kubectl(cluster, ["get", name, "fairlead", "-o", "json"]))),
  );
}

async function isReady(): Promise<boolean> {
  return (await fetch(`${fairlead.operationsUrl}/readyz`)).status === 200;
}

describe("configurations that the chart, or a person, created", () => {
  test("are never created, and hold readiness up while they are missing", async () => {
    fairlead = await startInProcess(cluster, { register: false });
    expect(await isReady()).toBe(false);
    const verbose = await (await fetch(`${fairlead.operationsUrl}/readyz?verbose`)).text();
    expect(verbose).toContain(
      "[-]certificateInBundle failed: the webhook configurations do not exist, or carry another CA",
    );
    expect((await cluster.kubectl(["get", "mutatingwebhookconfiguration", "fairlead"])).code).toBe(1);
  });

  test("get the CA and the paths that nobody can guess, and the replica becomes ready", async () => {
    await kubectl(cluster, ["apply", "-f", join(ROOT, "webhook-config", "webhooks.yaml")]);
    await fairlead.certificates.check();
    expect(await isReady()).toBe(true);
    const [mutating, validating] = await configurations();
    for (const { clientConfig } of mutating?.webhooks ?? []) {
      expect(clientConfig.service.path).toMatch(/^\/mutate\/[0-9a-f]{32}$/);
      expect(Buffer.from(clientConfig.caBundle ?? "", "base64").toString()).toMatch(/^-----BEGIN CERTIFICATE-----/);
    }
    for (const { clientConfig } of validating?.webhooks ?? [])
      expect(clientConfig.service.path).toMatch(/^\/validate\/[0-9a-f]{32}$/);
  });

  test("are put right again when somebody applies the placeholders over them", async () => {
    const before = await configurations();
    await kubectl(cluster, ["replace", "-f", join(ROOT, "webhook-config", "webhooks.yaml")]);
    expect(await configurations()).not.toMatchObject(before.map(({ webhooks }) => ({ webhooks })));
    await waitFor("repair", async () => {
      await fairlead.certificates.check();
      return (
        JSON.stringify((await configurations()).map((item) => item.webhooks)) ===
        JSON.stringify(before.map((item) => item.webhooks))
      );
    });
  });
});

test("with a client CA, an address of its own and an IPv6 URL it starts as well", async () => {
  await fairlead.stop();
  const { certPem: clientCaPem } = await createAuthority(Date.now());
  fairlead = await startInProcess(cluster, {
    register: false,
    clientCaPem,
    host: "127.0.0.2",
    url: "https://[::1]:8443",
  });
  const verbose = await (await fetch(`${fairlead.operationsUrl}/readyz?verbose`)).text();
  expect(verbose).toContain("[+]selfReview ok");
  const leaf = await kubectl(cluster, [
    "get",
    "secret",
    "fairlead-tls",
    "-n",
    "fairlead",
    "-o",
    "jsonpath={.data.tls\\.crt}",
  ]);
  expect(new X509Certificate(Buffer.from(leaf, "base64")).checkIP("::1")).toBe("::1");
});

test("without a client CA it asks the address that it listens on", async () => {
  await fairlead.stop();
  fairlead = await startInProcess(cluster, { register: false, host: "127.0.0.2" });
  expect(await (await fetch(`${fairlead.operationsUrl}/readyz?verbose`)).text()).toContain("[+]selfReview ok");
});
