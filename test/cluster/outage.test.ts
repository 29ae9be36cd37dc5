import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { setInterval } from "node:timers/promises";
import { connect } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { freePort } from "../../src/dev/control-plane/ports.ts";
import { spawnSupervised, type Supervised } from "../../src/dev/control-plane/process.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { ApiError } from "../../src/k8s/api-error.ts";
import { KubernetesClient, resourcePath } from "../../src/k8s/client.ts";
import { loadCluster } from "../../src/k8s/config.ts";
import type { Fairlead } from "../../src/main.ts";
import { kubeconfigOf } from "./rights.ts";
import { kubectl, ROOT, startClusterWithCrds, startInProcess } from "./support.ts";

/** A pair of writes to each server every so often: far more than people and GitOps tools do. */
const PACE_MS = 25;
const REQUEST_TIMEOUT = "timeout.linkerd.io/request";
const SERVICES = resourcePath({ group: "", version: "v1", resource: "services", namespace: "iam" });

const FLEET_POLICY = `
apiVersion: fairlead.dev/v1alpha1
kind: ResiliencePolicy
metadata: {name: fleet, namespace: iam}
spec: {targetSelector: {matchLabels: {tier: web}}, timeout: {request: 2s}}
`;

function service(name: string): object {
  const metadata = { name, namespace: "iam", labels: { tier: "web" } };
  return { apiVersion: "v1", kind: "Service", metadata, spec: { ports: [{ port: 80 }] } };
}

async function optIn(cluster: ControlPlane): Promise<void> {
  await kubectl(cluster, ["create", "namespace", "iam"]);
  await kubectl(cluster, ["label", "namespace", "iam", "fairlead.dev/mode=enforce"]);
  await kubectl(cluster, ["apply", "-f", "-"], FLEET_POLICY);
}

async function annotation(cluster: ControlPlane, name: string, key: string): Promise<string | undefined> {
  const object = JSON.parse(await kubectl(cluster, ["get", "service", name, "-n", "iam", "-o", "json"]));
  return object.metadata.annotations?.[key];
}

/** Writes to every API server in turn until told to stop, and keeps what went wrong because of Fairlead. */
class Stream {
  readonly failures: string[] = [];
  /** Services created and policies changed. */
  written = 0;
  /** Writes that met a server that was going down or gone. */
  unreached = 0;
  readonly #clients: readonly KubernetesClient[];
  #isRunning = true;
  readonly #loops: Promise<void>[];

  constructor(clients: readonly KubernetesClient[]) {
    this.#clients = clients;
    this.#loops = clients.map((client, index) => this.#loop(client, index));
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    await Promise.all(this.#loops);
    for (const client of this.#clients) client.close();
  }

  async #loop(client: KubernetesClient, server: number): Promise<void> {
    let count = 0;
    // Paced: two loops at full speed kept a restarted API server from becoming ready within half a minute.
    for await (const _ of setInterval(PACE_MS)) {
      if (!this.#isRunning) break;
      count += 1;
      await this.#attempt(async () => {
        const created = await client.create(SERVICES, service(`s${server}-${count}`));
        const value = created.metadata?.annotations?.[REQUEST_TIMEOUT];
        if (value !== "2000ms") this.failures.push(`Service s${server}-${count} got ${value}`);
      });
      await this.#attempt(() =>
        client.patch({
          path: resourcePath({
            group: "fairlead.dev",
            version: "v1alpha1",
            resource: "resiliencepolicies",
            namespace: "iam",
            name: `p${server}`,
          }),
          type: "merge",
          body: { spec: { circuitBreaker: { consecutiveFailures: 1 + (count % 100) } } },
        }),
      );
    }
  }

  async #attempt(write: () => Promise<unknown>): Promise<void> {
    try {
      await write();
      this.written += 1;
    } catch (error) {
      const becauseOfUs = error instanceof ApiError && /webhook|fairlead/i.test(error.message);
      if (becauseOfUs) this.failures.push(error.message);
      else this.unreached += 1;
    }
  }
}

