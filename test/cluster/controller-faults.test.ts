import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { annotationsOf, type KubernetesObject } from "../../src/core/kubernetes.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { resourcePath } from "../../src/k8s/client.ts";
import type { LeaseTiming } from "../../src/k8s/lease-step.ts";
import type { ProxiedWrite } from "./fault-proxy.ts";
import { ForeignWebhook, type ForeignWebhookOptions } from "./foreign-webhook.ts";
import { expectEvent, Policies } from "./policy-status.ts";
import { ProxiedSession } from "./proxied-session.ts";
import { expectCarries, expectClean, policy, type Session, service } from "./session.ts";

/** Short, so that it passes while the API server is away. */
const LEASE: LeaseTiming = { leaseDurationMs: 3_000, renewDeadlineMs: 2_000, retryPeriodMs: 200 };

let proxied: ProxiedSession;
let session: Session;
let policies: Policies;
beforeAll(async () => {
  proxied = await ProxiedSession.start({ lease: LEASE });
  session = proxied.session;
  policies = new Policies(session);
});
afterAll(() => proxied?.stop());

const REQUEST = "timeout.linkerd.io/request";
const KEYS = { [REQUEST]: "2000ms" };

function spec(names: readonly string[], more: object = {}): object {
  return { targetRefs: names.map((name) => ({ kind: "Service", name })), timeout: { request: "2s" }, ...more };
}
const SELECTS = { targetRefs: undefined, targetSelector: { matchLabels: { app: "web" } } };
const BY_LABEL = "False TargetsFound: The policy names no target, it selects them by label";

/** Policies and Services by the client: hundreds of processes of kubectl would take minutes. */
async function create(namespace: string, objects: readonly object[]): Promise<void> {
  for (const object of objects as readonly KubernetesObject[]) {
    const ref =
      object.kind === "Service"
        ? { group: "", version: "v1", resource: "services", namespace }
        : { group: "fairlead.dev", version: "v1alpha1", resource: "resiliencepolicies", namespace };
    await session.client.create(resourcePath(ref), object);
  }
}

async function services(namespace: string, count: number): Promise<void> {
  const names = Array.from({ length: count }, (_, index) => `web-${index}`);
  await create(
    namespace,
    names.map((name) => service(namespace, name, { labels: { app: "web" } })),
  );
}

function isTarget({ path }: ProxiedWrite): boolean {
  return path.includes("/services/");
}

function failing(ready: string, failed: string): object {
  return { Ready: ready, Failed: failed };
}
const BEHIND = "False TargetsUpdating: 0 of 1 target has revision REVISION; still to be written: Service web";

