import { afterAll, beforeAll, expect, test } from "vitest";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { planRoutes } from "../../src/core/routes/plan-routes.ts";
import type { ControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { ClusterWriter } from "../../src/k8s/apply.ts";
import { KubernetesClient } from "../../src/k8s/client.ts";
import { loadCluster } from "../../src/k8s/config.ts";
import { namespace, policy, worldOf } from "../core/worlds.ts";
import { kubectl, startClusterWithCrds } from "./support.ts";

let cluster: ControlPlane;
let client: KubernetesClient;
let writer: ClusterWriter;

beforeAll(async () => {
  cluster = await startClusterWithCrds();
  client = new KubernetesClient(await loadCluster({ kubeconfig: cluster.kubeconfigPath }));
  writer = new ClusterWriter({ client });
  await kubectl(cluster, ["create", "namespace", "iam"]);
});
afterAll(async () => {
  client?.close();
  await cluster?.stop();
});

const SERVICE = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "user-service", namespace: "iam" },
  spec: {
    ports: [
      { name: "http", port: 80 },
      { name: "more", port: 8080 },
    ],
  },
};
const WRITES = { name: "writes", matches: [{ method: "POST" }], retry: { maxAttempts: 0 } };
const READS = {
  name: "reads",
  matches: [
    {
      path: { type: "Exact", value: "/a%20b" },
      headers: [
        { name: "X-B", value: "2" },
        { name: "x-a", value: "1" },
      ],
    },
    { path: { type: "RegularExpression", value: "/[0-9]+" }, method: "GET" },
    { path: { value: "/users/" } },
  ],
  timeout: { request: "5s", idle: "1s" },
};

async function routes(): Promise<readonly KubernetesObject[]> {
  return JSON.parse(await kubectl(cluster, ["get", "httproutes.gateway.networking.k8s.io", "-n", "iam", "-o", "json"]))
    .items;
}

/** Carries out what is planned for the policy as it is stored; the kind and name of each write. */
async function reconcile(): Promise<readonly string[]> {
  const stored = JSON.parse(await kubectl(cluster, ["get", "rp", "user-service", "-n", "iam", "-o", "json"]));
  const live = await routes();
  const world = worldOf([namespace("enforce"), SERVICE, stored, ...live]);
  const { actions, findings } = planRoutes({ policy: stored, compiled: world.policiesIn("iam")[0], live, world });
  expect(findings).toEqual([]);
  for (const action of actions) await writer.execute(action);
  return actions.map((action) => ("ref" in action ? `${action.kind} ${action.ref.name}` : action.kind));
}

async function apply(spec: Record<string, unknown>): Promise<void> {
  await kubectl(cluster, ["apply", "-f", "-"], JSON.stringify(policy(spec)));
}

test("the API server takes generated routes as they are, keeps them so, and collects them with their policy", async () => {
  await kubectl(cluster, ["apply", "-f", "-"], JSON.stringify(SERVICE));
  const retry = { maxAttempts: 2, statusCodes: ["5xx"] };
  await apply({ retry, routes: [WRITES, READS] });
  const prefix = "user-service-user-service-";
  const names = ["fairlead-rest", "reads", "writes"].flatMap((it) => [`${it}-80`, `${it}-8080`]);
  expect(await reconcile()).toEqual(names.map((name) => `apply ${prefix}${name}`));
  expect(await reconcile()).toEqual([]);

  // Once no entry minds retries, they go from the routes again: server-side apply takes away what is applied no more.
  await apply({ retry, routes: [READS] });
  expect(await reconcile()).toEqual([
    ...names.slice(0, 4).map((name) => `apply ${prefix}${name}`),
    ...names.slice(4).map((name) => `delete ${prefix}${name}`),
  ]);
  expect(await reconcile()).toEqual([]);
  const keys = (await routes()).map(({ metadata }) => Object.keys(metadata?.annotations ?? {}).sort());
  const [rest, reads] = [
    ["fairlead.dev/generated"],
    ["fairlead.dev/generated", "timeout.linkerd.io/idle", "timeout.linkerd.io/request"],
  ];
  expect(keys).toEqual([rest, rest, reads, reads]);

  await kubectl(cluster, ["delete", "rp", "user-service", "-n", "iam"]);
  await waitFor("the garbage collector", async () => (await routes()).length === 0);
});
