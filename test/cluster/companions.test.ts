import { afterAll, beforeAll, expect, test } from "vitest";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { gatewayApiCrdPaths, linkerdCrdPaths } from "../../src/dev/control-plane/crds.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { istioCrdPath, OLDER_ISTIO_RELEASES, olderIstioCrds } from "../../src/dev/mesh/istio-module.ts";
import { companionGoldens, listOf } from "../golden/companions.ts";
import { conditionsOf, Policies } from "./policy-status.ts";
import { Session, service } from "./session.ts";
import { FAIRLEAD_CRDS } from "./support.ts";

const KINDS = "destinationrules.networking.istio.io,virtualservices.networking.istio.io";
const AT_PODS = "peerauthentications,authorizationpolicies.security.istio.io,envoyfilters";
const BOTH = ["DestinationRule fairlead-web", "VirtualService fairlead-web"];
const SPEC = { targetRefs: [{ kind: "Service", name: "web" }], circuitBreaker: {}, retry: { maxAttempts: 0 } };

/** Strict: a field that the schema does not know is an error, where it would otherwise be dropped. */
const CREATE_STRICTLY = "create --dry-run=server --validate=strict -o name -f -";

let session: Session;
let policies: Policies;
beforeAll(async () => {
  // Istio's own: what Fairlead writes here has to fit their schemas.
  const others = [...(await gatewayApiCrdPaths()), ...(await linkerdCrdPaths()), FAIRLEAD_CRDS];
  session = await Session.start({ controlPlane: { crdPaths: [await istioCrdPath(), ...others] } });
  policies = new Policies(session);
});
afterAll(() => session?.stop());

async function objectsIn(namespace: string, kinds = KINDS): Promise<readonly KubernetesObject[]> {
  const { stdout } = await session.kubectl(`get ${kinds} -n ${namespace} -o json`);
  return (JSON.parse(stdout) as { readonly items: readonly KubernetesObject[] }).items;
}

async function namesIn(namespace: string): Promise<readonly string[]> {
  const objects = await objectsIn(namespace);
  return objects.map(({ kind, metadata }) => `${kind} ${metadata?.name}`).sort();
}

/** A namespace of Istio with a Service. */
async function opened(namespace: string): Promise<void> {
  await session.namespace(namespace, "enforce", {});
  await session.kubectl(`label namespace ${namespace} istio-injection=enabled`);
  await session.kubectl("create -f -", service(namespace, "web"));
}

/** The same with its policy, and both objects. */
async function applied(namespace: string, spec: object = SPEC): Promise<void> {
  await opened(namespace);
  await session.policy(namespace, "p", spec);
  await policies.expect(`${namespace}/p`);
}

/** Waits for a condition of the policy `namespace/name`; without a name it is "p". */
async function told(at: string, type: string, wanted: RegExp): Promise<void> {
  const [namespace = "", name] = at.split("/");
  await waitFor(`${type} of ${at}`, async () =>
    wanted.test(conditionsOf(await policies.read(namespace, name))[type] ?? ""),
  );
}

test("Ready means that both objects exist; one that is deleted or edited is put back, and both go with the policy", async () => {
  await applied("made");
  expect(await namesIn("made")).toEqual(BOTH);
  const { metadata, status } = await policies.read("made");
  expect(status?.appliedToServices).toEqual([{ name: "web", revision: status?.currentRevision }]);
  for (const object of await objectsIn("made")) {
    expect(object.metadata?.ownerReferences).toMatchObject([{ kind: "ResiliencePolicy", uid: metadata?.uid }]);
  }
  await session.kubectl("delete virtualservice -n made fairlead-web");
  await session.kubectl("annotate destinationrule -n made fairlead-web fairlead.dev/generated-");
  const isBack = async (): Promise<boolean> => {
    const objects = await objectsIn("made");
    return objects.length === 2 && objects.every((it) => it.metadata?.annotations?.["fairlead.dev/generated"]);
  };
  await waitFor("both objects as they were", isBack);
  await session.kubectl("delete rp -n made p");
  expect(await namesIn("made")).toEqual([]);
});

