import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseMeshVersion } from "../../src/config.ts";
import { annotationsOf, type KubernetesObject, labelsOf, type StringMap } from "../../src/core/kubernetes.ts";
import { type CommandResult, runCommand } from "../../src/dev/control-plane/command.ts";
import { type ControlPlane, startControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { KubernetesClient } from "../../src/k8s/client.ts";
import { loadCluster } from "../../src/k8s/config.ts";
import { Uninstall, type UninstallResult } from "../../src/k8s/uninstall.ts";
import type { Fairlead } from "../../src/main.ts";
import { FaultProxy } from "./fault-proxy.ts";
import { kubectl, ROOT, startClusterWithCrds, startInProcess } from "./support.ts";

const IDLE = "timeout.linkerd.io/idle";
const REQUEST = "timeout.linkerd.io/request";
const RESPONSE = "timeout.linkerd.io/response";
const RECORD = "fairlead.dev/injected";
const REVISION = "fairlead.dev/revision";
const FINALIZER = "fairlead.dev/cleanup";
const CLI = join(ROOT, "src", "cli.ts");
const NOTHING = "Nothing of Fairlead is in the cluster.\n";

let cluster: ControlPlane;
let client: KubernetesClient;
let fairlead: Fairlead | undefined;

beforeAll(async () => {
  cluster = await startClusterWithCrds();
  client = new KubernetesClient(await loadCluster({ kubeconfig: cluster.kubeconfigPath }));
});
afterAll(async () => {
  await fairlead?.stop();
  client?.close();
  await cluster?.stop();
});

/** The command as a process of its own; never a terminal. */
function uninstall(flags: string, home: ControlPlane = cluster): Promise<CommandResult> {
  return runCommand([process.execPath, CLI, "uninstall", ...flags.split(" ")], home);
}

async function results(args: string, code: number): Promise<readonly UninstallResult[]> {
  const run = await uninstall(`${args} -o json`);
  expect(run.code, run.stderr).toBe(code);
  return JSON.parse(run.stdout) as UninstallResult[];
}

/** `Service one/web: planned`, without what depends on how Fairlead ran: its Secrets, its Lease, its revisions. */
function lines(found: readonly UninstallResult[]): readonly string[] {
  return found
    .filter(({ kind, name }) => !["Secret", "Lease", "ControllerRevision"].includes(kind) || name === "p-1")
    .map(({ kind, namespace, name, result }) => `${kind} ${namespace}/${name}: ${result}`);
}

const apply = (...objects: readonly object[]): Promise<string> =>
  kubectl(cluster, ["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }));

async function read(resource: string, namespace?: string): Promise<readonly KubernetesObject[]> {
  const where = namespace === undefined ? ["-A"] : ["-n", namespace];
  return JSON.parse(await kubectl(cluster, ["get", resource, ...where, "-o", "json"])).items;
}

/** What people see of an object: labels, annotations and spec. */
function visible(object: KubernetesObject | undefined): object {
  const { "kubectl.kubernetes.io/last-applied-configuration": _manifest, ...annotations } = annotationsOf(object ?? {});
  return { annotations, labels: labelsOf(object ?? {}), spec: object?.spec };
}

async function visibleTargets(): Promise<Record<string, object>> {
  const found: Record<string, object> = {};
  for (const namespace of ["one", "two", "three"]) {
    for (const object of [...(await read("services", namespace)), ...(await read(ROUTES, namespace))])
      found[`${object.kind} ${namespace}/${object.metadata?.name}`] = visible(object);
  }
  return found;
}

/** Versions of everything that uninstalling may touch. */
async function versions(): Promise<readonly string[]> {
  const kinds = `services,${ROUTES},resiliencepolicies,controllerrevisions,secrets,leases`;
  const objects = [...(await read(kinds)), ...(await read("mutatingwebhookconfigurations"))];
  // The API server keeps Leases of its own.
  const ours = objects.filter(({ metadata }) => metadata?.namespace !== "kube-system");
  return ours.map(({ metadata }) => `${metadata?.uid} ${metadata?.resourceVersion}`).sort();
}

const ROUTES = "httproutes.policy.linkerd.io,httproutes.gateway.networking.k8s.io";

function namespace(name: string, mode?: string): object {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels: mode && { "fairlead.dev/mode": mode } } };
}

function service(namespace: string, name: string, annotations: StringMap = {}): object {
  const metadata = { namespace, name, annotations, labels: { app: name } };
  return { apiVersion: "v1", kind: "Service", metadata, spec: { ports: [{ name: "http", port: 80 }] } };
}

function route(namespace: string, name: string, metadata: object = {}): object {
  return {
    apiVersion: "policy.linkerd.io/v1beta3",
    kind: "HTTPRoute",
    metadata: { namespace, name, ...metadata },
    spec: { parentRefs: [{ group: "", kind: "Service", name: "web" }] },
  };
}

function policy(namespace: string, spec: object): object {
  const metadata = { namespace, name: "p" };
  return { apiVersion: "fairlead.dev/v1alpha1", kind: "ResiliencePolicy", metadata, spec };
}

const SERVICE = { targetRefs: [{ kind: "Service", name: "web" }], timeout: { request: "2s", idle: "30s" } };

describe("a cluster in which Fairlead worked and is gone", () => {
  let before: Record<string, object>;

  test("is prepared: people's objects, then Fairlead and its policies, then people again", async () => {
    await apply(namespace("one", "enforce"), namespace("two", "enforce"), namespace("three", "enforce"));
    await apply(
      service("one", "web", { team: "iam" }),
      service("one", "untouched", { [IDLE]: "3s" }),
      route("one", "web"),
      service("two", "web", { [IDLE]: "9s", note: "mine" }),
      service("three", "web"),
    );
    before = await visibleTargets();
    fairlead = await startInProcess(cluster);
    const routes = [{ group: "policy.linkerd.io", kind: "HTTPRoute", name: "web" }];
    await apply(
      policy("one", { ...SERVICE, targetRefs: [...SERVICE.targetRefs, ...routes] }),
      policy("two", { ...SERVICE, conflictResolution: "Override" }),
      policy("three", { ...SERVICE, timeout: { request: "2s", response: "1s" } }),
    );
    for (const [resource, namespace] of [
      ["service", "one"],
      [ROUTES.split(",")[0] ?? "", "one"],
      ["service", "two"],
      ["service", "three"],
    ] as const) {
      await waitFor(`${resource} in ${namespace} to be injected`, async () => {
        const path = ["get", resource, "web", "-n", namespace, "-o", "json"];
        return annotationsOf(JSON.parse(await kubectl(cluster, path)) as KubernetesObject)[RECORD] !== undefined;
      });
    }
    await fairlead.stop();
    fairlead = undefined;
    await kubectl(cluster, ["label", "namespace", "one", "fairlead.dev/mode-"]);
    await kubectl(cluster, ["annotate", "service", "web", "-n", "three", `${RESPONSE}=700ms`, "--overwrite"]);
  });

  test("with what the controller makes of policies: finalizers, routes, revisions; and what a chart brings", async () => {
    const finalizers = { metadata: { finalizers: [FINALIZER] } };
    for (const namespace of ["one", "two", "three"])
      await kubectl(cluster, ["patch", "rp", "p", "-n", namespace, "--type=merge", "-p", JSON.stringify(finalizers)]);
    const [owner] = await read("resiliencepolicies", "two");
    const { name = "", uid = "" } = owner?.metadata ?? {};
    const labels = { "app.kubernetes.io/managed-by": "fairlead", "fairlead.dev/policy-uid": uid };
    const ownerReferences = [
      { apiVersion: "fairlead.dev/v1alpha1", kind: "ResiliencePolicy", name, uid, controller: true },
    ];
    const metadata = { namespace: "two", name: "p-1", labels, ownerReferences };
    await apply(
      route("two", "p-1", metadata),
      route("two", "of-people", { labels: { "app.kubernetes.io/managed-by": "fairlead" } }),
      { apiVersion: "apps/v1", kind: "ControllerRevision", metadata, data: { spec: {} }, revision: 1 },
      {
        apiVersion: "admissionregistration.k8s.io/v1",
        kind: "ValidatingAdmissionPolicy",
        metadata: { name: "fairlead-mode-guard", labels: { "app.kubernetes.io/name": "fairlead" } },
        spec: { matchConstraints: { resourceRules: SERVICES_UPDATED }, validations: [{ expression: "true" }] },
      },
      {
        apiVersion: "admissionregistration.k8s.io/v1",
        kind: "ValidatingAdmissionPolicyBinding",
        metadata: { name: "fairlead-mode-guard" },
        spec: { policyName: "fairlead-mode-guard", validationActions: ["Deny"] },
      },
    );
    before["HTTPRoute two/of-people"] = visible(
      (await read(ROUTES, "two")).find((it) => it.metadata?.name === "of-people"),
    );
  });

  const expected = (deleted: string, changed: string): readonly string[] => [
    `MutatingWebhookConfiguration /fairlead: ${deleted}`,
    `ValidatingWebhookConfiguration /fairlead: ${deleted}`,
    `ValidatingAdmissionPolicyBinding /fairlead-mode-guard: ${deleted}`,
    `ValidatingAdmissionPolicy /fairlead-mode-guard: ${deleted}`,
    `ResiliencePolicy one/p: ${changed}`,
    `ResiliencePolicy three/p: ${changed}`,
    `ResiliencePolicy two/p: ${changed}`,
    `Service one/web: ${changed}`,
    `Service three/web: ${changed}`,
    `Service two/web: ${changed}`,
    `HTTPRoute one/web: ${changed}`,
    `HTTPRoute two/p-1: ${deleted}`,
    `ControllerRevision two/p-1: ${deleted}`,
  ];

  test("a dry run tells all of it and writes nothing", async () => {
    const unchanged = await versions();
    const found = await results("--dry-run", 0);
    expect(lines(found)).toEqual(expected("planned", "planned"));
    const of = (namespace: string): UninstallResult | undefined =>
      found.find((it) => it.kind === "Service" && it.namespace === namespace);
    expect(of("one")).toMatchObject({ removed: [RECORD, IDLE, REQUEST, REVISION], restored: {}, kept: [] });
    expect(of("two")).toMatchObject({ removed: [RECORD, REQUEST, REVISION], restored: { [IDLE]: "9s" }, kept: [] });
    expect(of("three")).toMatchObject({ removed: [RECORD, REQUEST, REVISION], restored: {}, kept: [RESPONSE] });
    expect(found.filter(({ kind }) => kind === "Secret").map(({ name }) => name)).toEqual([
      "fairlead-path",
      "fairlead-ca",
      "fairlead-tls",
    ]);
    expect(await versions()).toEqual(unchanged);
  });

  test("without a terminal and without --yes it refuses and writes nothing", async () => {
    const unchanged = await versions();
    const run = await uninstall("-o table");
    expect(run).toMatchObject({ code: 2, stdout: "" });
    expect(run.stderr).toContain("look at --dry-run first, then give --yes");
    expect(await versions()).toEqual(unchanged);
  });

  test("the run leaves everything as it was before Fairlead, but for what people have edited since", async () => {
    expect(lines(await results("--yes", 0))).toEqual(expected("deleted", "changed"));
    const web = before["Service three/web"] as { annotations: StringMap };
    before["Service three/web"] = { ...web, annotations: { ...web.annotations, [RESPONSE]: "700ms" } };
    expect(await visibleTargets()).toEqual(before);
    const left = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];
    const guards = ["validatingadmissionpolicies", "validatingadmissionpolicybindings"];
    for (const resource of [...left, ...guards]) expect(await read(resource)).toEqual([]);
    const policies = await read("resiliencepolicies");
    expect(policies).toHaveLength(3);
    for (const { metadata } of policies) expect(metadata).not.toHaveProperty("finalizers");
    expect(await read("controllerrevisions")).toEqual([]);
    expect(await read("secrets,leases", "fairlead")).toEqual([]);
  });

  test("a second run does nothing, and names the commands for what is the users'", async () => {
    const unchanged = await versions();
    const run = await uninstall("--yes");
    expect(run).toMatchObject({ code: 0, stdout: NOTHING });
    expect(run.stderr.split("\n")).toEqual([
      "",
      "Left to you, once nothing of Fairlead is left above:",
      "  kubectl delete resiliencepolicies.fairlead.dev --all --all-namespaces",
      "  kubectl delete crd admissionrules.fairlead.dev resiliencepolicies.fairlead.dev ruleexceptions.fairlead.dev",
      "  kubectl label namespace three two fairlead.dev/mode-",
      "  kubectl delete namespace fairlead",
      "",
    ]);
    expect(await versions()).toEqual(unchanged);
  });

  test("these commands then end, and so does deleting the namespaces", async () => {
    const { stderr } = await uninstall("--yes");
    for (const line of stderr.split("\n").filter((it) => it.startsWith("  kubectl ")))
      await kubectl(cluster, [...line.trim().split(" ").slice(1), ...(line.includes(" delete ") ? [WAIT] : [])]);
    await kubectl(cluster, ["delete", "namespace", "one", "two", "three", WAIT]);
    expect(await uninstall("--yes")).toEqual({ code: 0, stdout: NOTHING, stderr: "" });
  });
});

