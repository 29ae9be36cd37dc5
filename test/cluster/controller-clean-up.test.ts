import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { annotationsOf, type KubernetesObject, labelsOf } from "../../src/core/kubernetes.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { resourcePath } from "../../src/k8s/client.ts";
import { eventsIn, expectEvent, Policies } from "./policy-status.ts";
import { expectCarries, expectClean, Session, service } from "./session.ts";

let session: Session;
let policies: Policies;
beforeAll(async () => {
  session = await Session.start();
  policies = new Policies(session);
});
afterAll(() => session?.stop());

const RECORD = "fairlead.dev/injected";
const REVISION = "fairlead.dev/revision";
const REQUEST = "timeout.linkerd.io/request";
const IDLE = "timeout.linkerd.io/idle";
const KEYS = { [REQUEST]: "2000ms", [IDLE]: "1000ms" };
/** What the team of each Service wrote itself. */
const PEOPLE = { note: "mine" };

function spec(name: string, more: object = {}): object {
  return { targetRefs: [{ kind: "Service", name }], timeout: { request: "2s", idle: "1s" }, ...more };
}

function web(namespace: string, annotations: object = PEOPLE): object {
  return service(namespace, "web", { labels: { team: "iam" }, annotations });
}

/** A namespace of its own with the Service `web`, and the policy `p` for it. */
async function applied(namespace: string, more: object = {}): Promise<void> {
  await session.namespace(namespace, "enforce");
  await session.kubectl("create -f -", web(namespace));
  await session.policy(namespace, "p", spec("web", more));
  expectCarries(await session.service(namespace, "web"), { policy: "p", keys: KEYS, people: PEOPLE });
}

async function expectGone(what: string, timeoutMs = 20_000): Promise<void> {
  await waitFor(`${what} to be gone`, async () => (await session.run(`get ${what}`)).code !== 0, { timeoutMs });
}

async function cleaned(namespace: string): Promise<void> {
  await waitFor(
    `Service ${namespace}/web to be clean`,
    async () => annotationsOf(await session.service(namespace, "web"))[RECORD] === undefined,
  );
  expectClean(await session.service(namespace, "web"), PEOPLE);
}

describe("stored revisions", () => {
  interface Stored extends KubernetesObject {
    readonly data: { readonly spec: { readonly timeout: { readonly request: string } } };
    readonly revision: number;
  }

  async function stored(namespace: string): Promise<readonly Stored[]> {
    const found: Stored[] = [];
    const path = resourcePath({ group: "apps", version: "v1", resource: "controllerrevisions", namespace });
    await session.client.list(path, { onPage: (items) => found.push(...(items as readonly Stored[])) });
    return found.sort((a, b) => a.revision - b.revision);
  }

  async function change(seconds: number): Promise<void> {
    await session.policy("revisions", "p", spec("web", { timeout: { request: `${seconds}s` } }));
    await policies.expect("revisions/p");
  }

  test("owner reference integrity: each accepted spec is kept, ten at most, and all go with their policy", async () => {
    await session.namespace("revisions", "enforce");
    await session.kubectl("create -f -", web("revisions"));
    await session.policy("revisions", "other", spec("other"));
    await change(1);
    const { uid = "" } = (await policies.read("revisions")).metadata ?? {};
    const mine = async (): Promise<readonly Stored[]> =>
      (await stored("revisions")).filter((it) => labelsOf(it)["fairlead.dev/policy-uid"] === uid);
    const [first, ...others] = await mine();
    expect(others).toEqual([]);
    const { currentRevision } = (await policies.read("revisions")).status ?? {};
    expect(first).toMatchObject({
      metadata: {
        name: `p-${currentRevision}`,
        labels: { "app.kubernetes.io/managed-by": "fairlead", "fairlead.dev/policy-uid": uid },
        ownerReferences: [
          {
            apiVersion: "fairlead.dev/v1alpha1",
            kind: "ResiliencePolicy",
            name: "p",
            uid,
            controller: true,
            blockOwnerDeletion: true,
          },
        ],
      },
      data: { spec: spec("web", { timeout: { request: "1s" } }) },
      revision: 1,
    });

    await change(2);
    await change(1);
    const numbers = (list: readonly Stored[]): unknown => list.map((it) => [it.data.spec.timeout.request, it.revision]);
    expect(numbers(await mine())).toEqual([
      ["2s", 2],
      ["1s", 3],
    ]);
    expect((await mine())[1]?.metadata?.uid).toBe(first?.metadata?.uid);

    // One after the other within a moment: a policy is looked at once a second, and sees only the last.
    const kind = { group: "fairlead.dev", version: "v1alpha1", resource: "resiliencepolicies" };
    const path = resourcePath({ ...kind, namespace: "revisions", name: "p" });
    for (let seconds = 3; seconds <= 11; seconds += 1) {
      const timeout = { request: `${seconds}s` };
      await session.client.patch({ path, type: "merge", body: { spec: { timeout } } });
    }
    const newest = async (): Promise<unknown> => (await mine()).at(-1)?.revision;
    await waitFor("the last spec to be stored", async () => (await newest()) === 12);
    const expected = [1, 3, 4, 5, 6, 7, 8, 9, 10, 11].map((seconds, index) => [`${seconds}s`, index + 3]);
    await waitFor("the oldest to be pruned", async () => (await mine()).length === 10);
    expect(numbers(await mine())).toEqual(expected);

    await session.deletePolicy("revisions", "p");
    await waitFor("the garbage collector", async () => (await mine()).length === 0);
    expect(await stored("revisions")).toHaveLength(1);
  });
});

