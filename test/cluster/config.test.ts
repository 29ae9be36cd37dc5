import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ControlPlane, startControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { KubernetesClient } from "../../src/k8s/client.ts";
import { loadCluster } from "../../src/k8s/config.ts";

let controlPlane: ControlPlane;
let directory: string;
let admin: KubernetesClient;

beforeAll(async () => {
  controlPlane = await startControlPlane({ controllerManager: false });
  directory = await mkdtemp(join(tmpdir(), "fairlead-service-account-"));
  admin = new KubernetesClient(await loadCluster({ kubeconfig: controlPlane.kubeconfigPath }));
});
afterAll(async () => {
  admin?.close();
  await controlPlane?.stop();
  await rm(directory, { recursive: true, force: true });
});

async function newToken(): Promise<string> {
  const accounts = "/api/v1/namespaces/default/serviceaccounts";
  await admin.create(accounts, { metadata: { name: "fairlead" } });
  const answer = await admin.create(`${accounts}/fairlead/token`, { spec: {} });
  return (answer as { status?: { token?: string } }).status?.token ?? "";
}

describe("loadCluster()", () => {
  test("in the cluster: a token that the API server refuses is read again at once", async () => {
    const { hostname, port } = new URL(controlPlane.url);
    const token = join(directory, "token");
    await writeFile(join(directory, "ca.crt"), controlPlane.caPem);
    await writeFile(token, "outdated\n");
    const address = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
    const env = { ...address, KUBERNETES_SERVICE_ACCOUNT_DIR: directory };
    const client = new KubernetesClient(await loadCluster({ env }));
    await expect(client.get("/version")).rejects.toMatchObject({ name: "ApiError", status: 401 });
    await writeFile(token, `${await newToken()}\n`);
    expect(await client.get("/version")).toHaveProperty("gitVersion");
    const secrets = client.get("/api/v1/namespaces/default/secrets");
    await expect(secrets).rejects.toMatchObject({ status: 403, reason: "Forbidden" });
    client.close();
  });

  test("outside, without a kubeconfig: says what is missing", async () => {
    await expect(loadCluster({ env: {} })).rejects.toThrow(
      "Cannot find a cluster: no kubeconfig was given and KUBERNETES_SERVICE_HOST is not set",
    );
  });

  test("an API server that cannot be reached, or shows another certificate, is named with the reason", async () => {
    const good = await loadCluster({ kubeconfig: controlPlane.kubeconfigPath });
    const { ca: _ca, ...untrusting } = good;
    const untrusted = new KubernetesClient(untrusting);
    await expect(untrusted.get("/version")).rejects.toThrow(/^Cannot GET \/version: .*certificate/);
    const unreachable = new KubernetesClient({ ...good, server: "https://127.0.0.1:1" });
    await expect(unreachable.get("/version")).rejects.toThrow(/^Cannot GET \/version: .*ECONNREFUSED/);
  });
});
