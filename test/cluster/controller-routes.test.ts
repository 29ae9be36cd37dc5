import { afterAll, beforeAll, expect, test } from "vitest";
import { planObjects } from "../../src/cli/plan.ts";
import { annotationsOf, type KubernetesObject, labelsOf } from "../../src/core/kubernetes.ts";
import type { PlannedCarrier } from "../../src/core/plan/compare.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { DEFAULTS } from "../core/worlds.ts";
import { conditionsOf, expectEvent, Policies } from "./policy-status.ts";
import { policy, Session, service } from "./session.ts";

const ROUTES = "httproutes.gateway.networking.k8s.io";
const NAMES = ["p-web-fairlead-rest", "p-web-reports"];

let session: Session;
let policies: Policies;
beforeAll(async () => {
  session = await Session.start();
  policies = new Policies(session);
});
afterAll(() => session?.stop());

function spec(request: string, whole = "2s"): object {
  const reports = { name: "reports", matches: [{ path: { value: "/reports" } }], timeout: { request } };
  return { targetRefs: [{ kind: "Service", name: "web" }], timeout: { request: whole }, routes: [reports] };
}

async function routesIn(namespace: string): Promise<readonly string[]> {
  const { stdout } = await session.kubectl(`get ${ROUTES} -n ${namespace} -o name`);
  return stdout.split("\n").flatMap((line) => (line === "" ? [] : [line.split("/")[1] ?? ""]));
}

async function applied(namespace: string): Promise<void> {
  await session.namespace(namespace, "enforce");
  await session.kubectl("create -f -", service(namespace, "web"));
  await session.policy(namespace, "p", spec("30s"));
  await policies.expect(`${namespace}/p`);
}

/** Waits until a condition of the policy `p` matches, and shows what it says in the end. */
async function told(namespace: string, type: string, wanted: RegExp): Promise<void> {
  let conditions = {};
  const isTold = async (): Promise<boolean> => {
    conditions = conditionsOf(await policies.read(namespace));
    return wanted.test((conditions as Record<string, string>)[type] ?? "");
  };
  await waitFor(`${type} of ${namespace}/p`, isTold, { timeoutMs: 15_000 }).catch(() => undefined);
  expect(conditions).toMatchObject({ [type]: expect.stringMatching(wanted) });
}

test("Ready means that the routes exist; one that is deleted comes back, and all go with the policy", async () => {
  await applied("made");
  expect(await routesIn("made")).toEqual(NAMES);
  await session.kubectl(`delete ${ROUTES} -n made p-web-reports`);
  await waitFor("the route to come back", async () => (await routesIn("made")).length === 2);
  await session.kubectl("delete rp -n made p");
  expect(await routesIn("made")).toEqual([]);
  await session.settled("made");
  expect(labelsOf(await session.service("made", "web"))).toEqual({});
});

test("what somebody takes off again and again is put back with an Event and a count, and not for ever at once", async () => {
  await applied("undone");
  const repaired = "Somebody changed or deleted what ResiliencePolicy p had generated; it is put back";
  let drifted = 0;
  const undo = async (): Promise<void> => {
    await session.kubectl(`annotate ${ROUTES} p-web-reports -n undone timeout.linkerd.io/request-`);
    drifted += 1;
  };
  const isBack = async (): Promise<boolean> => {
    const route = await session.live(ROUTES, "undone", "p-web-reports");
    return annotationsOf(route)["timeout.linkerd.io/request"] === "30000ms";
  };
  const drift = async (): Promise<number> => {
    const text = await (await fetch(`${session.fairlead.operationsUrl}/metrics`)).text();
    return Number(/^fairlead_drift_total\{kind="HTTPRoute"\} (\d+)$/m.exec(text)?.[1] ?? 0);
  };
  const before = await drift();
  await undo();
  await waitFor("the annotation", isBack);
  await expectEvent(session, "undone", `Warning Repaired HTTPRoute/p-web-reports: ${repaired}`);
  expect(await drift()).toBe(before + 1);
  const isTold = async (): Promise<boolean> => {
    if (await isBack()) await undo();
    return (conditionsOf(await policies.read("undone"))["Failed"] ?? "").includes("Somebody undoes what is written to");
  };
  await waitFor("the policy to say that it waits", isTold, { timeoutMs: 60_000 });
  expect(await drift()).toBe(before + drifted - 1);
  await session.kubectl("delete rp -n undone p");
  expect(await routesIn("undone")).toEqual([]);
});