describe("an API server that misbehaves", () => {
  test("409 on every third write: all targets follow, each changed once, and nothing failed", async () => {
    await session.namespace("conflicts", "enforce");
    await services("conflicts", 20);
    let count = 0;
    let passed = 0;
    proxied.misbehave((write) => {
      count += 1;
      if (count % 3 === 0) return { status: 409, message: "the object has been modified" };
      passed += isTarget(write) ? 1 : 0;
      return undefined;
    });
    await create("conflicts", [policy("conflicts", "p", spec([], SELECTS))]);
    await policies.expect("conflicts/p", {
      Ready: "True AllTargetsUpdated: 20 of 20 targets have revision REVISION",
      TargetServiceNotFound: BY_LABEL,
    });
    expect(passed).toBe(20);
    proxied.misbehave(() => undefined);
  });

  test("429 with Retry-After: it waits as long as it is told to", async () => {
    await session.namespace("throttled", "enforce");
    await create("throttled", [service("throttled", "web")]);
    const times: number[] = [];
    proxied.misbehave((write) => {
      if (!isTarget(write)) return undefined;
      times.push(performance.now());
      const headers = { "Retry-After": "2" };
      return times.length > 1
        ? undefined
        : { status: 429, message: "too many requests, please try again later", headers };
    });
    await create("throttled", [policy("throttled", "p", spec(["web"]))]);
    await policies.expect(
      "throttled/p",
      failing(
        `${BEHIND}; writing fails, see the condition Failed`,
        "True WriteFailed: Writing Service throttled/web failed: too many requests, please try again later; it is tried again until the cause is gone",
      ),
    );
    await policies.expect("throttled/p");
    const [first = 0, second = 0, ...others] = times;
    expect(others).toEqual([]);
    expect(second - first).toBeGreaterThan(1_990);
    proxied.misbehave(() => undefined);
  });

  test("500s for a while: the status and Events say so while it lasts, and it heals", async () => {
    await session.namespace("failing", "enforce");
    await create("failing", [service("failing", "web")]);
    proxied.misbehave((write) => (isTarget(write) ? { status: 500, message: "etcdserver: no leader" } : undefined));
    await create("failing", [policy("failing", "p", spec(["web"]))]);
    const failed =
      "Writing Service failing/web failed: etcdserver: no leader; it is tried again until the cause is gone";
    await policies.expect(
      "failing/p",
      failing(`${BEHIND}; writing fails, see the condition Failed`, `True WriteFailed: ${failed}`),
    );
    await expectEvent(session, "failing", "Warning WriteFailed Service/web: etcdserver: no leader");
    await expectEvent(session, "failing", `Warning WriteFailed ResiliencePolicy/p: ${failed}`);
    proxied.misbehave(() => undefined);
    await policies.expect("failing/p");
    expectCarries(await session.service("failing", "web"), { policy: "p", keys: KEYS });
  });

  test("finalizer clean-up completeness: a deleted policy waits until its target is clean", async () => {
    await session.namespace("held", "enforce");
    await create("held", [service("held", "web"), policy("held", "p", spec(["web"]))]);
    await policies.expect("held/p");
    proxied.misbehave((write) => (isTarget(write) ? { status: 500, message: "etcdserver: no leader" } : undefined));
    await session.kubectl("delete rp p -n held --wait=false");
    await waitFor("an attempt to clean the target", () => proxied.writes.some(isTarget));
    const { store, work } = session.fairlead;
    await waitFor("Fairlead to hear of the deletion", () =>
      Boolean(store.policyObject("held", "p")?.metadata?.deletionTimestamp),
    );
    const completed = (): number => work.current?.queues.policies.completed ?? 0;
    const before = completed();
    await waitFor("the policy to be looked at", () => completed() > before);
    expect((await policies.read("held")).metadata?.finalizers).toEqual(["fairlead.dev/cleanup"]);
    proxied.misbehave(() => undefined);
    await waitFor("the policy to go", async () => (await session.run("get rp p -n held")).code !== 0);
    expectClean(await session.service("held", "web"));
  });

  test("a target that vanishes while it is written is a missing target, not a failure", async () => {
    await session.namespace("vanishing", "enforce");
    await create(
      "vanishing",
      ["web", "other"].map((name) => service("vanishing", name)),
    );
    proxied.misbehave(async (write) => {
      if (write.path.includes("/services/web"))
        await session.kubectl("delete service web -n vanishing --ignore-not-found");
      return undefined;
    });
    await create("vanishing", [policy("vanishing", "p", spec(["web", "other"]))]);
    await policies.expect("vanishing/p", {
      Accepted: [
        "True AcceptedWithWarnings: The policy can be applied, with 1 warning:",
        "FL301 spec.targetRefs[0]: Service vanishing/web does not exist yet; create it, or correct the name; the policy applies as soon as it exists",
      ].join("\n"),
      Ready: "False TargetsMissing: 1 of 2 targets have revision REVISION; Service web does not exist yet",
      TargetServiceNotFound:
        "True TargetsMissing: Service web does not exist in namespace vanishing; create what is missing, or correct spec.targetRefs",
    });
    proxied.misbehave(() => undefined);
  });

  test("an API server that is away for longer than the lease: nothing that happened meanwhile is lost", async () => {
    await session.namespace("away", "enforce");
    await services("away", 3);
    await create("away", [policy("away", "p", spec([], SELECTS)), policy("away", "q", spec(["other"]))]);
    await policies.expect("away/p", {
      Ready: "True AllTargetsUpdated: 3 of 3 targets have revision REVISION",
      TargetServiceNotFound: BY_LABEL,
    });
    proxied.proxy.fault = "refuse";
    proxied.proxy.cut();
    await waitFor("leadership to end", () => session.fairlead.work.current === undefined);
    await session.kubectl("label service web-0 -n away --overwrite app=other");
    await session.kubectl(`annotate service web-1 -n away note=mine`);
    await session.kubectl("apply -f -", policy("away", "p", spec([], { ...SELECTS, timeout: { request: "3s" } })));
    await session.kubectl("delete rp q -n away --wait=false");
    await create("away", [service("away", "web-3", { labels: { app: "web" } })]);
    proxied.proxy.fault = "pass";
    await session.settled("away");
    await policies.expect("away/p", {
      Ready: "True AllTargetsUpdated: 3 of 3 targets have revision REVISION",
      TargetServiceNotFound: BY_LABEL,
    });
    expectClean(await session.service("away", "web-0"));
    const keys = { [REQUEST]: "3000ms" };
    expectCarries(await session.service("away", "web-1"), { policy: "p", keys, people: { note: "mine" } });
    for (const name of ["web-2", "web-3"]) expectCarries(await session.service("away", name), { policy: "p", keys });
    await waitFor("the deleted policy to go", async () => (await session.run("get rp q -n away")).code !== 0);
  });
});

