import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { gatewayApiCrdPaths, linkerdCrdPaths } from "../../src/dev/control-plane/crds.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { istioCrdPath } from "../../src/dev/mesh/istio-module.ts";
import { conditionsOf, Policies } from "./policy-status.ts";
import { Session, service } from "./session.ts";
import { FAIRLEAD_CRDS, ROOT } from "./support.ts";

const KINDS = "destinationrules.networking.istio.io,virtualservices.networking.istio.io";
const BOTH = ["DestinationRule fairlead-web", "VirtualService fairlead-web"];
const SPEC = { targetRefs: [{ kind: "Service", name: "web" }], circuitBreaker: {}, retry: { maxAttempts: 0 } };

const GOLDEN = join(ROOT, "test", "golden", "istio");

let session: Session;
let policies: Policies;
beforeAll(async () => {
  // Istio's own: what Fairlead writes here has to fit their schemas.
  const others = [...(await gatewayApiCrdPaths()), ...(await linkerdCrdPaths()), FAIRLEAD_CRDS];
  session = await Session.start({ controlPlane: { crdPaths: [await istioCrdPath(), ...others] } });
  policies = new Policies(session);
});
afterAll(() => session?.stop());

async function objectsIn(namespace: string): Promise<readonly KubernetesObject[]> {
  const { stdout } = await session.kubectl(`get ${KINDS} -n ${namespace} -o json`);
  return (JSON.parse(stdout) as { readonly items: readonly KubernetesObject[] }).items;
}

async function namesIn(namespace: string): Promise<readonly string[]> {
  const objects = await objectsIn(namespace);
  return objects.map(({ kind, metadata }) => `${kind} ${metadata?.name}`).sort();
}

/** A namespace of Istio with a Service, its policy, and both objects. */
async function applied(namespace: string, spec: object = SPEC): Promise<void> {
  await session.namespace(namespace, "enforce");
  await session.kubectl(`label namespace ${namespace} istio-injection=enabled`);
  await session.kubectl("create -f -", service(namespace, "web"));
  await session.policy(namespace, "p", spec);
  await policies.expect(`${namespace}/p`);
}

async function told(namespace: string, type: string, wanted: RegExp): Promise<void> {
  await waitFor(`${type} of ${namespace}/p`, async () =>
    wanted.test(conditionsOf(await policies.read(namespace))[type] ?? ""),
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
  await session.kubectl("label namespace moving istio-injection-");
  await waitFor("the objects to go", async () => (await namesIn("moving")).length === 0);
  const annotations = async () => (await session.service("moving", "web")).metadata?.annotations ?? {};
  expect(await annotations()).toMatchObject({ "retry.linkerd.io/limit": "2" });
  await session.kubectl("label namespace moving istio-injection=enabled");
  await waitFor("the objects to come", async () => (await namesIn("moving")).length === 2);
  await waitFor("the annotations to go", async () => (await annotations())["retry.linkerd.io/limit"] === undefined);
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

test("every golden object of every band fits Istio's schemas, and none loses a field there", async () => {
  const files = globSync("*/expected-*.yaml", { cwd: GOLDEN }).map((path) => join(GOLDEN, path));
  // As JSON, because kubectl reads YAML of an older version, in which the text "on" is true.
  const items = files.flatMap((path) =>
    parseAllDocuments(readFileSync(path, "utf8")).map((it): unknown => it.toJSON()),
  );
  expect(items.length).toBeGreaterThan(files.length);
  await session.namespace("iam");
  // Strict: a field that the schema does not know is an error, where it would otherwise be dropped.
  const list = { apiVersion: "v1", kind: "List", items };
  const { stdout } = await session.kubectl("create --dry-run=server --validate=strict -o name -f -", list);
  expect(stdout.trim().split("\n")).toHaveLength(items.length);
});