test("two policies share one object, which stays for the other when one goes", async () => {
  await applied("shared");
  await session.policy("shared", "q", { targetRefs: SPEC.targetRefs, timeout: { request: "3s" } });
  const isReady = async () => conditionsOf(await policies.read("shared", "q"))["Ready"]?.startsWith("True");
  await waitFor("shared/q to be ready", async () => (await isReady()) === true);
  const virtual = async () => (await objectsIn("shared")).find(({ kind }) => kind === "VirtualService");
  expect((await virtual())?.metadata?.ownerReferences?.map(({ name }) => name)).toEqual(["p", "q"]);
  await session.kubectl("delete rp -n shared p");
  expect(await namesIn("shared")).toEqual(BOTH.slice(1));
  expect((await virtual())?.spec).toMatchObject({ http: [{ timeout: "3s", retries: { attempts: 2 } }] });
  expect((await virtual())?.metadata?.ownerReferences?.map(({ name }) => name)).toEqual(["q"]);
});

test("a namespace that changes its mesh has the annotations before the objects go, and the other way round", async () => {
  await applied("moving", { ...SPEC, retry: { maxAttempts: 2, statusCodes: ["5xx"] } });
  await session.kubectl("annotate namespace moving linkerd.io/inject=enabled");
  await waitFor("the objects to go", async () => (await namesIn("moving")).length === 0);
  const annotations = async () => (await session.service("moving", "web")).metadata?.annotations ?? {};
  expect(await annotations()).toMatchObject({ "retry.linkerd.io/limit": "2" });
  await session.kubectl("annotate namespace moving linkerd.io/inject-");
  await waitFor("the objects to come", async () => (await namesIn("moving")).length === 2);
  await waitFor("the annotations to go", async () => (await annotations())["retry.linkerd.io/limit"] === undefined);
});

test("what is written follows the version of the control plane, which its Service tells", async () => {
  await opened("versions");
  await session.policy("versions", "p", { targetRefs: SPEC.targetRefs, timeout: { request: "1s" } });
  await told("versions", "Ready", /^True/);
  const retried = async (): Promise<boolean> => {
    const virtual = (await objectsIn("versions")).find(({ kind }) => kind === "VirtualService");
    return JSON.stringify(virtual?.spec).includes("503");
  };
  expect(await retried()).toBe(false);
  await session.kubectl("create namespace istio-system");
  const labels = { app: "istiod", "istio.io/rev": "default", "app.kubernetes.io/version": "1.23.4" };
  const metadata = { name: "istiod", namespace: "istio-system", labels };
  await session.kubectl("create -f -", {
    apiVersion: "v1",
    kind: "Service",
    metadata,
    spec: { ports: [{ port: 15012 }] },
  });
  await waitFor("what 1.23 retries by itself", retried);
  await session.kubectl("label service -n istio-system istiod app.kubernetes.io/version=latest --overwrite");
  await told("versions", "Accepted", /FL326 Service istio-system\/istiod has the version "latest"/);
  await waitFor("what 1.31 retries by itself", async () => !(await retried()));
  await session.kubectl("delete service -n istio-system istiod");
  await told("versions", "Accepted", /with 1 warning:\nFL311/);
});

/** A Service `web` with Pods in a namespace of Istio. */
function withPods(namespace: string, targetPort: number | string): object {
  const spec = { selector: { app: "web" }, ports: [{ name: "http", port: 80, targetPort }] };
  return { ...service(namespace, "web"), spec };
}

async function openedForPods(namespace: string, targetPort: number | string): Promise<void> {
  await session.namespace(namespace, "enforce");
  await session.kubectl(`label namespace ${namespace} istio-injection=enabled`);
  await session.kubectl("apply -f -", withPods(namespace, targetPort));
}

const AUTHORIZATION = { allow: [{ from: { namespaces: ["front"] } }], deny: [{ to: { methods: ["TRACE"] } }] };
const AT_PODS_SPEC = {
  targetRefs: SPEC.targetRefs,
  mesh: "Istio",
  rateLimit: { requestsPerSecond: 9 },
  mtls: { mode: "Strict" },
  authorization: AUTHORIZATION,
};

test("limits, mutual TLS and who may come in are written in their order, and who may not stays out when a port gets a name, or nothing can be written", async () => {
  await openedForPods("pods", 8080);
  await session.policy("pods", "p", AT_PODS_SPEC);
  await policies.expect("pods/p");
  const access = [
    "AuthorizationPolicy fairlead-web",
    "AuthorizationPolicy fairlead-web.deny",
    "PeerAuthentication fairlead-web",
  ];
  const all = async () => (await objectsIn("pods", AT_PODS)).map(({ kind, metadata }) => `${kind} ${metadata?.name}`);
  const written = [...access.slice(0, 2), "EnvoyFilter fairlead-web", ...access.slice(2)];
  expect((await all()).sort()).toEqual(written);
  await session.kubectl("apply -f -", withPods("pods", "web"));
  await told("pods", "Ready", /^False PortsUnknown: .*leads to port "web" of its Pods, whose number is not known yet/s);
  expect((await all()).sort()).toEqual(written);
  // Nothing can be written for a Service without a selector.
  await session.kubectl(`patch service -n pods web --type=merge -p {"spec":{"selector":null}}`);
  await waitFor("the limit to go", async () => (await all()).length === access.length);
  expect((await all()).sort()).toEqual(access);
  await session.kubectl("delete rp -n pods p");
  expect(await all()).toEqual([]);
});

