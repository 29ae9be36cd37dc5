import { afterAll, beforeAll, expect, test } from "vitest";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { resourcePath } from "../../src/k8s/client.ts";
import { Policies } from "./policy-status.ts";
import { ProxiedSession } from "./proxied-session.ts";
import { expectCarries, expectClean, ownAnnotations, policy, type Session, service } from "./session.ts";

let proxied: ProxiedSession;
let session: Session;
let policies: Policies;
beforeAll(async () => {
  proxied = await ProxiedSession.start({});
  session = proxied.session;
  policies = new Policies(session);
});
afterAll(() => proxied?.stop());

const REQUEST = "timeout.linkerd.io/request";
const KEYS = { [REQUEST]: "2000ms" };
const ROUTES = { group: "gateway.networking.k8s.io", version: "v1", resource: "httproutes" };
const PARALLELISM = 8;

function spec(more: object = {}): object {
  return { targetRefs: [{ kind: "Service", name: "web" }], timeout: { request: "2s" }, ...more };
}
const SELECTS = { targetRefs: undefined, targetSelector: { matchLabels: { app: "web" } } };

/** By the client: hundreds of processes of kubectl would take minutes. */
async function create(namespace: string, objects: readonly object[]): Promise<void> {
  const left = [...objects] as KubernetesObject[];
  const worker = async (): Promise<void> => {
    for (let object = left.shift(); object !== undefined; object = left.shift()) {
      const ref =
        object.kind === "Service"
          ? { group: "", version: "v1", resource: "services", namespace }
          : { group: "fairlead.dev", version: "v1alpha1", resource: "resiliencepolicies", namespace };
      await session.client.create(resourcePath(ref), object);
    }
  };
  await Promise.all(Array.from({ length: PARALLELISM }, worker));
}

test("annotations without room for ours: the policy says so, and applies once there is room", async () => {
  await session.namespace("full", "enforce");
  const room = 256 * 1024 - "filler".length - 100;
  await create("full", [service("full", "web", { annotations: { filler: "x".repeat(room) } })]);
  await create("full", [policy("full", "p", spec())]);
  await policies.expect("full/p", {
    Ready:
      "False TargetsNotEligible: 0 of 1 target has revision REVISION; not possible on Service web. Service web: With the injected settings the annotations would pass 256 KiB; the object is left as it is; remove or shorten annotations, or label it fairlead.dev/inject: disabled",
  });
  expectClean(await session.service("full", "web"), { filler: "x".repeat(room) });
  await session.kubectl("annotate service web -n full --overwrite filler=short");
  await policies.expect("full/p");
  expect(ownAnnotations(await session.service("full", "web"))).toEqual({ filler: "short", ...KEYS });
});

/** A route of nearly 1.5 MB, the most that etcd takes; `filler` characters make it as large as it can be. */
function largeRoute(filler: number): object {
  const headers = Array.from({ length: 10 }, (_, index) => ({ name: `x-${index}`, value: "v".repeat(3_800) }));
  const matches = Array.from({ length: 10 }, () => ({ headers }));
  return {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    metadata: { name: "large", namespace: "large", annotations: { filler: "x".repeat(filler) } },
    spec: {
      parentRefs: [{ group: "", kind: "Service", name: "web" }],
      rules: Array.from({ length: 4 }, () => ({ matches })),
    },
  };
}

async function isTaken(route: object): Promise<boolean> {
  try {
    await session.client.create(resourcePath({ ...ROUTES, namespace: "large" }), route);
    return true;
  } catch (error) {
    expect(String(error)).toBe("ApiError: etcdserver: request is too large");
    return false;
  }
}

test("an object at the 1.5 MB limit: the status has the error, other targets follow, and it heals", async () => {
  await session.namespace("large", "enforce");
  await create("large", [service("large", "web")]);
  // The largest that is taken, to a hundred characters; what Fairlead adds is more.
  for (let filler = 34_000; !(await isTaken(largeRoute(filler))); filler -= 100);
  const targetRefs = [
    { kind: "Service", name: "web" },
    { group: "gateway.networking.k8s.io", kind: "HTTPRoute", name: "large" },
  ];
  await create("large", [policy("large", "p", spec({ targetRefs }))]);
  await policies.expect("large/p", {
    Ready:
      "False TargetsUpdating: 1 of 2 targets have revision REVISION; still to be written: HTTPRoute large; writing fails, see the condition Failed",
    Failed:
      "True WriteFailed: Writing HTTPRoute large/large failed: etcdserver: request is too large; it is tried again until the cause is gone",
  });
  expectCarries(await session.service("large", "web"), { policy: "p", keys: KEYS });
  await session.kubectl("annotate httproutes.gateway.networking.k8s.io large -n large filler-");
  await policies.expect("large/p", { Ready: "True AllTargetsUpdated: 2 of 2 targets have revision REVISION" });
});

