import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { get } from "node:https";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ApiServer } from "../../src/dev/control-plane/api-server.ts";
import { type ControlPlane, startControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { gatewayApiCrdPaths, installCrds, linkerdCrdPaths } from "../../src/dev/control-plane/crds.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";

const MAIN = join(import.meta.dirname, "..", "..", "src", "dev", "control-plane", "main.ts");

let controlPlane: ControlPlane;
beforeAll(async () => {
  controlPlane = await startControlPlane({ apiServers: 2, crdPaths: await linkerdCrdPaths() });
});
afterAll(async () => {
  await controlPlane?.stop();
  expect(existsSync(controlPlane.directory)).toBe(false);
  expect(await processesNaming(controlPlane.directory)).toEqual([]);
});

describe("the API", () => {
  test("is the real Kubernetes, of the same version as its kubectl", async () => {
    const { serverVersion, clientVersion } = JSON.parse(await kubectl(["version", "--output=json"]));
    expect(serverVersion.gitVersion).toMatch(/^v1\.36\.\d+$/);
    expect(clientVersion.gitVersion).toBe(serverVersion.gitVersion);
  });

  test("gives a Service an address of the large range", async () => {
    await kubectl(["create", "service", "clusterip", "web", "--tcp=80:8080"]);
    const service = JSON.parse(await kubectl(["get", "service", "web", "--output=json"]));
    expect(service.spec.clusterIP).toMatch(/^10\.96\./);
  });

  test("denies an anonymous user and one without a role, and lets the same user in once bound to a role", async () => {
    const url = `${controlPlane.url}/api/v1/namespaces/default/services`;
    expect(await request(url)).toMatchObject({ status: 403 });
    const jane = await controlPlane.issueClient({ user: "jane", groups: ["testers"] });
    expect(await request(url, jane)).toMatchObject({
      status: 403,
      body: expect.stringContaining('User \\"jane\\" cannot list resource \\"services\\"'),
    });
    await kubectl(["create", "rolebinding", "testers-view", "--clusterrole=view", "--group=testers"]);
    await waitFor("the role to count", async () => (await request(url, jane)).status === 200);
  });

  test("reports a failed command by its code and its standard error", async () => {
    const result = await controlPlane.kubectl(["get", "configmap", "absent"]);
    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(result.stderr).toContain('configmaps "absent" not found');
  });
});

describe("the controllers", () => {
  test.each([
    { apiVersion: "v1", kind: "ConfigMap", plural: "configmaps" },
    { apiVersion: "linkerd.io/v1alpha2", kind: "ServiceProfile", plural: "serviceprofiles.linkerd.io" },
  ])("collect a ConfigMap whose owning $kind is deleted", async ({ apiVersion, kind, plural }) => {
    const body = kind === "ServiceProfile" ? { spec: { routes: [] } } : {};
    await kubectl(
      ["apply", "--filename=-"],
      JSON.stringify({ apiVersion, kind, metadata: { name: "owner" }, ...body }),
    );
    const uid = await kubectl(["get", plural, "owner", "--output=jsonpath={.metadata.uid}"]);
    const ownerReferences = [{ apiVersion, kind, name: "owner", uid }];
    const owned = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "owned", ownerReferences } };
    await kubectl(["apply", "--filename=-"], JSON.stringify(owned));
    await kubectl(["delete", plural, "owner"]);
    await kubectl(["wait", "--for=delete", "configmap/owned", "--timeout=20s"]);
  });

  test("finish the deletion of a Namespace and make the ServiceAccount that a token is for", async () => {
    await kubectl(["create", "namespace", "passing"]);
    await kubectl(["wait", "--for=create", "serviceaccount/default", "--namespace=passing", "--timeout=30s"]);
    expect(await kubectl(["create", "token", "default", "--namespace=passing"])).toMatch(/^ey/);
    await kubectl(["delete", "namespace", "passing", "--timeout=30s"]);
  });
});

describe("CRDs of other projects", () => {
  test("are served after their installation", async () => {
    await installCrds(controlPlane, await gatewayApiCrdPaths());
    const parentRefs = [{ group: "core", kind: "Service", name: "web", port: 80 }];
    const rules = [{ timeouts: { request: "3s" } }];
    const routes = ["gateway.networking.k8s.io/v1", "policy.linkerd.io/v1beta3"].map((apiVersion) => ({
      apiVersion,
      kind: "HTTPRoute",
      metadata: { name: "web" },
      spec: { parentRefs, rules },
    }));
    for (const route of routes) await kubectl(["apply", "--filename=-"], JSON.stringify(route));
    const linkerdRoute = await kubectl(["get", "httproutes.v1beta2.policy.linkerd.io", "web", "--output=json"]);
    expect(JSON.parse(linkerdRoute).spec).toEqual({ parentRefs, rules });
    const resources = await kubectl(["api-resources", "--output=name"]);
    expect(resources.split("\n")).toEqual(
      expect.arrayContaining(["grpcroutes.gateway.networking.k8s.io", "serviceprofiles.linkerd.io"]),
    );
  });
});

