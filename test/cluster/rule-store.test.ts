/** Rules, exceptions and params as the store holds them, and the kinds that it reads from a real API server. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseMeshVersion } from "../../src/config.ts";
import { decide } from "../../src/core/admission/decide.ts";
import type { AdmissionRequest } from "../../src/core/admission/review.ts";
import { compilePolicy } from "../../src/core/intent/policy.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { type ControlPlane, startControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { installCrds } from "../../src/dev/control-plane/crds.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import type { Change } from "../../src/k8s/change.ts";
import { KubernetesClient } from "../../src/k8s/client.ts";
import { loadCluster } from "../../src/k8s/config.ts";
import { KindCatalog } from "../../src/k8s/kind-catalog.ts";
import type { Logger } from "../../src/k8s/ports.ts";
import { ClusterStore } from "../../src/k8s/store.ts";
import { matching, ruleObject } from "../rules/rule-objects.ts";
import { kubectl } from "./support.ts";

const SILENT: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const RULES = "/apis/fairlead.dev/v1alpha1/admissionrules";
const EXCEPTIONS = "/apis/fairlead.dev/v1alpha1/namespaces/shop/ruleexceptions";

let cluster: ControlPlane;
let client: KubernetesClient;
let store: ClusterStore;
const changes: Change[] = [];

beforeAll(async () => {
  cluster = await startControlPlane({ controllerManager: false });
  client = new KubernetesClient(await loadCluster({ kubeconfig: cluster.kubeconfigPath }));
  await installCrds(cluster, ["webhook-config/crds.yaml"]);
  for (const name of ["shop", "fairlead"]) await kubectl(cluster, ["create", "namespace", name]);
  store = new ClusterStore({
    client,
    compilePolicy,
    log: SILENT,
    ownNamespace: "fairlead",
    tuning: { discoveryMs: 100, backoff: { baseMs: 10, capMs: 100 } },
    defaults: {
      unknownNamespaceMode: undefined,
      mesh: undefined,
      meshVersion: parseMeshVersion("2.20"),
      excludedNamespaces: new Set(),
      clusterDomain: "cluster.local",
    },
  });
  store.onChange((change) => changes.push(change));
  store.start();
  await store.whenSynced();
});

afterAll(async () => {
  await store?.stop();
  client?.close();
  await cluster?.stop();
});

function named(name: string, spec: object): KubernetesObject {
  return { ...ruleObject(spec), metadata: { name } };
}

const inForce = (): readonly string[] => store.rules().map(({ name }) => name);

describe("a rule", () => {
  test("is in force from when it is written until it goes, and one that does not compile never", async () => {
    await client.create(RULES, named("zeta", { validations: [{ expression: "true" }] }));
    await client.create(RULES, named("broken", { validations: [{ expression: "object.spec.typo == 1" }] }));
    await client.create(RULES, named("alpha", { validations: [{ expression: "has(effective.timeout)" }] }));
    await waitFor("the rules", async () => store.ruleObjects().length === 3);
    expect(inForce()).toEqual(["alpha", "zeta"]);
    expect(store.ruleProblems("broken")).toEqual([expect.stringContaining("undefined field 'typo'")]);
    expect(store.ruleProblems("alpha")).toEqual([]);
    await client.delete(`${RULES}/zeta`);
    await waitFor("the end of the rule", async () => store.ruleObjects().length === 2);
    expect(inForce()).toEqual(["alpha"]);
    expect(changes.filter(({ type }) => type === "rule").length).toBe(4);
  });

  test("stays the same value while only its status or a label is written", async () => {
    const [before] = store.rules();
    const problems = store.ruleProblems("alpha");
    const status = { conditions: [], observedGeneration: 1 };
    await client.patch({ path: `${RULES}/alpha/status`, type: "merge", body: { status } });
    await client.patch({ path: `${RULES}/alpha`, type: "merge", body: { metadata: { labels: { team: "platform" } } } });
    await waitFor("the label", async () =>
      store.ruleObjects().some(({ metadata }) => metadata?.labels?.["team"] === "platform"),
    );
    expect(store.rules()[0]).toBe(before);
    expect(store.ruleProblems("alpha")).toBe(problems);
    const spec = { validations: [{ expression: "has(effective.retry)" }] };
    await client.patch({ path: `${RULES}/alpha`, type: "merge", body: { spec } });
    await waitFor("the new spec", async () => store.rules()[0] !== before);
    expect(store.rules()[0]?.validations[0]?.program.text).toBe("has(effective.retry)");
  });

  test("that is being deleted is in force no longer", async () => {
    await client.patch({ path: `${RULES}/alpha`, type: "merge", body: { metadata: { finalizers: ["a.b/held"] } } });
    await client.delete(`${RULES}/alpha`);
    await waitFor("the rule to be out of force", async () => store.rules().length === 0);
    expect(store.ruleObjects()).toHaveLength(2);
    await client.patch({ path: `${RULES}/alpha`, type: "merge", body: { metadata: { finalizers: null } } });
  });
});

test("an exception is in force from when it is written until it goes", async () => {
  const spec = {
    rules: ["alpha"],
    objectNames: ["billing"],
    owner: "team-billing",
    reason: "Migration",
    expiresAt: "2027-01-31T00:00:00Z",
  };
  const object = { apiVersion: "fairlead.dev/v1alpha1", kind: "RuleException", metadata: { name: "billing" }, spec };
  await client.create(EXCEPTIONS, object);
  await waitFor("the exception", async () => store.exceptionsIn("shop").length === 1);
  expect(store.exceptionsIn("shop")[0]).toMatchObject({ name: "billing", expiresAtMs: Date.UTC(2027, 0, 31) });
  expect(changes).toContainEqual({ type: "exception", namespace: "shop" });
  await client.delete(`${EXCEPTIONS}/billing`);
  await waitFor("its end", async () => store.exceptionsIn("shop").length === 0);
});

test("ConfigMaps are held of Fairlead's own namespace only, and tell of a change where a rule reads them", async () => {
  for (const namespace of ["shop", "fairlead"])
    await kubectl(cluster, ["create", "configmap", "limits", `--namespace=${namespace}`, "--from-literal=most=3"]);
  await waitFor("the ConfigMap", async () => store.paramsConfigMap("limits") !== undefined);
  expect(store.paramsConfigMap("limits")).toMatchObject({ metadata: { namespace: "fairlead" }, data: { most: "3" } });
  const spec = { paramRef: { name: "limits" }, validations: [{ expression: "'most' in params.data" }] };
  await client.create(RULES, named("limited", spec));
  await waitFor("the rule", async () => inForce().includes("limited"));
  const told = changes.filter(({ type }) => type === "rule").length;
  await kubectl(cluster, ["create", "configmap", "other", "--namespace=fairlead"]);
  await kubectl(cluster, ["delete", "configmap", "limits", "--namespace=fairlead"]);
  await waitFor("the end of the ConfigMap", async () => store.paramsConfigMap("limits") === undefined);
  expect(changes.filter(({ type }) => type === "rule").length).toBe(told + 1);
});

test("a namespace is as an expression sees it", async () => {
  expect(store.namespaceObject("shop")).toMatchObject({
    kind: "Namespace",
    metadata: { name: "shop", labels: { "kubernetes.io/metadata.name": "shop" } },
    status: { phase: "Active" },
  });
  expect(store.namespaceObject("nowhere")).toBeUndefined();
});

describe("the kinds of the API server", () => {
  const deployments = { group: "apps", version: "v1", resource: "deployments" };

  test("are known a moment after the start, so that a review needs no call", async () => {
    await waitFor("the kinds", async () => store.ruleKind(deployments) !== undefined);
    expect(store.ruleKind(deployments)).toMatchObject({ kind: "Deployment", namespaced: true });
    await waitFor(
      "all kinds",
      async () => store.ruleKind({ group: "", version: "v1", resource: "pods" }) !== undefined,
    );
    const spec = {
      matchConstraints: matching("deployments", "apps"),
      validations: [
        { expression: "object.spec.replicas > 1 && !object.spec.template.spec.hostNetwork" },
        {
          expression: "object.spec.template.spec.containers.all(c, c.image.startsWith('registry/') && c.imagee != '')",
        },
      ],
    };
    const object = named("deployments", spec);
    const request: AdmissionRequest = {
      phase: "validate",
      nowMs: 0,
      uid: "1",
      kind: { group: "fairlead.dev", kind: "AdmissionRule" },
      operation: "CREATE",
      namespace: "",
      name: "deployments",
      object,
      oldObject: undefined,
    };
    expect(decide(request, store).findings).toMatchObject([
      { code: "FL702", message: "Line 1, column 81: undefined field 'imagee'", fix: "did you mean image?" },
    ]);
  });

  test("follow a CRD that comes and goes, and take little memory", async () => {
    const catalog = new KindCatalog({ client, log: SILENT });
    await catalog.refresh();
    const before = catalog.textLength;
    const fleets = { group: "example.com", version: "*", resource: "fleets" };
    expect(catalog.kind(fleets)).toBeUndefined();
    await kubectl(cluster, ["create", "-f", "-"], JSON.stringify(FLEETS));
    // OpenAPI follows a CRD after a moment.
    await waitFor("the new kind", async () => {
      await catalog.refresh();
      return catalog.kind(fleets) !== undefined;
    });
    expect(catalog.kind(fleets)).toMatchObject({ kind: "Fleet", namespaced: true, shape: { spec: { size: "int" } } });
    await kubectl(cluster, ["delete", "crd", "fleets.example.com"]);
    await waitFor("the end of the kind", async () => {
      await catalog.refresh();
      return catalog.kind(fleets) === undefined;
    });
    expect(catalog.textLength).toBe(before);
    expect(before).toBeLessThan(1024 * 1024);
    expect(catalog.kind({ group: "", version: "v1", resource: "nodes" })).toMatchObject({ namespaced: false });
    expect(catalog.kind({ group: "coordination.k8s.io", version: "v1", resource: "leases" })).toBeUndefined();
  });
});

const FLEETS = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "fleets.example.com" },
  spec: {
    group: "example.com",
    scope: "Namespaced",
    names: { kind: "Fleet", plural: "fleets", singular: "fleet", listKind: "FleetList" },
    versions: ["v1beta1", "v1"].map((name) => ({
      name,
      served: true,
      storage: name === "v1",
      schema: {
        openAPIV3Schema: {
          type: "object",
          properties: {
            spec: { type: "object", properties: { size: { type: name === "v1" ? "integer" : "string" } } },
          },
        },
      },
    })),
  },
};