describe("finalizer clean-up completeness on a real API server", () => {
  test("what a policy replaced is back before the policy is gone, and an Event says so", async () => {
    await session.namespace("restored", "enforce");
    const people = { ...PEOPLE, [REQUEST]: "7s" };
    await session.kubectl("create -f -", web("restored", people));
    await session.policy("restored", "p", spec("web", { conflictResolution: "Override" }));
    expectCarries(await session.service("restored", "web"), {
      policy: "p",
      keys: KEYS,
      people: PEOPLE,
      replaced: { [REQUEST]: "7s" },
    });
    await policies.expect("restored/p", {});
    expect((await policies.read("restored")).metadata?.finalizers).toEqual(["fairlead.dev/cleanup"]);
    // kubectl waits until the policy is gone.
    await session.kubectl("delete rp p -n restored");
    expectClean(await session.service("restored", "web"), people);
    await expectEvent(
      session,
      "restored",
      "Normal Cleaned ResiliencePolicy/p: Every target is without the settings of this policy",
    );
  });

  test("without a webhook the controller cleans by itself", async () => {
    await applied("webhookless");
    await session.removeMutatingWebhook();
    await session.kubectl("delete rp p -n webhookless");
    expectClean(await session.service("webhookless", "web"), PEOPLE);
    await session.restart();
  });

  test("a policy whose target is gone goes at once", async () => {
    await applied("targetless");
    await session.kubectl("delete service web -n targetless");
    await session.kubectl("delete rp p -n targetless --timeout=10s");
  });

  test("what happened while Fairlead was down is cleaned when it is back: policy, label of the Service, namespace", async () => {
    const targetSelector = { matchLabels: { team: "iam" } };
    for (const namespace of ["down-policy", "down-namespace"]) await applied(namespace);
    await applied("down-label", { targetRefs: undefined, targetSelector });
    await session.stopFairlead();
    await session.kubectl("delete rp p -n down-policy --wait=false");
    await session.kubectl("label namespace down-namespace fairlead.dev/mode-");
    await session.kubectl("label service web -n down-label team=shop --overwrite");
    for (const namespace of ["down-policy", "down-namespace", "down-label"]) {
      expect(annotationsOf(await session.service(namespace, "web"))).toMatchObject(KEYS);
    }
    await session.restart();
    for (const namespace of ["down-policy", "down-namespace", "down-label"]) await cleaned(namespace);
    await expectGone("rp p -n down-policy");
  });

  test("a namespace with policies goes within 20 s, and with Fairlead down it waits for the finalizer alone", async () => {
    for (const namespace of ["going", "going-down"]) await applied(namespace);
    await session.kubectl("delete namespace going --timeout=20s");
    await session.stopFairlead();
    await session.kubectl("delete namespace going-down --wait=false");
    const waits =
      "Some content in the namespace has finalizers remaining: fairlead.dev/cleanup in 1 resource instances";
    await waitFor("the namespace to say what it waits for", async () =>
      (await session.kubectl("get namespace going-down -o json")).stdout.includes(waits),
    );
    await session.restart();
    await expectGone("rp p -n going-down");
  });
});