describe("Helm", () => {
  test("speaks to this control plane", async () => {
    const { code, stdout, stderr } = await controlPlane.helm(["list", "--output=json"]);
    expect({ code, stdout: stdout.trim(), stderr }).toEqual({ code: 0, stdout: "[]", stderr: "" });
  });

  test("renders for the version of this control plane without asking it", async () => {
    const chart = join(controlPlane.directory, "chart");
    mkdirSync(join(chart, "templates"), { recursive: true });
    writeFileSync(join(chart, "Chart.yaml"), "apiVersion: v2\nname: probe\nversion: 0.1.0\nkubeVersion: '>=1.36.0'\n");
    writeFileSync(join(chart, "templates", "version.yaml"), "version: {{ .Capabilities.KubeVersion.Version }}\n");
    const { stdout, stderr } = await controlPlane.helm(["template", chart]);
    expect({ stdout, stderr }).toEqual({ stdout: expect.stringContaining("version: v1.36.0"), stderr: "" });
  });
});

describe("two API servers on one etcd", () => {
  test("restart in turn while the other one answers", async () => {
    await kubectl(["create", "configmap", "shared"]);
    for (const [restarted, other] of [pairOfServers(0, 1), pairOfServers(1, 0)]) {
      const urlBefore = restarted.url;
      const over = new AbortController();
      const index = controlPlane.apiServers.indexOf(restarted);
      const restart = controlPlane.restartApiServer(index).finally(() => over.abort());
      const shared = `${other.url}/api/v1/namespaces/default/configmaps/shared`;
      let answersWhileDown = 0;
      while (!over.signal.aborted) {
        expect(await request(shared, controlPlane.admin)).toMatchObject({ status: 200 });
        if (!restarted.isRunning) answersWhileDown++;
      }
      await restart;
      expect(answersWhileDown).toBeGreaterThan(0);
      expect(restarted.url).toBe(urlBefore);
      expect((await request(`${restarted.url}/readyz`)).status).toBe(200);
    }
  });

  test("survive the crash of one, which comes back with the data", async () => {
    await controlPlane.killApiServer(0);
    expect(controlPlane.apiServers[0]?.isRunning).toBe(false);
    expect((await controlPlane.kubectl(["get", "namespaces"])).stderr).toContain("refused");
    await kubectlAt(1, ["create", "configmap", "written-meanwhile"]);
    await controlPlane.startApiServer(0);
    await kubectlAt(0, ["get", "configmap", "written-meanwhile"]);
  });
});

describe("the life of the processes", () => {
  test.each(["SIGKILL", "SIGTERM"] as const)("a parent that ends by %s leaves nothing behind", async (signal) => {
    const parent = spawn(process.execPath, [MAIN], { stdio: ["ignore", "pipe", "inherit"] });
    const ended = once(parent, "exit");
    let output = "";
    parent.stdout.on("data", (chunk: Buffer) => (output += chunk.toString("utf8")));
    await waitFor("the kubeconfig to be printed", async () => /^export KUBECONFIG=.+\n/m.test(output));
    const directory = dirname(/^export KUBECONFIG=(.+)$/m.exec(output)?.[1] ?? "");
    const running = (await processesNaming(directory)).join("\n");
    for (const name of ["etcd", "kube-apiserver", "kube-controller-manager"]) expect(running).toContain(name);
    parent.kill(signal);
    await ended;
    await waitFor("the processes to end", async () => (await processesNaming(directory)).length === 0);
    await waitFor("the directory to be removed", async () => !existsSync(directory));
  });
});

async function kubectl(args: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await controlPlane.kubectl(args, input === undefined ? {} : { input });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}

async function kubectlAt(index: number, args: readonly string[]): Promise<string> {
  return kubectl(["--kubeconfig", String(controlPlane.apiServers[index]?.kubeconfigPath), ...args]);
}

function pairOfServers(first: number, second: number): [ApiServer, ApiServer] {
  const servers = [controlPlane.apiServers[first], controlPlane.apiServers[second]];
  if (servers[0] === undefined || servers[1] === undefined) throw new Error("Cannot find two API servers");
  return [servers[0], servers[1]];
}

function request(url: string, client?: { certPem: string; keyPem: string }): Promise<{ status: number; body: string }> {
  const identity = client === undefined ? {} : { cert: client.certPem, key: client.keyPem };
  return new Promise((resolve, reject) => {
    const sent = get(url, { ca: controlPlane.caPem, agent: false, ...identity }, (response) => {
      text(response).then((body) => resolve({ status: Number(response.statusCode), body }), reject);
    });
    sent.once("error", reject);
  });
}

/** The command lines of all processes, but pgrep, that contain the text. */
function processesNaming(pattern: string): Promise<string[]> {
  return new Promise((resolve) => {
    execFile("pgrep", ["-a", "-f", pattern], (_error, stdout) => resolve(stdout.split("\n").filter(Boolean)));
  });
}
