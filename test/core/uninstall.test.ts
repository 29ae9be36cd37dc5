import { applyPatch } from "rfc6902";
import { describe, expect, test } from "vitest";
import { type KubernetesObject, type ObjectMeta, type StringMap, annotationsOf } from "../../src/core/kubernetes.ts";
import { planUninstall, SEARCHED_KINDS, type UninstallStep } from "../../src/core/uninstall.ts";
import { remainingCommands, stillRunning } from "../../src/core/uninstall-advice.ts";
import { Cluster, RECORD, REVISION, withAnnotations } from "./cluster.ts";
import { DEFAULTS, meshVersion, namespace, policy, service } from "./worlds.ts";

const IDLE = "timeout.linkerd.io/idle";
const REQUEST = "timeout.linkerd.io/request";
const MAX_FAILURES = "balancer.linkerd.io/failure-accrual-consecutive-max-failures";
const RESPONSE = "timeout.linkerd.io/response";

/** The steps for objects of one kind; several entries may search one kind by different names. */
function stepsOf(objects: readonly KubernetesObject[], version = DEFAULTS.meshVersion): readonly UninstallStep[] {
  return objects.flatMap((object) => {
    const { apiVersion = "", kind, metadata } = object;
    const group = apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "";
    const sources = SEARCHED_KINDS.filter(
      (it) => it.group === group && it.kind === kind && (it.names?.includes(metadata?.name ?? "") ?? true),
    );
    return sources.flatMap((source) => planUninstall({ source, objects: [object] }, version));
  });
}

/** With `apiVersion kind` as its type. */
function object(type: string, metadata: ObjectMeta, more: object = {}): KubernetesObject {
  const [apiVersion = "", kind = ""] = type.split(" ");
  return { apiVersion, kind, metadata: { uid: "u", resourceVersion: "7", ...metadata }, ...more };
}

const ADMISSION = "admissionregistration.k8s.io/v1";
const IAM = { namespace: "iam", name: "x" };

describe("Services and routes", () => {
  test("exactly what Fairlead wrote goes, what it replaced comes back, and what people edited since stays", () => {
    const before = { team: "iam", [IDLE]: "9s" };
    const timeouts = { timeout: { idle: "5s", request: "2s", response: "1s" }, conflictResolution: "Override" };
    const api = new Cluster(namespace("enforce"), policy(timeouts));
    api.write(service(before));
    expect(annotationsOf(api.object)).toMatchObject({ [IDLE]: "5000ms", [REQUEST]: "2000ms", [RESPONSE]: "1000ms" });
    const written = withAnnotations(api.object, { [RESPONSE]: "700ms" });
    const edited = { ...written, metadata: { ...written.metadata, resourceVersion: "8" } };

    const [step, ...others] = stepsOf([edited]);
    expect(others).toEqual([]);
    expect(step).toMatchObject({
      kind: "Service",
      namespace: "iam",
      name: "user-service",
      effect: "change",
      removed: [RECORD, REQUEST, REVISION],
      restored: { [IDLE]: "9s" },
      kept: [RESPONSE],
      note: "",
      write: { kind: "patch", resourceVersion: "8" },
    });
    const after = structuredClone(edited);
    if (step?.write?.kind === "patch") applyPatch(after, [...step.write.operations]);
    expect(after.metadata).toEqual({
      ...edited.metadata,
      annotations: { ...before, [RESPONSE]: "700ms" },
      labels: {},
    });
    expect(stepsOf([after])).toEqual([]);
  });

  test("the label alone is found, and so is the record alone", () => {
    expect(stepsOf([service(undefined, { [REVISION]: "abc" })])).toMatchObject([{ removed: [REVISION] }]);
    const record = JSON.stringify({ policy: "p", revision: "abc", keys: { [IDLE]: "5000ms" } });
    expect(stepsOf([service({ [RECORD]: record, [IDLE]: "5000ms" })])).toMatchObject([{ removed: [RECORD, IDLE] }]);
  });

  test("one without a trace is none of ours, and one that is being deleted is left to it", () => {
    const deletionTimestamp = "2026-01-01T00:00:00Z";
    const dying = service(undefined, { [REVISION]: "abc" });
    expect(stepsOf([service({ [IDLE]: "5s" })])).toEqual([]);
    expect(stepsOf([{ ...dying, metadata: { ...dying.metadata, deletionTimestamp } }])).toEqual([]);
  });

  test("a record that cannot be read goes alone, and the step says so", () => {
    expect(stepsOf([service({ [RECORD]: "nonsense", [IDLE]: "5s" })])).toMatchObject([
      { removed: [RECORD], restored: {}, note: 'Found "nonsense", which is not a JSON object' },
    ]);
  });

  test("a value that only the version of the installation reads is restored by that version, else the step says so", () => {
    const keys = { [MAX_FAILURES]: "7" };
    const record = JSON.stringify({ policy: "p", revision: "abc", keys, replaced: { [MAX_FAILURES]: " 5 " } });
    const carrying = service({ [RECORD]: record, ...keys });
    const [right] = stepsOf([carrying], meshVersion("2.20"));
    const [wrong] = stepsOf([carrying], meshVersion("2.19"));
    expect([right?.restored, right?.note]).toEqual([{ [MAX_FAILURES]: " 5 " }, ""]);
    expect(wrong?.restored).toEqual({});
    expect(wrong?.note).toBe(`Found " 5 " for ${MAX_FAILURES} in replaced, which the mesh would drop`);
  });
});

