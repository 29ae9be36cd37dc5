import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Action } from "../../src/core/action.ts";
import type { TargetKey } from "../../src/core/world.ts";
import { type ControlPlane, startControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { installCrds, linkerdCrdPaths } from "../../src/dev/control-plane/crds.ts";
import { ClusterWriter, isConflict, isNotFound } from "../../src/k8s/apply.ts";
import { KubernetesClient } from "../../src/k8s/client.ts";
import { loadCluster } from "../../src/k8s/config.ts";

const ROUTES = "/apis/policy.linkerd.io/v1beta3/namespaces/default/httproutes";

let controlPlane: ControlPlane;
let client: KubernetesClient;

beforeAll(async () => {
  controlPlane = await startControlPlane({ controllerManager: false });
  client = new KubernetesClient(await loadCluster({ kubeconfig: controlPlane.kubeconfigPath }));
  await installCrds(controlPlane, await linkerdCrdPaths());
});
afterAll(async () => {
  client?.close();
  await controlPlane?.stop();
});

async function createService(name: string): Promise<{ target: TargetKey; resourceVersion: string }> {
  const body = { metadata: { name, annotations: { team: "shop" } }, spec: { ports: [{ port: 80 }] } };
  const { metadata } = await client.create("/api/v1/namespaces/default/services", body);
  return { target: { group: "", kind: "Service", namespace: "default", name }, resourceVersion: version(metadata) };
}

function version(metadata: { readonly resourceVersion?: string } | undefined): string {
  return metadata?.resourceVersion ?? "";
}

async function failure(writer: ClusterWriter, action: Action): Promise<unknown> {
  return writer.execute(action).then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe("ClusterWriter", () => {
  test("writes and removes the revision label, and answers with the object as it is then", async () => {
    const writer = new ClusterWriter({ client });
    const { target, resourceVersion } = await createService("labelled");
    const written = await writer.execute({ kind: "label", target, resourceVersion, value: "abc" });
    expect(written.metadata?.labels).toEqual({ "fairlead.dev/revision": "abc" });
    const last = version(written.metadata);
    const removed = await writer.execute({ kind: "label", target, resourceVersion: last, value: null });
    expect(removed.metadata?.labels).toBeUndefined();
    expect(writer.counters).toMatchObject({ attempted: 2, applied: 2, conflicts: 0, failed: 0, inFlight: 0 });
  });

  test("a patch and a label made from an older version are conflicts and change nothing", async () => {
    const writer = new ClusterWriter({ client });
    const { target, resourceVersion } = await createService("stale");
    const operations = [{ op: "add", path: "/metadata/annotations/added", value: "yes" }] as const;
    const patched = await writer.execute({ kind: "patch", target, resourceVersion, operations });
    expect(patched.metadata?.annotations).toEqual({ team: "shop", added: "yes" });
    const patchError = await failure(writer, { kind: "patch", target, resourceVersion, operations });
    const labelError = await failure(writer, { kind: "label", target, resourceVersion, value: "abc" });
    expect([patchError, labelError].map(isConflict)).toEqual([true, true]);
    expect(writer.counters).toMatchObject({ attempted: 3, applied: 1, conflicts: 2, failed: 0 });

    const last = version(patched.metadata);
    const impossible = [{ op: "remove", path: "/metadata/annotations/absent" }] as const;
    const error = await failure(writer, { kind: "patch", target, resourceVersion: last, operations: impossible });
    expect(isConflict(error)).toBe(false);
    expect(writer.counters).toMatchObject({ conflicts: 2, failed: 1 });
  });

  test("what does not exist is not found: the object, and the whole kind", async () => {
    const writer = new ClusterWriter({ client });
    const missing = { namespace: "default", name: "missing" };
    const targets: TargetKey[] = [
      { group: "", kind: "Service", ...missing },
      { group: "policy.linkerd.io", kind: "HTTPRoute", ...missing },
      { group: "gateway.networking.k8s.io", kind: "HTTPRoute", ...missing },
    ];
    for (const target of targets) {
      const error = await failure(writer, { kind: "label", target, resourceVersion: "1", value: "abc" });
      expect(isNotFound(error)).toBe(true);
    }
    expect(writer.counters).toMatchObject({ attempted: 3, failed: 3 });
  });

  test("a route is written under the version that is served, found by discovery", async () => {
    const writer = new ClusterWriter({ client });
    const { metadata } = await client.create(ROUTES, {
      apiVersion: "policy.linkerd.io/v1beta3",
      kind: "HTTPRoute",
      metadata: { name: "route" },
      spec: { parentRefs: [{ group: "core", kind: "Service", name: "web", port: 80 }] },
    });
    const target = { group: "policy.linkerd.io", kind: "HTTPRoute", namespace: "default", name: "route" };
    const answer = await writer.execute({ kind: "label", target, resourceVersion: version(metadata), value: "abc" });
    expect(answer.metadata?.labels).toEqual({ "fairlead.dev/revision": "abc" });
  });

  test("keeps to its parallelism and turns away what is too much", async () => {
    const writer = new ClusterWriter({ client, parallelism: 2, waitingMax: 3 });
    const { target, resourceVersion } = await createService("busy");
    const action = { kind: "label", target, resourceVersion, value: "abc" } as const;
    const all = Promise.all(Array.from({ length: 6 }, () => failure(writer, action)));
    expect(writer.counters).toMatchObject({ inFlight: 2, waiting: 3, rejected: 1 });
    const errors = await all;
    expect(errors.filter((error) => error === undefined)).toHaveLength(1);
    expect(errors.filter(isConflict)).toHaveLength(4);
    expect(writer.counters).toMatchObject({ attempted: 5, inFlight: 0, waiting: 0 });
  });
});