test("a policy that selects 300 Services: each is written once", async () => {
  await session.namespace("fleet", "enforce");
  const names = Array.from({ length: 300 }, (_, index) => `web-${index}`);
  await create(
    "fleet",
    names.map((name) => service("fleet", name, { labels: { app: "web" } })),
  );
  // Where a review takes longer than the 3 s of the registration, the write goes through without us, and a second follows.
  const patience = [{ op: "replace", path: "/webhooks/0/timeoutSeconds", value: 30 }];
  const configuration = ["mutatingwebhookconfiguration", "fairlead"];
  await session.kubectl(["patch", ...configuration, "--type=json", "--patch", JSON.stringify(patience)]);
  proxied.misbehave(() => undefined);
  await create("fleet", [policy("fleet", "p", spec(SELECTS))]);
  const applied = async (): Promise<boolean> => (await policies.read("fleet")).status?.appliedCount === names.length;
  await waitFor("all of them", applied, { timeoutMs: 100_000 });
  const status = await policies.expect("fleet/p", {
    Ready: "True AllTargetsUpdated: 300 of 300 targets have revision REVISION",
    TargetServiceNotFound: "False TargetsFound: The policy names no target, it selects them by label",
  });
  expect(status).toMatchObject({ targets: "300 Services", targetCount: 300, appliedCount: 300 });
  expect(status.appliedToServices).toHaveLength(100);
  const paths = proxied.writes.map(({ path }) => path).filter((path) => path.includes("/services/"));
  expect([paths.length, new Set(paths).size]).toEqual([300, 300]);
});

test("reconciliation idempotency: a settled cluster sees no write of ours, however often everything is looked at", async () => {
  await proxied.restart({ resyncPeriodMs: 300 });
  const { work } = session.fairlead;
  const fivePasses = async (): Promise<void> => {
    const planned = (): number => work.current?.counters.planned ?? 0;
    const [targets, before] = [[...session.fairlead.store.allTargets()].length, planned()];
    await waitFor("five full passes", () => planned() >= before + 5 * targets);
  };
  // What starting made necessary is over.
  await fivePasses();
  const completed = (): number => work.current?.queues.policies.completed ?? 0;
  const looked = completed();
  proxied.misbehave(() => undefined);
  await fivePasses();
  await waitFor("the policies to be looked at", () => completed() > looked + 6);
  expect(proxied.writes).toEqual([]);
  await proxied.restart({});
});

test("300 policies on one Service: the first decides, the others say so, and it comes to rest", async () => {
  await session.namespace("crowd", "enforce");
  await create("crowd", [service("crowd", "web")]);
  await create("crowd", [policy("crowd", "p", spec())]);
  await policies.expect("crowd/p");
  const names = Array.from({ length: 299 }, (_, index) => `q-${index}`);
  await create(
    "crowd",
    names.map((name) => policy("crowd", name, spec({ timeout: { request: "9s" } }))),
  );
  await session.fairlead.work.current?.idle();
  const lost = "Service web takes timeout from ResiliencePolicy p, which comes first; remove";
  for (const name of ["q-0", "q-298"]) {
    await policies.expect(`crowd/${name}`, {
      Accepted: `True AcceptedWithWarnings: The policy can be applied, with 1 warning:\nFL307 spec.timeout: ${lost} timeout from one of the two`,
      Ready:
        "False AnotherPolicyFirst: Other policies decide every section on Service web; see the condition Conflicted",
      Conflicted: `True AnotherPolicyFirst: ${lost} the section from one of the two`,
    });
  }
  expectCarries(await session.service("crowd", "web"), { policy: "p", keys: KEYS });
});
