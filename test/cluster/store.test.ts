import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { CLUSTER_DOMAIN, parseMeshVersion } from "../../src/config.ts";
import type { CompiledPolicy } from "../../src/core/intent/policy.ts";
import { compilePolicy } from "../../src/core/intent/policy.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { KINDS_BESIDE, TARGET_KINDS } from "../../src/core/names.ts";
import type { TargetKey } from "../../src/core/world.ts";
import { type ControlPlane, startControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { gatewayApiCrdPaths, installCrds, istioCrdPaths, linkerdCrdPaths } from "../../src/dev/control-plane/crds.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { KubernetesClient } from "../../src/k8s/client.ts";
import { loadCluster } from "../../src/k8s/config.ts";
import type { Logger } from "../../src/k8s/ports.ts";
import type { Change } from "../../src/k8s/change.ts";
import { ClusterStore } from "../../src/k8s/store.ts";

const SILENT: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const OUR_CRDS = "webhook-config/crds.yaml";
const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";

let controlPlane: ControlPlane;
let client: KubernetesClient;
let stores: ClusterStore[] = [];
let sequence = 0;

beforeAll(async () => {
  controlPlane = await startControlPlane({ controllerManager: false });
  client = new KubernetesClient(await loadCluster({ kubeconfig: controlPlane.kubeconfigPath }));
  await installCrds(controlPlane, [
    ...(await gatewayApiCrdPaths()),
    ...(await linkerdCrdPaths()),
    ...(await istioCrdPaths()),
    OUR_CRDS,
  ]);
});
afterEach(async () => {
  await Promise.all(stores.map((store) => store.stop()));
  stores = [];
});
afterAll(async () => {
  client?.close();
  await controlPlane?.stop();
});

async function startStore(excluded: readonly string[] = []): Promise<{ store: ClusterStore; changes: Change[] }> {
  const store = new ClusterStore({
    client,
    compilePolicy,
    log: SILENT,
    tuning: { discoveryMs: 100, backoff: { baseMs: 10, capMs: 100 } },
    defaults: {
      unknownNamespaceMode: undefined,
      mesh: undefined,
      meshVersion: parseMeshVersion("2.20"),
      clusterDomain: CLUSTER_DOMAIN,
      excludedNamespaces: new Set(excluded),
    },
  });
  stores.push(store);
  const changes: Change[] = [];
  store.onChange((change) => changes.push(change));
  store.start();
  await store.whenSynced();
  return { store, changes };
}

async function createNamespace(labels: Record<string, string> = {}): Promise<string> {
  sequence += 1;
  const name = `shop-${sequence}`;
  await client.create("/api/v1/namespaces", { metadata: { name, labels } });
  return name;
}

async function label(namespace: string, value: string | null): Promise<void> {
  const body = { metadata: { labels: { "fairlead.dev/mode": value } } };
  await client.patch({ path: `/api/v1/namespaces/${namespace}`, type: "merge", body });
}

async function createService(namespace: string, name = "web", record = true): Promise<TargetKey> {
  await client.create(`/api/v1/namespaces/${namespace}/services`, {
    metadata: {
      name,
      labels: { app: name, "fairlead.dev/revision": "abc" },
      annotations: { team: "shop", ...(record && { "fairlead.dev/injected": "{}" }), [LAST_APPLIED]: "{...}" },
    },
    spec: { ports: [{ port: 80 }] },
  });
  return { group: "", kind: "Service", namespace, name };
}

async function createRoute(namespace: string, apiVersion: string, kind = "HTTPRoute"): Promise<TargetKey> {
  const plural = `${kind.toLowerCase()}s`;
  const spec = { parentRefs: [{ group: "", kind: "Service", name: "web", port: 80 }] };
  await client.create(`/apis/${apiVersion}/namespaces/${namespace}/${plural}`, {
    apiVersion,
    kind,
    metadata: { name: "web" },
    spec,
  });
  return { group: apiVersion.split("/")[0] ?? "", kind, namespace, name: "web" };
}

async function seen(
  store: ClusterStore,
  key: TargetKey,
  condition: (object: KubernetesObject) => boolean = () => true,
) {
  await waitFor(`${key.kind} ${key.namespace}/${key.name}`, async () => {
    const object = store.target(key);
    return object !== undefined && condition(object);
  });
  return store.target(key);
}

const isFull = (object: KubernetesObject): boolean => object.spec !== undefined;
const isReduced = (object: KubernetesObject): boolean => object.spec === undefined;

describe("what is kept", () => {
  test("of a Service in a namespace that opted in: all but managedFields, status and kubectl's copy", async () => {
    const namespace = await createNamespace({ "fairlead.dev/mode": "enforce" });
    const key = await createService(namespace);
    const { store } = await startStore();
    const service = await seen(store, key);
    expect(service).toMatchObject({ apiVersion: "v1", kind: "Service", spec: { ports: [{ port: 80 }] } });
    expect(service?.metadata?.annotations).toEqual({ team: "shop", "fairlead.dev/injected": "{}", [LAST_APPLIED]: "" });
    expect(service).not.toHaveProperty("status");
    expect(service?.metadata).not.toHaveProperty("managedFields");
  });

  test.each([
    { about: "did not opt in", labels: {}, excluded: false },
    { about: "opted in but is excluded", labels: { "fairlead.dev/mode": "enforce" }, excluded: true },
  ])("of a Service in a namespace that $about: that it exists, and what Fairlead left there", async (row) => {
    const namespace = await createNamespace(row.labels);
    const key = await createService(namespace, "web");
    const without = await createService(namespace, "without-record", false);
    const { store } = await startStore(row.excluded ? [namespace] : []);
    expect(await seen(store, key)).toEqual({
      apiVersion: "v1",
      kind: "Service",
      metadata: {
        name: "web",
        namespace,
        resourceVersion: expect.any(String),
        labels: { "fairlead.dev/revision": "abc" },
        annotations: { team: "shop", "fairlead.dev/injected": "{}", [LAST_APPLIED]: "" },
      },
    });
    const bare = await seen(store, without);
    expect(bare?.metadata).not.toHaveProperty("annotations");
    expect(bare).not.toHaveProperty("spec");
  });

  test("of routes: the three kinds apart, each under its own group", async () => {
    const namespace = await createNamespace({ "fairlead.dev/mode": "warn" });
    const { store } = await startStore();
    const keys = [
      await createService(namespace),
      await createRoute(namespace, "gateway.networking.k8s.io/v1"),
      await createRoute(namespace, "policy.linkerd.io/v1beta3"),
      await createRoute(namespace, "gateway.networking.k8s.io/v1", "GRPCRoute"),
    ];
    for (const key of keys) expect(await seen(store, key, isFull)).toMatchObject({ kind: key.kind });
    expect(store.targetsIn(namespace)).toHaveLength(4);
    expect(store.targetsIn(namespace)).toBe(store.targetsIn(namespace));
    expect([...store.allTargets()].filter((target) => target.metadata?.namespace === namespace)).toHaveLength(4);
  });
});

describe("a namespace", () => {
  test("that opts in later has its objects listed again, and then one change is told", async () => {
    const namespace = await createNamespace();
    const keys = [await createService(namespace), await createRoute(namespace, "policy.linkerd.io/v1beta3")];
    const { store, changes } = await startStore();
    for (const key of keys) await seen(store, key, isReduced);
    changes.length = 0;
    await label(namespace, "enforce");
    const told = (): boolean => changes.some((change) => change.type === "namespace" && change.namespace === namespace);
    await waitFor("the change", async () => told());
    for (const key of keys) expect(store.target(key)).toHaveProperty("spec");
    expect(store.isFilling(namespace)).toBe(false);
  });

  test("that loses the label has its objects reduced, and filled again when it comes back", async () => {
    const namespace = await createNamespace({ "fairlead.dev/mode": "enforce" });
    const key = await createService(namespace);
    const { store } = await startStore();
    await seen(store, key, isFull);
    await label(namespace, null);
    await seen(store, key, isReduced);
    await label(namespace, "audit");
    await seen(store, key, isFull);
    expect(store.namespace(namespace)?.labels).toMatchObject({ "fairlead.dev/mode": "audit" });
  });

  test("whose objects come and go is followed", async () => {
    const namespace = await createNamespace({ "fairlead.dev/mode": "enforce" });
    const { store, changes } = await startStore();
    const key = await createService(namespace);
    await seen(store, key, isFull);
    await client.delete(`/api/v1/namespaces/${namespace}/services/web`);
    await waitFor("the deletion", async () => store.target(key) === undefined);
    expect(store.targetsIn(namespace)).toEqual([]);
    expect(changes.filter((change) => change.type === "target" && change.namespace === namespace)).toEqual([
      { type: "target", namespace, key },
      { type: "target", namespace, key },
    ]);
  });
});

describe("policies and profiles", () => {
  test("a policy is compiled as it arrives; one that does not compile any more is gone", async () => {
    const namespace = await createNamespace();
    const { store } = await startStore();
    const path = `/apis/fairlead.dev/v1alpha1/namespaces/${namespace}/resiliencepolicies`;
    const spec = { targetRefs: [{ kind: "Service", name: "web" }], timeout: { request: "2s" } };
    await client.create(path, {
      apiVersion: "fairlead.dev/v1alpha1",
      kind: "ResiliencePolicy",
      metadata: { name: "web" },
      spec,
    });
    await waitFor("the policy", async () => store.policiesIn(namespace).length === 1);
    const [policy] = store.policiesIn(namespace) as [CompiledPolicy];
    expect(policy).toMatchObject({ namespace, name: "web", intent: { timeout: { requestMs: 2000 } } });
    await client.delete(`${path}/web`);
    await waitFor("the deletion", async () => store.policiesIn(namespace).length === 0);
  });

  test("a ServiceProfile is found by its Service, whatever the cluster domain and its own namespace", async () => {
    const namespace = await createNamespace();
    const { store } = await startStore();
    const name = `web.${namespace}.svc.example.org`;
    await client.create("/apis/linkerd.io/v1alpha2/namespaces/default/serviceprofiles", {
      apiVersion: "linkerd.io/v1alpha2",
      kind: "ServiceProfile",
      metadata: { name },
      spec: { routes: [{ name: "get", condition: { method: "GET" } }] },
    });
    await waitFor("the profile", async () => store.serviceProfilesFor("web", namespace).length > 0);
    expect(store.serviceProfilesFor("web", namespace)).toEqual([{ namespace: "default", name, active: true }]);
    expect(store.serviceProfilesFor("other", namespace)).toEqual([]);
  });

  test("endpoints and ports of Pods are known for as long as a policy in force depends on them, and not watched else", async () => {
    const namespace = await createNamespace({ "istio-injection": "enabled" });
    const slices = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`;
    const slice = (name: string, addressType: string, addresses: readonly string[]): object => ({
      metadata: {
        name,
        labels: {
          "kubernetes.io/service-name": "web",
          "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        },
      },
      addressType,
      endpoints: addresses.map((address) => ({ addresses: [address] })),
      ports: [{ port: 80 }],
    });
    await client.create(slices, slice("web-a", "IPv4", ["10.0.0.1", "10.0.0.2"]));
    await client.create(slices, slice("web-b", "IPv4", ["10.0.0.3"]));
    await client.create(slices, slice("web-c", "IPv6", ["fd00::1", "fd00::2", "fd00::3"]));
    const { store, changes } = await startStore();
    const watched = (): number => store.watchStates().length;
    const before = watched();
    expect(store.endpointsOf("web", namespace)).toBeUndefined();
    const policies = `/apis/fairlead.dev/v1alpha1/namespaces/${namespace}/resiliencepolicies`;
    const spec = { targetRefs: [{ kind: "Service", name: "web" }], circuitBreaker: { maxEjectionPercent: 10 } };
    const written = { apiVersion: "fairlead.dev/v1alpha1", kind: "ResiliencePolicy", metadata: { name: "web" }, spec };
    await client.create(policies, written);
    await client.create(policies, { ...written, metadata: { name: "other" }, spec: { ...spec, mesh: "Linkerd" } });
    await waitFor("both policies", async () => store.policiesIn(namespace).length === 2);
    expect(watched()).toBe(before);
    await label(namespace, "enforce");
    await waitFor("the endpoints", async () => store.endpointsOf("web", namespace) === 3);
    expect(changes.filter(({ type }) => type === "endpoints")).toEqual([{ type: "endpoints", namespace }]);
    expect([watched() - before, store.synced]).toEqual([1, true]);
    expect(store.endpointsOf("other", namespace)).toBeUndefined();
    changes.length = 0;
    const unready = [{ addresses: ["10.0.0.3"], conditions: { ready: false } }];
    await client.patch({ path: `${slices}/web-b`, type: "merge", body: { endpoints: unready } });
    await client.delete(`${slices}/web-c`);
    await waitFor("the endpoints that are left", async () => store.endpointsOf("web", namespace) === 2);
    expect(changes).toContainEqual({ type: "endpoints", namespace });
    expect(changes.some(({ type }) => type === "podPorts")).toBe(false);
    expect(store.podPortsOf("web", namespace, "")).toEqual([80]);
    const atPods = { spec: { circuitBreaker: null, mtls: { mode: "Strict" } } };
    await client.patch({ path: `${policies}/web`, type: "merge", body: atPods });
    await waitFor("the other policy", async () => store.policiesIn(namespace).some(({ intent }) => intent.mtls));
    await waitFor("no watch, as no Service has a port by name", async () => watched() === before);
    const services = `/api/v1/namespaces/${namespace}/services`;
    await client.create(services, { metadata: { name: "number" }, spec: { ports: [{ port: 80 }] } });
    await waitFor("a Service without names", async () => store.targetsIn(namespace).length === 1);
    expect(watched()).toBe(before);
    await client.create(services, { metadata: { name: "web" }, spec: { ports: [{ port: 80, targetPort: "web" }] } });
    await waitFor("the numbers", async () => store.podPortsOf("web", namespace, "")?.join() === "80");
    expect(changes).toContainEqual({ type: "podPorts", namespace });
    changes.length = 0;
    // Neither of these says anything new of ports.
    await client.create(slices, slice("web-d", "IPv4", ["10.0.0.4"]));
    await client.create(slices, slice("web-e", "IPv4", []));
    await client.delete(`${slices}/web-d`);
    await client.patch({ path: `${slices}/web-b`, type: "merge", body: { endpoints: [], ports: [{ port: 81 }] } });
    await waitFor("both numbers", async () => store.podPortsOf("web", namespace, "")?.join() === "80,81");
    expect(changes).toEqual([{ type: "podPorts", namespace }]);
    await client.delete(`${services}/web`);
    await waitFor("the watch to end", async () => watched() === before);
    expect(store.endpointsOf("web", namespace)).toBeUndefined();
    await client.delete(`${policies}/other`);
  });

  test("control planes are read as their Services go by, and everything is looked at again where a version changes", async () => {
    const namespace = await createNamespace({ "fairlead.dev/mode": "enforce" });
    await client.create("/api/v1/namespaces", { metadata: { name: "istio-system" } });
    const { store, changes } = await startStore(["istio-system"]);
    expect(store.controlPlanes()).toEqual([]);
    const services = "/api/v1/namespaces/istio-system/services";
    const labels = { app: "istiod", "istio.io/rev": "canary", "app.kubernetes.io/version": "1.26.1" };
    await client.create(services, { metadata: { name: "istiod-canary", labels }, spec: { ports: [{ port: 15012 }] } });
    await waitFor("the control plane", async () => store.controlPlanes().length === 1);
    const source = "Service istio-system/istiod-canary";
    expect(store.controlPlanes()).toEqual([{ mesh: "Istio", source, revision: "canary", version: "1.26.1" }]);
    changes.length = 0;
    const body = { metadata: { labels: { "app.kubernetes.io/version": "1.27.0" } } };
    await client.patch({ path: `${services}/istiod-canary`, type: "merge", body });
    await waitFor("its other version", async () => store.controlPlanes()[0]?.version === "1.27.0");
    expect(changes).toContainEqual({ type: "namespace", namespace });
    await client.delete(`${services}/istiod-canary`);
    await waitFor("the end of the control plane", async () => store.controlPlanes().length === 0);
  });

  test("every kind is synced and fresh", async () => {
    const { store } = await startStore();
    expect(store.synced).toBe(true);
    const states = store.watchStates();
    const others = ["namespaces", "resiliencepolicies", "serviceprofiles", "admissionrules", "ruleexceptions"];
    const names = [...TARGET_KINDS, ...KINDS_BESIDE].map(({ resource }) => resource).concat(others);
    expect(states.map(({ resource }) => resource).sort()).toEqual(names.sort());
    for (const state of states) expect(state).toMatchObject({ synced: true, served: true });
    for (const state of states) expect(state.stalenessMs).toBeLessThan(60_000);
  });
});