test("a field that somebody else has taken is told by the status, not taken back, and heals when it is given back", async () => {
  await applied("edited");
  const value = [{ matches: [{ path: { type: "PathPrefix", value: "/mine" } }] }];
  const patch = [{ op: "replace", path: "/spec/rules", value }];
  await session.kubectl(["patch", ROUTES, "p-web-reports", "-n", "edited", "--type=json", "-p", JSON.stringify(patch)]);
  await told(
    "edited",
    "Failed",
    /^True WriteFailed: Writing an object of the policy failed: Apply failed with 1 conflict/,
  );
  await session.kubectl(`delete ${ROUTES} -n edited p-web-reports`);
  await policies.expect("edited/p");
  expect(await routesIn("edited")).toEqual(NAMES);
});

test("a route that a person attaches later is a conflict that names it, and ends when it goes", async () => {
  await applied("attached");
  // Nothing else brings the policy back then.
  await session.fairlead.work.current?.idle();
  const parent = { group: "", kind: "Service", name: "web" };
  const mine = {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    metadata: { name: "mine", namespace: "attached" },
  };
  await session.kubectl("create -f -", { ...mine, spec: { parentRefs: [parent], rules: [{}] } });
  await told("attached", "Conflicted", /^True ObjectInTheWay: .*HTTPRoute mine/);
  await told("attached", "Accepted", /^True /);
  await session.fairlead.work.current?.idle();
  await session.kubectl(`delete ${ROUTES} -n attached mine`);
  await policies.expect("attached/p");
});

/** What `kubectl get -o json` says of everything in a namespace that a plan is about. */
async function exported(namespace: string): Promise<readonly KubernetesObject[]> {
  const kinds = `namespaces,services,${ROUTES},resiliencepolicies`;
  const { stdout } = await session.kubectl(`get ${kinds} -n ${namespace} -o json`);
  return (JSON.parse(stdout) as { readonly items: readonly KubernetesObject[] }).items;
}

function expectCarried(
  objects: readonly KubernetesObject[],
  carriers: readonly PlannedCarrier[],
  side: "before" | "after",
) {
  for (const carrier of carriers) {
    const { annotations, spec: wanted } = carrier[side] ?? {};
    const live = objects.find(({ kind, metadata }) => kind === carrier.kind && metadata?.name === carrier.name);
    expect(annotationsOf(live ?? {})).toMatchObject(annotations ?? {});
    if (wanted) expect(live?.spec).toMatchObject(wanted);
  }
}

test("what fairlead plan says of a cluster is what the cluster holds, before and after", async () => {
  await applied("planned");
  const before = await exported("planned");
  const planOf = (request: string, whole: string) => {
    const written = [policy("planned", "p", spec(request, whole)) as KubernetesObject];
    const { targets, reviews } = planObjects({ before, written, prune: false, defaults: DEFAULTS, nowMs: Date.now() });
    expect(reviews).toMatchObject([{ result: { allowed: true } }]);
    return targets.filter(({ namespace, change }) => namespace === "planned" && change !== "none");
  };
  expect(planOf("30s", "2s")).toEqual([]);
  const [target, ...others] = planOf("20s", "3s");
  expect(others).toEqual([]);
  expect(target?.after?.inForce).toMatchObject({ timeout: { request: "3s", policy: "p" } });
  expect(target?.carriers.map(({ kind, name, change }) => [kind, name, change])).toEqual([
    ["Service", "web", "change"],
    ["HTTPRoute", "p-web-fairlead-rest", "none"],
    ["HTTPRoute", "p-web-reports", "change"],
  ]);
  expectCarried(before, target?.carriers ?? [], "before");
  await session.policy("planned", "p", spec("20s", "3s"));
  await policies.expect("planned/p");
  expectCarried(await exported("planned"), target?.carriers ?? [], "after");
});