describe("generated objects", () => {
  const labels = { "app.kubernetes.io/managed-by": "fairlead", "fairlead.dev/policy-uid": "u" };
  const ownerReferences = [{ apiVersion: "fairlead.dev/v1alpha1", kind: "ResiliencePolicy", name: "p", uid: "u" }];
  const foreign = [{ apiVersion: "argoproj.io/v1", kind: "Application", name: "a", uid: "v" }];
  const managed = { "app.kubernetes.io/managed-by": "fairlead" };

  test.each([
    ["owned by a policy", { labels, ownerReferences }, ["delete"]],
    ["owned by a policy, without its uid", { labels: managed, ownerReferences }, ["delete"]],
    ["orphaned", { labels }, ["delete"]],
    ["labelled by somebody", { labels: managed }, []],
    ["owned by somebody else", { labels, ownerReferences: foreign }, []],
    ["without our label", { ownerReferences }, []],
  ])("%s", (_, metadata, effects) => {
    for (const [apiVersion, kind] of [
      ["gateway.networking.k8s.io/v1", "HTTPRoute"],
      ["policy.linkerd.io/v1beta3", "HTTPRoute"],
      ["networking.istio.io/v1", "VirtualService"],
      ["networking.istio.io/v1beta1", "DestinationRule"],
      ["apps/v1", "ControllerRevision"],
    ] as const) {
      const steps = stepsOf([object(`${apiVersion} ${kind}`, { ...IAM, ...metadata })]);
      expect(
        steps.map(({ effect }) => effect),
        kind,
      ).toEqual(effects);
    }
  });

  test("are deleted as they were read", () => {
    expect(stepsOf([object("apps/v1 ControllerRevision", { ...IAM, labels })])[0]?.write).toEqual({
      kind: "delete",
      ref: { group: "apps", resource: "controllerrevisions", namespace: "iam", name: "x" },
      uid: "u",
      resourceVersion: "7",
    });
  });
});

test("finalizers of others stay, also on a policy that is being deleted", () => {
  const finalizers = ["example.com/a", "fairlead.dev/cleanup", "example.com/b"];
  const live = policy({}, { finalizers, resourceVersion: "7" });
  const dying = policy({}, { finalizers, resourceVersion: "7", deletionTimestamp: "2026-01-01T00:00:00Z" });
  const steps = stepsOf([live, dying, policy({})]);
  expect(steps).toHaveLength(2);
  for (const step of steps) {
    expect(step.removed).toEqual(["finalizer fairlead.dev/cleanup"]);
    expect(step.write).toMatchObject({
      kind: "merge",
      resourceVersion: "7",
      body: { metadata: { finalizers: ["example.com/a", "example.com/b"] } },
    });
  }
});

describe("objects of the cluster", () => {
  test.each(["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"])("%s", (kind) => {
    const named = (...names: string[]): KubernetesObject =>
      object(`${ADMISSION} ${kind}`, { name: "fairlead" }, { webhooks: names.map((name) => ({ name })) });
    expect(stepsOf([named("services.fairlead.dev", "routes.fairlead.dev")])).toMatchObject([
      { effect: "delete", namespace: "", note: "" },
    ]);
    expect(stepsOf([named("services.fairlead.dev", "a.example.com")])).toMatchObject([
      {
        effect: "refuse",
        note: "Not touched: found the webhook a.example.com, wanted names that end in .fairlead.dev; it is not Fairlead's",
        write: undefined,
      },
    ]);
    expect(stepsOf([named("notfairlead.dev")])).toMatchObject([{ effect: "refuse" }]);
  });

  const about = (expression: string): object => ({ validations: [{ expression }] });
  const LABELS = { "app.kubernetes.io/name": "fairlead" };

  test.each([
    ["the chart's, by its label", { name: "x", labels: LABELS }, ["delete"]],
    ["by its name and what it is about", { name: "fairlead-mode-guard", spec: about("fairlead.dev/mode") }, ["delete"]],
    ["a namesake about something else", { name: "fairleader", spec: about("true") }, []],
    ["somebody's about our label", { name: "team-guard", spec: about("fairlead.dev/mode") }, []],
  ])("guards: %s", (_, { spec, ...metadata }: ObjectMeta & { spec?: object }, effects) => {
    for (const kind of ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"]) {
      const steps = stepsOf([object(`${ADMISSION} ${kind}`, metadata, { spec })]);
      expect(steps.map(({ effect }) => effect)).toEqual(effects);
    }
  });
});