/** The certificate on the admission port now. */
function servedCertificate(fairlead: Fairlead): Promise<X509Certificate> {
  const { promise, resolve, reject } = Promise.withResolvers<X509Certificate>();
  const socket = connect(
    { host: "127.0.0.1", port: Number(new URL(fairlead.admissionUrl).port), rejectUnauthorized: false },
    () => {
      const certificate = socket.getPeerX509Certificate();
      socket.destroy();
      if (certificate) resolve(certificate);
      else reject(new Error("no certificate"));
    },
  );
  socket.once("error", reject);
  return promise;
}

describe("two API servers restarted in turn and certificates rotated under a stream of writes", () => {
  let cluster: ControlPlane;
  let fairlead: Fairlead;

  beforeAll(async () => {
    cluster = await startClusterWithCrds({ apiServers: 2 });
    fairlead = await startInProcess(cluster);
    await optIn(cluster);
    for (const name of ["p0", "p1"]) {
      await kubectl(
        cluster,
        ["apply", "-f", "-"],
        FLEET_POLICY.replace("fleet", name).replace("tier: web", "tier: none"),
      );
    }
    await waitFor("the policies", () => fairlead.store.policiesIn("iam").length === 3);
  });

  afterAll(async () => {
    await fairlead?.stop();
    await cluster?.stop();
  });

  test("no write that reached a server fails because of Fairlead", async () => {
    const clients = await Promise.all(
      cluster.apiServers.map(
        async (server) => new KubernetesClient(await loadCluster({ kubeconfig: server.kubeconfigPath })),
      ),
    );
    const stream = new Stream(clients);
    await waitFor("the stream", () => stream.written > 20);
    const first = await servedCertificate(fairlead);

    await cluster.restartApiServer(0);
    await cluster.restartApiServer(1);

    // A lost CA: a new one is made, and the old one stays in the bundle for the certificate that is served.
    await kubectl(cluster, ["delete", "secret", "fairlead-ca", "-n", "fairlead"]);
    await waitFor("a certificate of another CA", async () => {
      await fairlead.certificates.check();
      return (await servedCertificate(fairlead)).issuer !== first.issuer;
    });
    const second = await servedCertificate(fairlead);
    await kubectl(cluster, ["delete", "secret", "fairlead-tls", "-n", "fairlead"]);
    await waitFor("one more certificate", async () => {
      await fairlead.certificates.check();
      return (await servedCertificate(fairlead)).serialNumber !== second.serialNumber;
    });

    await cluster.restartApiServer(0);
    const writtenSoFar = stream.written;
    await waitFor("writes after the last restart", () => stream.written > writtenSoFar + 20);
    await stream.stop();
    expect(stream.failures).toEqual([]);
    expect(stream.written).toBeGreaterThan(100);
  }, 240_000);
});

