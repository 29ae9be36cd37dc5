import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { annotationsOf, type KubernetesObject } from "../../src/core/kubernetes.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { resourcePath } from "../../src/k8s/client.ts";
import type { LeaseTiming } from "../../src/k8s/lease-step.ts";
import { type ControllerProcess, RolesCluster } from "./roles.ts";
import { ServiceChanges, writersOf } from "./service-changes.ts";
import { policy, service } from "./session.ts";

const SHOP = "shop";
const SERVICES = resourcePath({ group: "", version: "v1", resource: "services", namespace: SHOP });
const POLICIES = resourcePath({
  group: "fairlead.dev",
  version: "v1alpha1",
  resource: "resiliencepolicies",
  namespace: SHOP,
});
const IDLE = "timeout.linkerd.io/idle";
const TARGETS = 200;
/** So many writes of a leader have been answered when it is hit. */
const MIDWAY = 20;
/** Writes that a controller has under way at once. */
const IN_FLIGHT_MAX = 8;
/** Short, so that a test need not wait long for a dead leader; a busy machine still makes its renewals. */
const LEASE: LeaseTiming = { leaseDurationMs: 4_000, renewDeadlineMs: 3_000, retryPeriodMs: 200 };
/** The bound of the issue is 5 s after the end of the Lease. */
const TAKE_OVER_MS = LEASE.leaseDurationMs + 5_000;

let roles: RolesCluster;
let changes: ServiceChanges;

beforeAll(async () => {
  ({ roles } = await RolesCluster.start(LEASE));
  await roles.client.create("/api/v1/namespaces", {
    metadata: { name: SHOP, labels: { "fairlead.dev/mode": "enforce" } },
  });
  await roles.client.create(POLICIES, fleet(1));
  for (let index = 0; index < TARGETS; index += 1) {
    await roles.client.create(SERVICES, service(SHOP, `web-${index}`, { labels: { app: "web" } }));
  }
  changes = await ServiceChanges.start(roles.client, SHOP);
});
/** Each test starts replicas of its own, whatever became of the last one's. */
afterEach(async () => {
  await roles.killControllers();
});
afterAll(async () => {
  await changes?.stop();
  await roles?.stop();
});

function fleet(idleSeconds: number): object {
  const timeout = { idle: `${idleSeconds}s` };
  return policy(SHOP, "fleet", { targetSelector: { matchLabels: { app: "web" } }, timeout });
}

async function change(idleSeconds: number): Promise<void> {
  const spec = { timeout: { idle: `${idleSeconds}s` } };
  await roles.client.patch({ path: `${POLICIES}/fleet`, type: "merge", body: { spec } });
}

async function allFollow(idleSeconds: number): Promise<void> {
  await waitFor(`all targets to have ${idleSeconds} s`, async () => {
    const targets: KubernetesObject[] = [];
    await roles.client.list(SERVICES, { onPage: (items) => targets.push(...items) });
    return targets.every((object) => annotationsOf(object)[IDLE] === `${idleSeconds}000ms`);
  });
}

/** Starts replicas and returns the one that leads, and the others. Nothing is left to do then. */
async function startReplicas(
  names: readonly string[],
  idleSeconds: number,
): Promise<{ readonly leader: ControllerProcess; readonly others: readonly ControllerProcess[] }> {
  await roles.killControllers();
  await roles.freeLease();
  const replicas = await Promise.all(names.map((name) => roles.controller(name)));
  await waitFor("a leader", () => replicas.some(({ leading }) => leading));
  await change(idleSeconds);
  await allFollow(idleSeconds);
  const leader = leaderOf(replicas);
  return { leader, others: replicas.filter((it) => it !== leader) };
}

function leaderOf(replicas: readonly ControllerProcess[]): ControllerProcess {
  const leading = replicas.filter((replica) => replica.leading);
  const [leader] = leading;
  if (leader === undefined || leading.length > 1) throw new Error(`Found ${leading.length} leaders, wanted one`);
  return leader;
}

/** Every target changed once for each change of the policy. */
async function expectChangesEach(count: number): Promise<void> {
  await waitFor("the watch of the test", () => changes.all.length >= count * TARGETS);
  const names = Array.from({ length: TARGETS }, (_, index) => [`web-${index}`, count] as const);
  expect(changes.counts).toEqual(Object.fromEntries(names));
}

/** Both wrote, and from the first change of `next` on every change is its own, whatever the object. */
async function expectSuccession(old: string, next: string): Promise<readonly (string | undefined)[]> {
  let before: readonly (string | undefined)[] = [];
  const after = async (): Promise<ReadonlySet<string | undefined>> => {
    const writers = writersOf(changes.all, await roles.writes());
    const first = writers.indexOf(next);
    before = writers.slice(0, first);
    return new Set(writers.slice(first));
  };
  // The API server writes its log after the answer.
  await expect.poll(after, { timeout: 10_000 }).toEqual(new Set([next]));
  expect(before).toContain(old);
  expect(before).not.toContain(next);
  return before;
}

describe("leader election consistency on a real API server", () => {
  test("a leader that is killed in the midst of its writes is followed by the next one, which finishes", async () => {
    const { leader, others } = await startReplicas(["one", "two"], 2);
    changes.forget();
    await leader.signalAfter("SIGKILL", MIDWAY);
    await change(3);
    await waitFor("the leader to die", () => !leader.alive);
    const diedAtMs = performance.now();
    await waitFor("another leader", () => others.some(({ leading }) => leading));
    expect(performance.now() - diedAtMs).toBeLessThan(TAKE_OVER_MS);
    await allFollow(3);
    await expectChangesEach(1);
    const before = await expectSuccession(leader.name, leaderOf(others).name);
    expect(before.filter((it) => it === undefined).length).toBeLessThan(IN_FLIGHT_MAX);
  });

  test("of three, one that is paused beyond its lease and goes on writes nothing over the new leader's", async () => {
    const { leader: old, others } = await startReplicas(["three", "four", "five"], 4);
    changes.forget();
    await old.signalAfter("SIGSTOP", MIDWAY);
    await change(5);
    await waitFor("another leader", () => others.some(({ leading }) => leading));
    await allFollow(5);
    old.resume();
    await waitFor("the old leader to notice", () => !old.leading);
    await change(6);
    await allFollow(6);
    await expectChangesEach(2);
    const next = leaderOf([old, ...others]);
    // Nobody died, so every answer is in the log.
    expect(await expectSuccession(old.name, next.name)).not.toContain(undefined);
    expect(others).toContain(next);
  });
});