describe("drift", () => {
  async function drift(): Promise<number> {
    const text = await (await fetch(`${session.fairlead.operationsUrl}/metrics`)).text();
    return Number(/^fairlead_drift_total\{kind="Service"\} (\d+)$/m.exec(text)?.[1] ?? 0);
  }
  const REPAIRED = "Warning Repaired Service/web: Somebody changed what ResiliencePolicy p had set; it is put back";

  test("under Override an edit past the webhook is put back, with an Event and a count", async () => {
    await applied("repaired", { conflictResolution: "Override" });
    await session.removeMutatingWebhook();
    const before = await drift();
    await session.kubectl(`annotate service web -n repaired --overwrite ${REQUEST}=7s`);
    await session.settled("repaired");
    expectCarries(await session.service("repaired", "web"), {
      policy: "p",
      keys: KEYS,
      people: PEOPLE,
      replaced: { [REQUEST]: "7s" },
    });
    await expectEvent(session, "repaired", REPAIRED);
    expect(await drift()).toBe(before + 1);
    await session.restart();
  });

  test("under PreferExisting an edit past the webhook is respected, and is nobody's repair", async () => {
    await applied("respected");
    await session.removeMutatingWebhook();
    const before = await drift();
    await session.kubectl(`annotate service web -n respected --overwrite ${REQUEST}=7s`);
    await session.settled("respected");
    const people = { ...PEOPLE, [REQUEST]: "7s" };
    expectCarries(await session.service("respected", "web"), { policy: "p", keys: { [IDLE]: "1000ms" }, people });
    // A key that is removed is a gap, and gaps are filled.
    await session.kubectl(`annotate service web -n respected ${IDLE}-`);
    await session.settled("respected");
    expectCarries(await session.service("respected", "web"), { policy: "p", keys: { [IDLE]: "1000ms" }, people });
    await expectEvent(session, "respected", REPAIRED);
    expect(await drift()).toBe(before + 1);
    await session.restart();
    await session.deletePolicy("respected", "p");
    expectClean(await session.service("respected", "web"), people);
  });

  test("without its record a value is a person's, and without its label nothing is lost", async () => {
    await applied("forgotten");
    await session.removeMutatingWebhook();
    await session.kubectl(`label service web -n forgotten ${REVISION}-`);
    await session.settled("forgotten");
    expectCarries(await session.service("forgotten", "web"), { policy: "p", keys: KEYS, people: PEOPLE });
    await session.kubectl(`annotate service web -n forgotten ${RECORD}-`);
    await session.settled("forgotten");
    expectClean(await session.service("forgotten", "web"), { ...PEOPLE, ...KEYS });
    await policies.expect("forgotten/p");
    await session.restart();
  });
});

test("finalizer clean-up completeness: the namespace that had to wait is gone by itself", async () => {
  // Kubernetes looks at a namespace again after a pause, which the tests before have filled.
  await expectGone("namespace going-down");
});

// Last: it takes a kind away from the cluster.
test("finalizer clean-up completeness: a policy for routes goes although their CRD is gone", async () => {
  await session.namespace("crdless", "enforce");
  const route = {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    metadata: { name: "web", namespace: "crdless" },
    spec: { parentRefs: [{ group: "", kind: "Service", name: "web", port: 80 }] },
  };
  await session.kubectl("create -f -", route);
  const targetRefs = [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute", name: "web" }];
  await session.policy("crdless", "p", { targetRefs, timeout: { request: "2s" } });
  await policies.expect("crdless/p");
  await session.stopFairlead();
  await session.kubectl("delete crd httproutes.gateway.networking.k8s.io");
  await session.kubectl("delete rp p -n crdless --wait=false");
  await session.restart();
  await expectGone("rp p -n crdless");
  expect((await eventsIn(session, "crdless")).filter((text) => text.includes("CleanUpGivenUp"))).toEqual([]);
});
