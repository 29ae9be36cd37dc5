/** The guard of sections, by itself: Fairlead does not run here at all. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type ControlPlane, startControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { NAMESPACE, renderChart } from "./chart-support.ts";
import { kubectl } from "./support.ts";

/** What of the chart this is about. */
const PARTS =
  /^(CustomResourceDefinition resilience|ValidatingAdmissionPolicy.* fairlead-section-guard|ClusterRole fairlead-(change|policy))/;

const bank = { kind: "Service", name: "bank" };
const cart = { kind: "Service", name: "cart" };
const SHUT = { targetRefs: [bank], authorization: { allow: [{ from: { namespaces: ["ops"] } }] } };
const SLOW = { targetRefs: [bank], timeout: { request: "1s" } };

let cluster: ControlPlane;

beforeAll(async () => {
  cluster = await startControlPlane({ controllerManager: false });
  for (const namespace of [NAMESPACE, "shop"]) await kubectl(cluster, ["create", "namespace", namespace]);
  const parts = (await renderChart(cluster)).filter(({ kind, metadata }) => PARTS.test(`${kind} ${metadata?.name}`));
  await kubectl(cluster, ["create", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items: parts }));
  await kubectl(cluster, ["wait", "--for=condition=Established", "crd", "--all"]);
  for (const user of ["pat", "ada"]) await bind(`author-${user}`, "fairlead-policy-edit", user);
  await bind("access-ada", "fairlead-change-authorization", "ada");
  // A policy is in force some moments after it was written.
  await waitFor("the guard", async () => (await write("pat", SHUT, "--dry-run=server")).includes("section-guard"));
});

afterAll(() => cluster?.stop());

beforeEach(() => kubectl(cluster, ["delete", "resiliencepolicies", "--all", "-n", "shop"]));

async function bind(name: string, role: string, user: string) {
  await kubectl(cluster, ["create", "clusterrolebinding", name, `--clusterrole=${role}`, `--user=${user}`]);
}

/** What kubectl says on stderr; empty when the policy was written. */
async function write(user: string, spec: object, ...flags: readonly string[]): Promise<string> {
  const metadata = { name: "access", namespace: "shop" };
  const policy = { apiVersion: "fairlead.dev/v1alpha1", kind: "ResiliencePolicy", metadata, spec };
  const verb = (await exists()) ? "replace" : "create";
  const args = [verb, "-f", "-", `--as=${user}`, ...flags];
  return (await cluster.kubectl(args, { input: JSON.stringify(policy) })).stderr;
}

async function exists(): Promise<boolean> {
  return (await cluster.kubectl(["get", "resiliencepolicy", "access", "-n", "shop"])).code === 0;
}

async function patch(user: string, metadata: object): Promise<string> {
  const change = ["--type=merge", `--patch=${JSON.stringify({ metadata })}`];
  return (await cluster.kubectl(["patch", "resiliencepolicy", "access", "-n", "shop", `--as=${user}`, ...change]))
    .stderr;
}

async function remove(user: string): Promise<string> {
  const args = ["delete", "resiliencepolicy", "access", "-n", "shop", "--wait=false", `--as=${user}`];
  return (await cluster.kubectl(args)).stderr;
}

const REFUSAL =
  'resiliencepolicies.fairlead.dev "access" is forbidden: ' +
  "ValidatingAdmissionPolicy 'fairlead-section-guard' with binding 'fairlead-section-guard' denied request: " +
  "Found spec.authorization changed, aimed elsewhere or deleted by pat, wanted that by somebody who has the verb " +
  "change-authorization on the policy; fix: leave the policy as it is, or ask to be bound to the ClusterRole " +
  "fairlead-change-authorization\n";

describe("a section that is in force asks for its verb from whoever", () => {
  test.each<readonly [string, object]>([
    ["adds another target", { ...SHUT, targetRefs: [bank, cart] }],
    ["puts another in place of the target", { ...SHUT, targetRefs: [cart] }],
    [
      "chooses targets by labels",
      { authorization: SHUT.authorization, targetSelector: { matchLabels: { app: "cart" } } },
    ],
    ["has it written for another mesh", { ...SHUT, mesh: "Linkerd" }],
    ["changes it", { ...SHUT, authorization: { allow: [{ from: { namespaces: ["web"] } }] } }],
    ["takes it away", SLOW],
  ])("%s", async (_deed, spec) => {
    expect(await write("ada", SHUT)).toBe("");
    expect(await write("pat", spec)).toContain(REFUSAL);
    expect(await write("ada", spec)).toBe("");
  });

  test("deletes the policy, alone or among all", async () => {
    expect(await write("ada", SHUT)).toBe("");
    expect(await remove("pat")).toContain(REFUSAL);
    const all = "/apis/fairlead.dev/v1alpha1/namespaces/shop/resiliencepolicies";
    expect((await cluster.kubectl(["delete", `--raw=${all}`, "--as=pat"])).stderr).toContain(
      "Found spec.authorization changed, aimed elsewhere or deleted by pat",
    );
    expect(await remove("ada")).toBe("");
  });

  test("gives the policy an owner, with which it would go", async () => {
    expect(await write("ada", SHUT)).toBe("");
    const ownerReferences = [{ apiVersion: "v1", kind: "ConfigMap", name: "mine", uid: "u-1" }];
    expect(await patch("pat", { ownerReferences })).toContain(REFUSAL);
    expect(await patch("ada", { ownerReferences })).toBe("");
  });
});

describe("free is", () => {
  test("whatever leaves the section and its targets as they are", async () => {
    expect(await write("ada", SHUT)).toBe("");
    expect(await write("pat", { ...SHUT, ...SLOW, conflictResolution: "Override" })).toBe("");
    expect(await patch("pat", { labels: { team: "billing" } })).toBe("");
  });

  test("a policy without such a section, wherever it is aimed, until it is deleted", async () => {
    expect(await write("pat", SLOW)).toBe("");
    expect(await write("pat", { ...SLOW, targetRefs: [cart], mesh: "Istio" })).toBe("");
    expect(await remove("pat")).toBe("");
  });

  test.each(["namespace-controller", "generic-garbage-collector"])("the cluster's own %s", async (name) => {
    expect(await write("ada", SHUT)).toBe("");
    expect(await remove(`system:serviceaccount:kube-system:${name}`)).toBe("");
  });

  test("a policy that is being deleted", async () => {
    expect(await write("ada", SHUT)).toBe("");
    expect(await patch("ada", { finalizers: ["example.com/held"] })).toBe("");
    expect(await remove("ada")).toBe("");
    expect(await patch("pat", { finalizers: [] })).toBe("");
    expect(await exists()).toBe(false);
  });
});