const WAIT = "--timeout=60s";
const OPTIONS = { namespace: "fairlead", meshVersion: parseMeshVersion(), timeoutMs: 60_000 };
const CRD = join(ROOT, "webhook-config", "crds.yaml");

/** A Service as Fairlead left it. */
function injected(namespace: string, name: string): object {
  const record = JSON.stringify({ policy: "p", revision: "abc", keys: { [IDLE]: "5000ms" } });
  return service(namespace, name, { [RECORD]: record, [IDLE]: "5000ms" });
}

const SERVICES_UPDATED = [
  { apiGroups: [""], apiVersions: ["v1"], operations: ["UPDATE"], resources: ["services"], scope: "Namespaced" },
];

describe("what goes wrong", () => {
  beforeAll(async () => {
    await kubectl(cluster, ["apply", "--server-side", "-f", CRD]);
    await kubectl(cluster, ["wait", "--for=condition=Established", WAIT, "crd/resiliencepolicies.fairlead.dev"]);
    await apply(namespace("fairlead"), namespace("wrong"));
  });

  test("webhook configurations of somebody else that bear our name are not touched", async () => {
    const webhook = {
      name: "a.example.com",
      clientConfig: { url: "https://127.0.0.1:1/" },
      failurePolicy: "Ignore",
      sideEffects: "None",
      admissionReviewVersions: ["v1"],
    };
    await apply({
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "MutatingWebhookConfiguration",
      metadata: { name: "fairlead" },
      webhooks: [webhook],
    });
    for (const [flags, verb] of [
      ["--dry-run", "planned"],
      ["--yes", "written"],
    ] as const) {
      const [found, ...others] = await results(flags, 1);
      expect(others, verb).toEqual([]);
      expect(found).toMatchObject({
        name: "fairlead",
        result: "left",
        message:
          "Not touched: found the webhook a.example.com, wanted names that end in .fairlead.dev; it is not Fairlead's",
      });
    }
    await kubectl(cluster, ["delete", "mutatingwebhookconfiguration", "fairlead"]);
  });

  test("a write that somebody else's webhook or guard refuses is told, and the others are done", async () => {
    await apply(namespace("refusing"), injected("refusing", "a"), injected("refusing", "b"), injected("refusing", "c"));
    const registration = { apiVersion: "admissionregistration.k8s.io/v1", metadata: { name: "somebodys" } };
    const matchConditions = [{ name: "a", expression: "object.metadata.name == 'a'" }];
    await apply(
      {
        ...registration,
        kind: "ValidatingWebhookConfiguration",
        webhooks: [
          {
            name: "dead.example.com",
            clientConfig: { url: "https://127.0.0.1:1/" },
            rules: SERVICES_UPDATED,
            matchConditions,
            failurePolicy: "Fail",
            sideEffects: "None",
            admissionReviewVersions: ["v1"],
          },
        ],
      },
      {
        ...registration,
        kind: "ValidatingAdmissionPolicy",
        spec: {
          matchConstraints: { resourceRules: SERVICES_UPDATED },
          validations: [{ expression: "object.metadata.name != 'b'", message: "b is frozen" }],
        },
      },
      {
        ...registration,
        kind: "ValidatingAdmissionPolicyBinding",
        spec: { policyName: "somebodys", validationActions: ["Deny"] },
      },
    );
    const isRefused = async (name: string): Promise<boolean> =>
      (await cluster.kubectl(["annotate", "--dry-run=server", "service", name, "-n", "refusing", "x=y"])).code !== 0;
    await waitFor("both to refuse", async () => (await isRefused("a")) && (await isRefused("b")));

    const found = await results("--yes", 1);
    expect(lines(found)).toEqual([
      "Service refusing/a: left",
      "Service refusing/b: left",
      "Service refusing/c: changed",
    ]);
    expect(found[0]?.message).toMatch(/^Internal error occurred: failed calling webhook "dead\.example\.com": /);
    expect(found[1]?.message).toContain("denied request: b is frozen");

    const all = "validatingwebhookconfiguration,validatingadmissionpolicy,validatingadmissionpolicybinding";
    await kubectl(cluster, ["delete", all, "somebodys"]);
    await waitFor("neither to refuse", async () => !(await isRefused("a")) && !(await isRefused("b")));
    expect(lines(await results("--yes", 0))).toEqual(["Service refusing/a: changed", "Service refusing/b: changed"]);
  });

  test("while replicas run it refuses and writes nothing, but with --force", async () => {
    const metadata = { namespace: "fairlead", name: "fairlead-controller" };
    const labels = { app: "x" };
    const template = { metadata: { labels }, spec: { containers: [{ name: "x", image: "x" }] } };
    const spec = { replicas: 1, selector: { matchLabels: labels }, template };
    await apply(injected("refusing", "d"), { apiVersion: "apps/v1", kind: "Deployment", metadata, spec });
    const unchanged = await versions();
    const found =
      "Fairlead still runs and would write again: found Deployment fairlead/fairlead-controller (1 replicas)";
    expect(await uninstall("--yes")).toEqual({
      code: 1,
      stdout: "",
      stderr: `fairlead: ${found}; end it first, for example: kubectl scale deployment -n fairlead fairlead-admission fairlead-controller --replicas=0\n`,
    });
    expect((await uninstall("--dry-run")).stderr.split("\n")[0]).toBe(`Warning: ${found}`);
    expect(await versions()).toEqual(unchanged);

    expect(lines(await results("--yes --force", 0))).toEqual(["Service refusing/d: changed"]);
    await kubectl(cluster, ["delete", "deployment", "-n", "fairlead", "fairlead-controller"]);
  });

  test("a Lease that somebody holds counts as running until it has run out", async () => {
    const lease = (renewTime: string): object => ({
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { namespace: "fairlead", name: "fairlead-controller" },
      spec: { holderIdentity: "laptop_1", leaseDurationSeconds: 15, renewTime },
    });
    await apply(lease("2999-01-01T00:00:00.000000Z"));
    const held = await uninstall("--yes");
    expect(held).toMatchObject({ code: 1, stdout: "" });
    expect(held.stderr).toContain("found laptop_1, which holds the Lease fairlead-controller; end it first");
    await apply(lease("2020-01-01T00:00:00.000000Z"));
    expect((await results("--yes", 0)).map(({ kind, result }) => `${kind} ${result}`)).toEqual(["Lease deleted"]);
  });

  test("a Service that is written meanwhile is read again, and keeps what was written", async () => {
    await apply(injected("refusing", "e"));
    const meddled = new KubernetesClient(await loadCluster({ kubeconfig: cluster.kubeconfigPath }));
    const patch = meddled.patchVersion.bind(meddled);
    let writes = 0;
    meddled.patchVersion = async (request) => {
      writes += 1;
      if (writes <= 2) await kubectl(cluster, ["annotate", "service", "e", "-n", "refusing", `write-${writes}=x`]);
      return patch(request);
    };
    const run = await new Uninstall({ client: meddled, ...OPTIONS }).run();
    meddled.close();
    expect([lines(run), writes]).toEqual([["Service refusing/e: changed"], 3]);
    const written = (await read("services", "refusing")).find(({ metadata }) => metadata?.name === "e");
    expect(visible(written)).toMatchObject({ annotations: { "write-1": "x", "write-2": "x" } });
    expect(annotationsOf(written ?? {})).not.toHaveProperty([RECORD]);
  });

  test("what is injected after it was read is found by the next pass, and told once", async () => {
    await apply(injected("refusing", "f"));
    const meddled = new KubernetesClient(await loadCluster({ kubeconfig: cluster.kubeconfigPath }));
    const patch = meddled.patchVersion.bind(meddled);
    let writes = 0;
    meddled.patchVersion = async (request) => {
      const answer = await patch(request);
      writes += 1;
      if (writes === 1) await apply(injected("refusing", "f"), injected("refusing", "g"));
      return answer;
    };
    const run = await new Uninstall({ client: meddled, ...OPTIONS }).run();
    meddled.close();
    expect(lines(run)).toEqual(["Service refusing/f: changed", "Service refusing/g: changed"]);
    expect(lines(await results("--dry-run", 0))).toEqual([]);
  });

  test("what could not be written and is gone in the end is not left", async () => {
    await apply(injected("refusing", "i"));
    const meddled = new KubernetesClient(await loadCluster({ kubeconfig: cluster.kubeconfigPath }));
    meddled.patchVersion = async () => {
      await kubectl(cluster, ["delete", "service", "i", "-n", "refusing"]);
      throw new Error("connection lost");
    };
    const run = await new Uninstall({ client: meddled, ...OPTIONS }).run();
    meddled.close();
    expect(lines(run)).toEqual(["Service refusing/i: gone"]);
  });

  test("after the timeout nothing new is begun, and all of it is told as left", async () => {
    await apply(injected("refusing", "h"));
    const found = await results("--yes --timeout 1ms", 1);
    expect(new Set(found.map(({ result }) => result))).toEqual(new Set(["left"]));
    expect(found.at(-1)?.message).toBe("Cannot be read: Not begun: the timeout of 1 ms was over");
    expect(lines(await results("--yes", 0))).toEqual(["Service refusing/h: changed"]);
  });

  test("a CRD and a namespace that hang because of finalizers end", async () => {
    const held = policy("wrong", SERVICE) as { metadata: object };
    await apply({ ...held, metadata: { ...held.metadata, finalizers: [FINALIZER] } });
    await kubectl(cluster, ["delete", "crd", "resiliencepolicies.fairlead.dev", "--wait=false"]);
    await kubectl(cluster, ["delete", "namespace", "wrong", "--wait=false"]);
    expect(lines(await results("--yes", 0))).toEqual(["ResiliencePolicy wrong/p: changed"]);
    await kubectl(cluster, ["wait", "--for=delete", WAIT, "crd/resiliencepolicies.fairlead.dev", "namespace/wrong"]);
  });
});

describe("a cluster without any CRD", () => {
  let bare: ControlPlane;
  beforeAll(async () => {
    bare = await startControlPlane({ controllerManager: false });
  });
  afterAll(() => bare?.stop());

  test("that never had Fairlead: there is nothing to do", async () => {
    const clean: CommandResult = await uninstall("--yes", bare);
    expect(clean).toEqual({ code: 0, stdout: NOTHING, stderr: "" });
  });

  test("with more Services than a page holds, also where the pages expire in the middle", async () => {
    const items = ["a", "b", "c", "d", "e"].map((name) => injected("default", name));
    await kubectl(bare, ["create", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items }));
    const proxy = await FaultProxy.start({ url: bare.url, caPem: bare.caPem, client: bare.admin });
    const paged = new KubernetesClient(proxy.cluster);
    try {
      proxy.pageLimit = 2;
      proxy.fault = "listGone";
      const plan = await new Uninstall({ client: paged, ...OPTIONS }).plan();
      expect([plan.map(({ name }) => name), proxy.seen.faults]).toEqual([["a", "b", "c", "d", "e"], 1]);
    } finally {
      paged.close();
      await proxy.stop();
    }
  });
});