test("a port by name waits for the first Pod, follows the number that Pods have, and keeps it when all of them are gone", async () => {
  await openedForPods("named", "web");
  // No kubelet runs here, and nothing else gives a Pod its address. Slices leave out the Pods of a node that is not there.
  await session.kubectl("create -f -", { apiVersion: "v1", kind: "Node", metadata: { name: "node" } });
  const pod = async (name: string, containerPort: number, podIP: string): Promise<void> => {
    const ports = [{ name: "web", containerPort }];
    const metadata = { name, namespace: "named", labels: { app: "web" } };
    const spec = { containers: [{ name: "web", image: "web", ports }], nodeName: "node" };
    await session.kubectl("create -f -", { apiVersion: "v1", kind: "Pod", metadata, spec });
    const status = JSON.stringify({ status: { podIP, podIPs: [{ ip: podIP }] } });
    await session.kubectl(`patch pod -n named ${name} --subresource=status --type=merge -p ${status}`);
  };
  const portsOf = async (): Promise<readonly string[]> => {
    const objects = await objectsIn("named", AT_PODS);
    const specs = objects.map(({ spec }) => spec as { readonly portLevelMtls?: object });
    return specs.flatMap(({ portLevelMtls = {} }) => Object.keys(portLevelMtls));
  };
  await session.policy("named", "p", AT_PODS_SPEC);
  await told("named", "Ready", /^False PortsUnknown: /);
  expect(await objectsIn("named", AT_PODS)).toEqual([]);
  await pod("web-1", 8080, "10.1.0.1");
  await policies.expect("named/p");
  expect(await portsOf()).toEqual(["8080"]);
  await pod("web-2", 9090, "10.1.0.2");
  await waitFor("both numbers", async () => (await portsOf()).join() === "8080,9090");
  await session.kubectl("delete pod -n named web-1 --grace-period=0 --force");
  await waitFor("the number that is left", async () => (await portsOf()).join() === "9090");
  await session.kubectl("delete pod -n named web-2 --grace-period=0 --force");
  await waitFor("the slices to be empty", async () => {
    const { stdout } = await session.kubectl("get endpointslices -n named -o json");
    return !stdout.includes("9090");
  });
  // What the policy says now is written for the number of before.
  await session.policy("named", "p", { ...AT_PODS_SPEC, mtls: { mode: "Permissive" } });
  await waitFor("the other mode", async () =>
    JSON.stringify(await objectsIn("named", AT_PODS)).includes('"9090":{"mode":"PERMISSIVE"}'),
  );
  await told("named", "Ready", /^True/);
  expect(await objectsIn("named", AT_PODS)).toHaveLength(4);
});

test("an object that a person adds later is a conflict that names it, and ends when it goes", async () => {
  await applied("rivals");
  const mine = { apiVersion: "networking.istio.io/v1", kind: "VirtualService", spec: { hosts: ["web"] } };
  await session.kubectl("create -f -", { ...mine, metadata: { name: "mine", namespace: "rivals" } });
  await told("rivals", "Conflicted", /^True ObjectInTheWay: VirtualService rivals\/mine configures Service web/);
  await told("rivals", "Ready", /^False ObjectsRefused: spec\.retry: VirtualService rivals\/mine/);
  expect(await namesIn("rivals")).toEqual(["DestinationRule fairlead-web", "VirtualService mine"]);
  const refused = await session.refused("create -f -", {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "ResiliencePolicy",
    metadata: { name: "q", namespace: "rivals" },
    spec: { targetRefs: SPEC.targetRefs, timeout: { request: "1s" } },
  });
  expect(refused).toContain("VirtualService rivals/mine configures Service web already");
  await session.kubectl("delete virtualservice -n rivals mine");
  await policies.expect("rivals/p");
});

