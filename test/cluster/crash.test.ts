import { afterAll, beforeAll, expect, test } from "vitest";
import { annotationsOf, type KubernetesObject, labelsOf } from "../../src/core/kubernetes.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { resourcePath } from "../../src/k8s/client.ts";
import { type ControllerProcess, RolesCluster } from "./roles.ts";
import { answeredWrites, ServiceChanges } from "./service-changes.ts";
import { policy, service } from "./session.ts";

const SHOP = "shop";
const CORE = { group: "", version: "v1", namespace: SHOP } as const;
const SERVICES = resourcePath({ ...CORE, resource: "services" });
const POLICIES = resourcePath({
  group: "fairlead.dev",
  version: "v1alpha1",
  resource: "resiliencepolicies",
  namespace: SHOP,
});
const TARGETS = 20;
/** The stored revision, every target and the status. */
const WRITES_MIN = TARGETS + 2;
/** None expires here, however slow the machine is: the test frees the Lease of each leader that has died. */
const LEASE = { leaseDurationMs: 300_000, renewDeadlineMs: 200_000, retryPeriodMs: 50 };
/** Above every other number of the objects. */
const LIMIT = 40_000;

let roles: RolesCluster;
let leader: ControllerProcess;
let changes: ServiceChanges;
let started = 1;

beforeAll(async () => {
  ({ roles, first: leader } = await RolesCluster.start(LEASE));
  await roles.client.create("/api/v1/namespaces", {
    metadata: { name: SHOP, labels: { "fairlead.dev/mode": "enforce" } },
  });
  for (let index = 0; index < TARGETS; index += 1) {
    await roles.client.create(SERVICES, service(SHOP, `web-${index}`, { labels: { app: "web" } }));
  }
  await roles.client.create(POLICIES, policy(SHOP, "fleet", specOf(0)));
  await settled();
  changes = await ServiceChanges.start(roles.client, SHOP);
});
afterAll(async () => {
  await changes?.stop();
  await roles?.stop();
});

/** Each turn another limit, so that every target has to be written again. */
function specOf(turn: number): object {
  return { targetSelector: { matchLabels: { app: "web" } }, circuitBreaker: { consecutiveFailures: LIMIT + turn } };
}

interface Status {
  readonly observedGeneration?: number;
  readonly currentRevision?: string;
  readonly updateRevision?: string;
  readonly appliedCount?: number;
  readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason: string }[];
}

async function policyNow(): Promise<KubernetesObject & { readonly status?: Status }> {
  return roles.client.get(`${POLICIES}/fleet`);
}

/** The status says that every target has the spec as it is now. */
async function isSettled(): Promise<boolean> {
  const { metadata, status } = await policyNow();
  const isReady = status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;
  return isReady && status?.observedGeneration === metadata?.generation && status?.appliedCount === TARGETS;
}

async function settled(): Promise<void> {
  await waitFor("the policy to be ready", isSettled);
}

/** Everything that a reconcile leaves behind, without times, versions and revisions, which differ from turn to turn. */
async function outcome(turn: number): Promise<unknown> {
  const services: KubernetesObject[] = [];
  await roles.client.list(SERVICES, { onPage: (items) => services.push(...items) });
  const { metadata, status } = await policyNow();
  const revision = status?.updateRevision ?? "";
  const text = JSON.stringify({
    services: services.map((it) => [it.metadata?.name, annotationsOf(it), labelsOf(it)]),
    finalizers: metadata?.finalizers,
    settled: status?.currentRevision === status?.updateRevision,
    conditions: status?.conditions?.map(({ type, status, reason }) => [type, status, reason]),
  });
  return JSON.parse(text.replaceAll(revision, "REVISION").replaceAll(`${LIMIT + turn}`, "LIMIT"));
}

/** Waits beside the leader, so that its start takes no time when the leader dies. */
async function startStandby(): Promise<ControllerProcess> {
  started += 1;
  return roles.controller(`controller-${started}`);
}

async function change(turn: number): Promise<void> {
  await roles.client.patch({ path: `${POLICIES}/fleet`, type: "merge", body: { spec: specOf(turn) } });
}

/** Every target changed exactly once, and no answered write changed nothing. */
async function expectOneChangeEach(turn: string): Promise<void> {
  await waitFor("the watch of the test", () => changes.all.length >= TARGETS);
  const once = Array.from({ length: TARGETS }, (_, index) => [`web-${index}`, 1] as const);
  expect(changes.counts, turn).toEqual(Object.fromEntries(once));
  const answered = answeredWrites(changes.all, await roles.writes()).map(({ name }) => name);
  expect(answered, turn).toHaveLength(new Set(answered).size);
}

test("a controller that dies after its k-th write, for every k, is finished by the next without a needless write", async () => {
  // An uninterrupted run first: what it leaves behind.
  await change(1);
  await settled();
  const expected = await outcome(1);
  let standby = await startStandby();
  let killed = 0;
  for (;;) {
    changes.forget();
    await leader.signalAfter("SIGKILL", killed + 1);
    await change(2 + killed);
    // The last write can be seen before its sender has heard the answer, so only beyond the least number may one live on.
    const mayLive = killed >= WRITES_MIN;
    await waitFor("the controller to die", async () => !leader.alive || (mayLive && (await isSettled())));
    // A reconcile makes no more writes than this: every k was seen.
    if (leader.alive) break;
    killed += 1;
    leader = standby;
    [standby] = await Promise.all([startStandby(), roles.freeLease()]);
    await settled();
    expect(await outcome(1 + killed), `killed after write ${killed}`).toEqual(expected);
    await expectOneChangeEach(`killed after write ${killed}`);
  }
  expect(killed).toBeGreaterThanOrEqual(WRITES_MIN);
}, 300_000);
