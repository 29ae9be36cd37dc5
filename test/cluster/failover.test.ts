import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { annotationsOf, type KubernetesObject } from "../../src/core/kubernetes.ts";
import { resourcePath } from "../../src/k8s/client.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { type ControllerProcess, type ControllerWrite, RolesCluster } from "./roles.ts";
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
/** Lease duration of the tests (3 s) and the bound of the issue for a take-over after its end (5 s). */
const TAKE_OVER_MS = 8_000;

let roles: RolesCluster;
let first: ControllerProcess;

beforeAll(async () => {
  ({ roles, first } = await RolesCluster.start());
  await roles.client.create("/api/v1/namespaces", {
    metadata: { name: SHOP, labels: { "fairlead.dev/mode": "enforce" } },
  });
  await roles.client.create(POLICIES, fleet("1s"));
  for (let index = 0; index < TARGETS; index += 1) {
    await roles.client.create(SERVICES, service(SHOP, `web-${index}`, { labels: { app: "web" } }));
  }
  await waitFor("all targets to be injected", async () => (await carrying("1000ms")) === TARGETS);
});
afterAll(async () => {
  await roles?.stop();
});

function fleet(idle: string): object {
  return policy(SHOP, "fleet", { targetSelector: { matchLabels: { app: "web" } }, timeout: { idle } });
}

async function targets(): Promise<readonly KubernetesObject[]> {
  const found: KubernetesObject[] = [];
  await roles.client.list(SERVICES, { onPage: (items) => found.push(...items) });
  return found;
}

async function carrying(idle: string): Promise<number> {
  return (await targets()).filter((object) => annotationsOf(object)[IDLE] === idle).length;
}

async function change(idle: string): Promise<void> {
  await roles.client.patch({ path: `${POLICIES}/fleet`, type: "merge", body: { spec: { timeout: { idle } } } });
}

async function targetWrites(user: string): Promise<readonly ControllerWrite[]> {
  return (await roles.writes()).filter((write) => write.user === user && write.resource === "services");
}

/** Changes the policy and resolves when the leader is in the midst of writing. */
async function midway(leader: ControllerProcess, idle: string): Promise<void> {
  const before = (await targetWrites(leader.name)).length;
  await change(idle);
  await waitFor(`${leader.name} to write`, async () => (await targetWrites(leader.name)).length > before + 10, {
    intervalMs: 1,
  });
}

/** No write of `old` was accepted on an object after one of `next` was. */
async function expectNoOldWrites(old: string, next: string): Promise<void> {
  const taken = new Set<string>();
  for (const write of await roles.writes()) {
    if (write.resource !== "services" || write.code >= 300) continue;
    if (write.user === next) taken.add(write.name);
    else if (write.user === old)
      expect([...taken], `${old} wrote ${write.name} after ${next}`).not.toContain(write.name);
  }
}

/** One accepted write for each target, whoever made it. The log is written after the answer. */
async function expectOneWriteEach(users: readonly string[], before: number): Promise<void> {
  const accepted = async (): Promise<readonly ControllerWrite[]> =>
    (await roles.writes()).filter((it) => it.resource === "services" && users.includes(it.user) && it.code < 300);
  await waitFor("the audit log", async () => (await accepted()).length >= before + TARGETS);
  const names = (await accepted()).slice(before).map(({ name }) => name);
  expect(new Set(names).size).toBe(TARGETS);
  expect(names).toHaveLength(TARGETS);
}

describe("leader election consistency on a real API server", () => {
  test("a leader that is killed in the midst of its writes is followed by the next one, which finishes", async () => {
    const second = await roles.controller("controller-2");
    await midway(first, "2s");
    await first.kill();
    const killedAtMs = performance.now();
    await second.whenLeading();
    expect(performance.now() - killedAtMs).toBeLessThan(TAKE_OVER_MS);
    await waitFor("all targets to follow", async () => (await carrying("2000ms")) === TARGETS);
    await expectNoOldWrites(first.name, second.name);
    await expectOneWriteEach([first.name, second.name], 0);
    await second.kill();
  });

  test("of three, one that is paused beyond its lease and goes on writes nothing over the new leader's", async () => {
    const old = await roles.controller("controller-3");
    await old.whenLeading();
    const others = [await roles.controller("controller-4"), await roles.controller("controller-5")];
    const before = (await targetWrites(old.name)).length;
    await midway(old, "3s");
    old.signal("SIGSTOP");
    await waitFor("another leader", () => others.some(({ leading }) => leading));
    const next = others.find(({ leading }) => leading);
    if (next === undefined) throw new Error("There is no other leader");
    await waitFor("all targets to follow", async () => (await carrying("3000ms")) === TARGETS);
    old.signal("SIGCONT");
    await waitFor("the old leader to notice", () => !old.leading);
    await change("4s");
    await waitFor("all targets to follow again", async () => (await carrying("4000ms")) === TARGETS);
    await expectNoOldWrites(old.name, next.name);
    await expectOneWriteEach([old.name, next.name], before + TARGETS);
    expect([old, ...others].filter(({ leading }) => leading)).toEqual([next]);
  });
});