test("on Linkerd, too: all there is for a port comes together, gives way to an older Server of people, and to no younger one", async () => {
  const kinds = "servers,authorizationpolicies.policy.linkerd.io,meshtlsauthentications,httplocalratelimitpolicies";
  const found = async (): Promise<readonly string[]> => {
    const { stdout } = await session.kubectl(`get ${kinds} -n ported -o name`);
    return stdout.split("\n").filter((line) => line.includes("fairlead-web"));
  };
  await session.namespace("ported", "enforce");
  const web = { selector: { app: "web" }, ports: [{ port: 80, targetPort: 8080 }] };
  await session.kubectl("create -f -", { ...service("ported", "web"), spec: web });
  const allow = [{ from: { serviceAccounts: [{ name: "web", namespace: "front" }] } }];
  const sections = { rateLimit: { requestsPerSecond: 9 }, authorization: { allow } };
  await session.policy("ported", "p", { targetRefs: SPEC.targetRefs, ...sections });
  await told("ported", "Ready", /^True/);
  expect(await found()).toHaveLength(4);
  const mine = { podSelector: { matchLabels: { app: "web" } }, port: 8080 };
  const metadata = { name: "mine", namespace: "ported" };
  await session.kubectl("create -f -", {
    apiVersion: "policy.linkerd.io/v1beta3",
    kind: "Server",
    metadata,
    spec: mine,
  });
  await told("ported", "Accepted", /FL322 .*Server mine has no effect on port 8080 of Service web/s);
  expect(await found()).toHaveLength(4);
  const letsIn = { client: { unauthenticated: true }, server: { selector: { matchLabels: {} } } };
  await session.kubectl("create -f -", {
    apiVersion: "policy.linkerd.io/v1beta1",
    kind: "ServerAuthorization",
    metadata,
    spec: letsIn,
  });
  await told("ported", "Accepted", /FL327 .*ServerAuthorization mine lets clients in/s);
  await session.kubectl("delete server -n ported fairlead-web.8080");
  await told("ported", "Conflicted", /^True ObjectInTheWay: Server mine is for port 8080 of Service web already/);
  await waitFor("the limit to go, and nothing that says who may come in", async () => (await found()).length === 2);
  await session.kubectl("delete server -n ported mine");
  await told("ported", "Ready", /^True/);
  expect(await found()).toHaveLength(4);
});

/** A Service that leads to a port of the Pods of "web". */
const leadingTo = (namespace: string, name: string, targetPort: number): object => ({
  ...service(namespace, name),
  spec: { selector: { app: "web" }, ports: [{ name: "http", port: 80, targetPort }] },
});

/** Two Services of the same Pods, and a policy of the same name for each. */
async function guarded(namespace: string, ports: Readonly<Record<string, number>>): Promise<void> {
  for (const [name, port] of Object.entries(ports))
    await session.kubectl("create -f -", leadingTo(namespace, name, port));
  const allow = [{ from: { serviceAccounts: [{ name: "web", namespace: "front" }] } }];
  for (const name of Object.keys(ports)) {
    const targetRefs = [{ kind: "Service", name }];
    await session.policy(namespace, name, { targetRefs, mtls: { mode: "Strict" }, authorization: { allow } });
    await told(`${namespace}/${name}`, "Ready", /^True/);
  }
}

interface GuardSpec {
  readonly rules?: readonly {
    readonly to: readonly { readonly operation: { readonly notPorts?: readonly string[] } }[];
  }[];
  readonly portLevelMtls?: Readonly<Record<string, object>>;
  readonly port?: number;
}

/** Waits until there are these guards and no others: `kind of owners: ports`, of an ALLOW those that it does not leave open. */
async function guards(namespace: string, kinds: string, wanted: readonly string[]): Promise<void> {
  let found: readonly string[] = [];
  const isThere = async (): Promise<boolean> => {
    const texts = (await objectsIn(namespace, kinds)).map(({ kind, metadata, spec }) => {
      const { rules = [], portLevelMtls = {}, port } = spec as GuardSpec;
      const closed = rules.flatMap(({ to }) => to.flatMap(({ operation }) => operation.notPorts ?? []));
      const ports = port ?? [...closed, ...Object.keys(portLevelMtls)].join();
      return `${kind} of ${metadata?.ownerReferences?.map(({ name }) => name).join()}: ${ports}`;
    });
    found = texts.sort();
    return found.join() === wanted.join();
  };
  await waitFor(`the guards of ${namespace}`, isThere, { timeoutMs: 15_000 }).catch(() => undefined);
  expect(found).toEqual(wanted);
  // A policy that is looked at once more because of its own writes would find what it has to be told.
  await session.fairlead.work.current?.idle();
}

