import { describe, expect, test } from "vitest";
import { planOwned } from "../../src/core/companions/plan-owned.ts";
import type { KubernetesObject, StringMap } from "../../src/core/kubernetes.ts";
import { policyStatus } from "../../src/core/policy/status.ts";
import type { World } from "../../src/core/world.ts";
import { atOnce } from "./at-once.ts";
import { namespace, policy, service, validate, worldOf } from "./worlds.ts";

const FIRST = { name: "first", uid: "u-1", creationTimestamp: "2026-01-01T00:00:00Z" };
const SECOND = { name: "second", uid: "u-2", creationTimestamp: "2026-02-01T00:00:00Z" };
const OLDEST = { name: "oldest", uid: "u-0", creationTimestamp: "2025-01-01T00:00:00Z" };
const FAULTS = { faultInjection: { abort: { percent: 10, status: 503 } } };
const RETRY = { retry: { maxAttempts: 0 } };
const USERS = [{ path: { type: "PathPrefix", value: "/users" } }];
const ROUTES = { routes: [{ name: "users", matches: USERS, timeout: { request: "1s" } }] };
const SPLIT = { trafficSplit: { backends: [{ name: "user-service", weight: 1 }], matches: USERS } };

function worldWith(labels: StringMap, ...policies: readonly KubernetesObject[]): World {
  const annotations = "istio-injection" in labels ? {} : { "linkerd.io/inject": "enabled" };
  return worldOf([namespace("enforce", { labels, annotations }), service(), ...policies]);
}

const ISTIO = { "istio-injection": "enabled" };
const LINKERD = {};

function planOf(stored: KubernetesObject, world: World) {
  const compiled = world.policiesIn("iam").find(({ uid }) => uid === stored.metadata?.uid);
  return atOnce(planOwned({ policy: stored, compiled, live: [], routes: [], serves: () => true, world }));
}

describe("sections of two policies that a mesh does not do side by side", () => {
  const faults = policy(FAULTS, FIRST);
  const retry = policy(RETRY, SECOND);
  const world = worldWith(ISTIO, faults, retry);

  test.each([
    { which: "the one whose section is left out", written: faults, other: "second", path: "spec.faultInjection" },
    { which: "the other one", written: retry, other: "first", path: "spec.retry" },
  ])("refuse $which where it is written", ({ written, other, path }) => {
    const { allowed, findings } = validate(world, written);
    expect(allowed).toBe(false);
    expect(findings.filter(({ severity }) => severity === "deny")).toMatchObject([
      {
        code: "FL325",
        path,
        message: expect.stringMatching(
          `^Beside ResiliencePolicy ${other} on Service user-service, faultInjection is left out: Istio neither retries`,
        ),
      },
    ]);
  });

  test("are a conflict of both where they are there already; what can be done is in force", () => {
    for (const [stored, other] of [
      [faults, "second"],
      [retry, "first"],
    ] as const) {
      const { findings } = planOf(stored, world);
      const { conditions = [] } = policyStatus({
        policy: stored,
        world,
        failures: new Map(),
        owned: { findings },
        nowText: "2026-11-26T12:00:00Z",
      });
      const said = Object.fromEntries(conditions.map(({ type, ...rest }) => [type, rest]));
      expect(said["Conflicted"]).toMatchObject({ status: "True", reason: "AnotherPolicyInTheWay" });
      expect(said["Conflicted"]?.message).toContain(`Beside ResiliencePolicy ${other} on Service user-service`);
      expect(said["Accepted"]?.status).toBe("True");
      expect(said["Ready"]).toMatchObject({ status: "False", reason: "ObjectsRefused" });
    }
    const [virtual] = planOf(retry, world).actions;
    expect(virtual).toMatchObject({ object: { spec: { http: [{ retries: { attempts: 0 } }] } } });
    expect(JSON.stringify(virtual)).not.toContain("fault");
  });

  test("say nothing to a third policy that has no part in it", () => {
    const third = policy({ circuitBreaker: {} }, { name: "third", uid: "u-3" });
    expect(validate(worldWith(ISTIO, faults, retry, third), third).allowed).toBe(true);
  });

  test("do go together on another Service", () => {
    const elsewhere = policy({ ...RETRY, targetRefs: [{ kind: "Service", name: "sessions" }] }, SECOND);
    expect(validate(worldWith(ISTIO, faults, elsewhere), elsewhere).allowed).toBe(true);
  });

  test("are told once, as before, within one policy", () => {
    const both = policy({ ...FAULTS, ...RETRY }, FIRST);
    const { findings } = validate(worldWith(ISTIO), both);
    expect(findings.filter(({ severity }) => severity === "deny").map(({ code }) => code)).toEqual(["FL310"]);
  });

  test.each([
    ["Istio", ISTIO],
    ["Linkerd", LINKERD],
  ])("a split and a route for the same requests, on %s: the route is there, the split is left out", (_, labels) => {
    const [routes, split] = [policy(ROUTES, FIRST), policy(SPLIT, SECOND)];
    const made = worldWith(labels, routes, split);
    for (const written of [routes, split]) {
      expect(validate(made, written).findings).toContainEqual(expect.objectContaining({ code: "FL325" }));
    }
    const text = JSON.stringify(planOf(routes, made).actions);
    expect(text).toContain("users");
    expect(text).not.toContain("weight");
    expect(text).not.toContain("split");
  });
});

describe("a try of one policy that may outlast the request of another", () => {
  const retry = { maxAttempts: 1, statusCodes: ["5xx"], timeout: "3s" };
  const tries = policy({ retry }, FIRST);
  const requests = (request: string, spec: object = {}) => policy({ timeout: { request }, ...spec }, SECOND);

  function said(written: KubernetesObject, ...policies: readonly KubernetesObject[]): readonly string[] {
    const { allowed, findings } = validate(worldWith(LINKERD, ...policies), written);
    expect(allowed).toBe(true);
    return findings
      .filter(({ code }) => code === "FL202")
      .map(({ severity, path, message, fix }) => `${severity} ${path}: ${message}; ${fix}`);
  }

  test("is a warning to both, once for each target", () => {
    const short = requests("2s");
    const told = (path: string, other: string) =>
      `warn ${path}: On Service user-service a try may take 3s and the whole request 2s; ${other}; lower retry.timeout below 2s or raise timeout.request`;
    expect(said(tries, tries, short)).toEqual([
      told("spec.retry.timeout", "timeout is that of ResiliencePolicy second"),
    ]);
    expect(said(short, tries, short)).toEqual([
      told("spec.timeout.request", "retry is that of ResiliencePolicy first"),
    ]);
  });

  test.each<readonly [string, KubernetesObject, readonly KubernetesObject[]]>([
    ["where it fits", tries, [requests("3s")]],
    ["where nothing is retried", policy({ retry: { maxAttempts: 0 } }, FIRST), [requests("2s")]],
    ["on another Service", tries, [requests("2s", { targetRefs: [{ kind: "Service", name: "cart" }] })]],
    ["where another policy goes first", tries, [requests("2s"), policy({ timeout: { request: "9s" } }, OLDEST)]],
    ["to a third policy", policy({ circuitBreaker: {} }, OLDEST), [tries, requests("2s")]],
  ])("is not told %s", (_, written, others) => {
    expect(said(written, written, ...others)).toEqual([]);
  });
});