describe("somebody else's webhook", () => {
  async function foreign(
    options: Pick<ForeignWebhookOptions, "namespace" | "mutate" | "refuse">,
  ): Promise<ForeignWebhook> {
    const webhook = await ForeignWebhook.start({ name: "zzz", ...options });
    await session.kubectl("apply -f -", webhook.configuration);
    const probe = service(options.namespace, "probe", { annotations: { probe: "yes", ...KEYS } });
    await waitFor("the API server to ask the webhook", async () => {
      const { code, stdout } = await session.run("create --dry-run=server -o json -f -", probe);
      return code !== 0 || annotationsOf(JSON.parse(stdout) as KubernetesObject)[REQUEST] === undefined;
    });
    return webhook;
  }

  test("that refuses our write of one target: the status has its message, others follow, and it heals", async () => {
    await session.namespace("refusing", "enforce");
    await create(
      "refusing",
      ["bad", "good"].map((name) => service("refusing", name)),
    );
    const webhook = await foreign({
      namespace: "refusing",
      mutate: () => [],
      refuse: ({ metadata }) => (metadata?.name === "good" ? undefined : "not on a Friday"),
    });
    await create("refusing", [policy("refusing", "p", spec(["bad", "good"]))]);
    await policies.expect(
      "refusing/p",
      failing(
        "False TargetsUpdating: 1 of 2 targets have revision REVISION; still to be written: Service bad; writing fails, see the condition Failed",
        'True WriteFailed: Writing Service refusing/bad failed: admission webhook "zzz.example.com" denied the request: not on a Friday; it is tried again until the cause is gone',
      ),
    );
    expectCarries(await session.service("refusing", "good"), { policy: "p", keys: KEYS });
    await session.kubectl("delete mutatingwebhookconfiguration zzz");
    await webhook.stop();
    await policies.expect("refusing/p", {
      Ready: "True AllTargetsUpdated: 2 of 2 targets have revision REVISION",
    });
  });

  test("that removes our keys in the same write: the status says so, and we do not fight", async () => {
    await session.namespace("removing", "enforce");
    await create("removing", [service("removing", "web")]);
    const path = `/metadata/annotations/${REQUEST.replace("/", "~1")}`;
    const webhook = await foreign({
      namespace: "removing",
      mutate: (object) => (annotationsOf(object)[REQUEST] === undefined ? [] : [{ op: "remove", path }]),
    });
    proxied.misbehave(() => undefined);
    await create("removing", [policy("removing", "p", spec(["web"]))]);
    await policies.expect(
      "removing/p",
      failing(
        `${BEHIND}; writing fails, see the condition Failed`,
        "True WriteFailed: Writing Service removing/web failed: Another webhook takes the settings off again within the same write; it is tried again until the cause is gone",
      ),
    );
    // One and the same pair of writes, the label and the keys, five times in half a minute at most.
    expect(proxied.writes.filter(isTarget).length).toBeLessThanOrEqual(10);
    await session.kubectl("delete mutatingwebhookconfiguration zzz");
    await webhook.stop();
    await session.kubectl("label service web -n removing team=iam");
    await policies.expect("removing/p");
  });
});