test("of two Services for the same Pods each has objects of its own, which follow where the other leads and whether it is guarded", async () => {
  await session.namespace("beside", "enforce", {});
  await session.kubectl("label namespace beside istio-injection=enabled");
  const of = (owner: string, ports: string) =>
    ["AuthorizationPolicy", "PeerAuthentication"].map((kind) => `${kind} of ${owner}: ${ports}`);
  const expectGuards = (...wanted: readonly (readonly string[])[]) => guards("beside", AT_PODS, wanted.flat().sort());
  await guarded("beside", { web: 8080, admin: 9090 });
  await expectGuards(of("web", "8080,9090"), of("admin", "8080,9090"));
  await session.kubectl("apply -f -", leadingTo("beside", "admin", 9091));
  await expectGuards(of("web", "8080,9091"), of("admin", "8080,9091"));
  await session.kubectl("delete service -n beside admin");
  await expectGuards(of("web", "8080"));
  await session.kubectl("create -f -", leadingTo("beside", "admin", 9090));
  await expectGuards(of("web", "8080,9090"), of("admin", "8080,9090"));
  await session.kubectl("delete rp -n beside web");
  await expectGuards(of("admin", "9090"));
});

test("on Linkerd the Service with the older Server has a port of the same Pods, and the other keeps its own until that one goes", async () => {
  await session.namespace("taken", "enforce");
  await guarded("taken", { web: 8080, admin: 9090 });
  const expectServers = (...wanted: readonly string[]) => guards("taken", "servers", wanted);
  await expectServers("Server of admin: 9090", "Server of web: 8080");
  await session.kubectl("apply -f -", leadingTo("taken", "admin", 8080));
  await told(
    "taken/admin",
    "Conflicted",
    /^True ObjectInTheWay: Server fairlead-web\.8080, .* for Service web, is for/,
  );
  await expectServers("Server of admin: 9090", "Server of web: 8080");
  await session.kubectl("delete service -n taken web");
  await expectServers("Server of admin: 8080");
  await told("taken/admin", "Ready", /^True/);
});

test("every golden object of every band fits the schemas of Linkerd's kinds, and none loses a field there", async () => {
  const goldens = companionGoldens("linkerd");
  await session.kubectl("create namespace golden");
  const moved = goldens.map(({ object }) => ({ ...object, metadata: { ...object.metadata, namespace: "golden" } }));
  const { stdout } = await session.kubectl(CREATE_STRICTLY, listOf(moved));
  expect(stdout.trim().split("\n")).toHaveLength(goldens.length);
});

test("every golden object of every band fits Istio's schemas, and none loses a field there", async () => {
  const goldens = companionGoldens("istio");
  await session.namespace("iam");
  const { stdout } = await session.kubectl(CREATE_STRICTLY, listOf(goldens.map(({ object }) => object)));
  expect(stdout.trim().split("\n")).toHaveLength(goldens.length);
  expect(new Set(goldens.map(({ version }) => version))).toEqual(new Set(OLDER_ISTIO_RELEASES.keys()));
});

test("every golden object fits the schemas of the first release of its band", async () => {
  const goldens = companionGoldens("istio");
  const kinds = new Set(goldens.map(({ object }) => object.kind ?? ""));
  const versions = [...OLDER_ISTIO_RELEASES.keys()];
  const crds = await Promise.all(versions.map(async (it) => besides(it, await olderIstioCrds(it, kinds))));
  await session.kubectl("apply --server-side -f -", crds.join("---\n"));
  await session.kubectl("wait --for=condition=Established --timeout=30s -f -", crds.join("---\n"));
  const objects = goldens.map(({ version, object }) => inGroupOf(version, object));
  const { stdout } = await session.kubectl(CREATE_STRICTLY, listOf(objects));
  expect(stdout.trim().split("\n")).toHaveLength(goldens.length);
  // They are the older ones: what the next band gets is not served there.
  const newer = goldens.filter(({ version }) => version === "1.22").map(({ object }) => inGroupOf("1.20", object));
  expect(await session.refused(CREATE_STRICTLY, listOf(newer))).toContain("no matches for kind");
});

/** The same text with its groups renamed, so that the schemas of several releases stand beside each other. */
function besides(version: string, text: string): string {
  return text.replaceAll(/\b(?:networking|security)\.istio\.io\b/g, `v${version.replace(".", "-")}.$&`);
}

function inGroupOf(version: string, object: KubernetesObject): KubernetesObject {
  return { ...object, apiVersion: besides(version, object.apiVersion ?? "") };
}