describe("with the webhook killed", () => {
  let cluster: ControlPlane;
  let fairlead: Supervised;
  let port: number;

  async function serve(): Promise<void> {
    const operationsPort = await freePort();
    const command = [process.execPath, join(ROOT, "src/cli.ts"), "serve", "--register", "--host", "127.0.0.1"];
    fairlead = spawnSupervised(
      [
        ...command,
        "--port",
        String(port),
        "--operations-port",
        String(operationsPort),
        "--kubeconfig",
        await kubeconfigOf(cluster, "fairlead"),
      ],
      { logPath: join(cluster.directory, "fairlead.log") },
    );
    await waitFor("readiness", async () => {
      if (fairlead.outcome() !== undefined) throw new Error(`Fairlead ended: ${fairlead.logTail()}`);
      const answer = await fetch(`http://127.0.0.1:${operationsPort}/readyz`).catch(() => undefined);
      return answer?.status === 200;
    });
  }

  beforeAll(async () => {
    cluster = await startClusterWithCrds();
    port = await freePort();
    await serve();
    await optIn(cluster);
    await kubectl(cluster, [
      "patch",
      "rp",
      "fleet",
      "-n",
      "iam",
      "--type=merge",
      '--patch={"metadata":{"finalizers":["example.com/hold"]}}',
    ]);
    await fairlead.stop(0);
  });

  afterAll(async () => {
    await fairlead?.stop();
    await cluster?.stop();
  });

  test("Service and route writes pass", async () => {
    await kubectl(cluster, ["create", "-f", "-"], JSON.stringify(service("meanwhile")));
    expect(await annotation(cluster, "meanwhile", REQUEST_TIMEOUT)).toBeUndefined();
    const parentRefs = [{ group: "", kind: "Service", name: "meanwhile" }];
    const metadata = { name: "meanwhile", namespace: "iam", annotations: { "retry.linkerd.io/http": "5xx, 429" } };
    const route = { apiVersion: "gateway.networking.k8s.io/v1", kind: "HTTPRoute", metadata, spec: { parentRefs } };
    await kubectl(cluster, ["create", "-f", "-"], JSON.stringify(route));
  });

  test("policy spec writes are refused", async () => {
    const patch = [
      "patch",
      "rp",
      "fleet",
      "-n",
      "iam",
      "--type=merge",
      '--patch={"spec":{"timeout":{"request":"3s"}}}',
    ];
    const { code, stderr } = await cluster.kubectl(patch);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^Error from server \(InternalError\): Internal error occurred: failed calling webhook "policies\.fairlead\.dev"/,
    );
    const { stderr: created } = await cluster.kubectl(["create", "-f", "-"], {
      input: FLEET_POLICY.replace("fleet", "other"),
    });
    expect(created).toContain('failed calling webhook "policies.fairlead.dev"');
  });

  test("labels and finalizers of a policy can still change, and a namespace with it can go", async () => {
    await kubectl(cluster, ["label", "rp", "fleet", "-n", "iam", "team=iam"]);
    await kubectl(cluster, ["create", "namespace", "gone"]);
    // Created while the webhook is dead, so it needs one that is not asked: stored by moving the configuration aside.
    const configuration = await kubectl(cluster, ["get", "validatingwebhookconfiguration", "fairlead", "-o", "json"]);
    await kubectl(cluster, ["delete", "validatingwebhookconfiguration", "fairlead"]);
    const policy = FLEET_POLICY.replace("namespace: iam", "namespace: gone, finalizers: [example.com/hold]");
    await waitFor(
      "a policy in the namespace",
      async () => (await cluster.kubectl(["apply", "-f", "-"], { input: policy })).code === 0,
    );
    await kubectl(
      cluster,
      ["create", "-f", "-"],
      configuration.replace(/"resourceVersion": "\d+",/, "").replace(/"uid": "[^"]+"/, '"uid": ""'),
    );
    await kubectl(cluster, ["delete", "namespace", "gone", "--wait=false"]);
    await kubectl(cluster, [
      "patch",
      "rp",
      "fleet",
      "-n",
      "gone",
      "--type=merge",
      '--patch={"metadata":{"finalizers":null}}',
    ]);
    await kubectl(cluster, ["wait", "--for=delete", "namespace/gone", "--timeout=60s"]);
  });

  test("once it is back, what was written meanwhile is brought in line", async () => {
    await serve();
    await waitFor("injection", async () => (await annotation(cluster, "meanwhile", REQUEST_TIMEOUT)) === "2000ms");
    await kubectl(cluster, [
      "patch",
      "rp",
      "fleet",
      "-n",
      "iam",
      "--type=merge",
      '--patch={"spec":{"timeout":{"request":"3s"}}}',
    ]);
    await waitFor("the change", async () => (await annotation(cluster, "meanwhile", REQUEST_TIMEOUT)) === "3000ms");
  });

  test("SIGTERM ends it with exit code 0", async () => {
    await fairlead.stop(30_000);
    expect(fairlead.outcome()).toBe(0);
  });
});