describe("Fairlead's own namespace", () => {
  const OURS = { "fairlead.dev/certificate": "self-managed" };

  test.each([
    ["our certificate is deleted", { labels: OURS, data: { "tls.crt": "YQ==" } }, "delete"],
    ["a Secret that was created empty is deleted", { data: { "tls.crt": "" } }, "delete"],
    ["a Secret without data is deleted", {}, "delete"],
    ["a certificate of another tool is kept", { data: { "tls.crt": "YQ==" } }, "keep"],
  ])("fairlead-tls: %s", (_, { labels = {}, data }: { labels?: StringMap; data?: StringMap }, effect) => {
    const secret = object("v1 Secret", { namespace: "fairlead", name: "fairlead-tls", labels }, { data });
    expect(stepsOf([secret])).toMatchObject([{ effect }]);
  });

  test("the Lease and the path go", () => {
    const steps = stepsOf([
      object("coordination.k8s.io/v1 Lease", { namespace: "fairlead", name: "fairlead-controller" }),
      object("v1 Secret", { namespace: "fairlead", name: "fairlead-path" }, { data: { path: "YQ==" } }),
    ]);
    expect(steps.map(({ name, effect }) => `${effect} ${name}`)).toEqual([
      "delete fairlead-controller",
      "delete fairlead-path",
    ]);
  });
});

test("what would inject again goes first, then finalizers, then what is on people's objects", () => {
  expect(SEARCHED_KINDS.map(({ kind }) => kind)).toEqual([
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingAdmissionPolicy",
    "ResiliencePolicy",
    "Service",
    "HTTPRoute",
    "HTTPRoute",
    "GRPCRoute",
    "HTTPLocalRateLimitPolicy",
    "Server",
    "AuthorizationPolicy",
    "NetworkAuthentication",
    "MeshTLSAuthentication",
    "EnvoyFilter",
    "AuthorizationPolicy",
    "PeerAuthentication",
    "VirtualService",
    "DestinationRule",
    "ControllerRevision",
    "Report",
    "Lease",
    "Secret",
    "Secret",
  ]);
});

describe("stillRunning()", () => {
  const deployment = (name: string, more: object, labels = {}): KubernetesObject =>
    object("apps/v1 Deployment", { namespace: "fairlead", name, labels }, more);

  test.each([
    ["replicas unsaid count as one", deployment("fairlead-admission", {}), "1 replicas"],
    ["scaled to 0", deployment("fairlead-admission", { spec: { replicas: 0 } }), undefined],
    [
      "scaled to 0, pods still there",
      deployment("fairlead-controller", { spec: { replicas: 0 }, status: { replicas: 2 } }),
      "2 replicas",
    ],
    ["by its label", deployment("x", {}, { "app.kubernetes.io/name": "fairlead" }), "1 replicas"],
    ["a Deployment of somebody else", deployment("x", {}), undefined],
  ])("%s", (_, found, replicas) => {
    const wanted = replicas === undefined ? [] : [`Deployment fairlead/${found.metadata?.name} (${replicas})`];
    expect(stillRunning({ deployments: [found], leader: undefined })).toEqual(wanted);
  });

  test("a process that holds the Lease, without a Deployment", () => {
    expect(stillRunning({ deployments: [], leader: "laptop_1" })).toEqual([
      "laptop_1, which holds the Lease fairlead-controller",
    ]);
  });
});

test("remainingCommands() names what is there, the release first", () => {
  const annotations = { "meta.helm.sh/release-name": "mesh" };
  const all = {
    namespace: "fairlead",
    deployments: [object("apps/v1 Deployment", { name: "fairlead-admission", annotations })],
    labelledNamespaces: ["shop", "iam"],
    policies: 2,
    crds: ["admissionrules", "resiliencepolicies"],
  };
  expect(remainingCommands(all)).toEqual([
    "helm uninstall mesh -n fairlead",
    "kubectl delete resiliencepolicies.fairlead.dev --all --all-namespaces",
    "kubectl delete crd admissionrules.fairlead.dev resiliencepolicies.fairlead.dev",
    "kubectl label namespace iam shop fairlead.dev/mode-",
    "kubectl delete namespace fairlead",
  ]);
  const none = { namespace: undefined, deployments: [], labelledNamespaces: [], policies: 0, crds: [] };
  expect(remainingCommands(none)).toEqual([]);
});
