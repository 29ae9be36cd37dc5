import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import type { CommandResult } from "../../src/dev/control-plane/command.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { companionGoldens, listOf } from "../golden/companions.ts";
import { FAIRLEAD_CRDS, startInProcess } from "../cluster/support.ts";
import { applyObject } from "./api.ts";
import type { Backend } from "./backend.ts";
import type { Mesh } from "./mesh.ts";
import { virtualService } from "./istio-objects.ts";
import { hostOf, NAMESPACE } from "./objects.ts";
import { ServicePolicy } from "./policy.ts";
import { startMesh } from "./provided.ts";
import { between, expectToActAndGo, share } from "./scenario.ts";
import { Subject } from "./subject.ts";
import { send, sendMany } from "./traffic.ts";
import { Workloads } from "./workloads.ts";

const MANY = 1_000;

describe.skipIf(inject("mesh").state === "skipped")("what a policy makes the proxy of a client do", () => {
  let mesh: Mesh;
  let policy: ServicePolicy;
  let user: Subject;
  let next: Backend;

  beforeAll(async () => {
    mesh = await startMesh([FAIRLEAD_CRDS]);
    const labels = { "fairlead.dev/mode": "enforce", "istio-injection": "enabled" };
    await applyObject(mesh.client, { apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE, labels } });
    const workloads = new Workloads(mesh);
    const client = await workloads.addClient("client");
    user = new Subject({ service: "user", client, backends: await workloads.addService("user", 2) });
    [next] = (await workloads.addService("user-next")) as [Backend];
    policy = new ServicePolicy(mesh, "user");
    const fairlead = await startInProcess(mesh.cluster);
    mesh.onStop(() => fairlead.stop());
  });

  afterAll(async () => {
    await mesh?.stop();
  });

  beforeEach(() => {
    for (const backend of [...user.backends, next]) backend.reset();
  });

  test("a request is tried again as often as asked, and not on another code", async () => {
    await expectToActAndGo({
      delivery: policy.with({ retry: { maxAttempts: 3, statusCodes: ["503"] } }),
      traffic: async () => [await user.askForStatus(503), await user.askForStatus(500), await user.askForStatus(404)],
      inForce: [
        { status: 503, hits: 4 },
        { status: 500, hits: 1 },
        { status: 404, hits: 1 },
      ],
      without: [
        { status: 503, hits: 1 },
        { status: 500, hits: 1 },
        { status: 404, hits: 1 },
      ],
    });
  });

  test("a request that takes too long gets 504 at the set time", async () => {
    await expectToActAndGo({
      delivery: policy.with({ timeout: { request: "1s" } }),
      traffic: () => user.askSlow(),
      inForce: { status: 504, elapsedMs: between(990, 2_900), hits: 1 },
      without: { status: 200, elapsedMs: between(2_990, 20_000), hits: 1 },
    });
  });

  test("a backend that fails too often in a row is asked no longer", async () => {
    await expectToActAndGo({
      delivery: policy.with({ circuitBreaker: { consecutiveFailures: 3, minPenalty: "1m", maxPenalty: "2m" } }),
      traffic: () => user.askWhileOneFails(),
      inForce: { 503: 3, 200: 37 },
      without: { 503: between(4, 36), 200: between(4, 36) },
    });
  });

  test("a backend that was ejected comes back", async () => {
    await policy.apply({ circuitBreaker: { consecutiveFailures: 3, minPenalty: "1s", maxPenalty: "2s" } });
    try {
      await user.askWhileOneFails();
      expect(await user.ejections()).toBeGreaterThanOrEqual(1);
      user.first.reset();
      await waitFor("the healed backend to be asked", async () => {
        await send(user.request);
        return user.first.hits > 0;
      });
    } finally {
      await policy.remove();
    }
  });

  test("a percentage of requests is aborted, and the others reach the Service", async () => {
    await expectToActAndGo({
      delivery: policy.with({ faultInjection: { abort: { percent: 30, status: 418 } } }),
      traffic: () => sendMany(MANY, user.request),
      inForce: { 200: share(70, MANY), 418: share(30, MANY) },
      without: { 200: MANY },
    });
  });

  test("requests are delayed", async () => {
    await expectToActAndGo({
      delivery: policy.with({ faultInjection: { delay: { percent: 100, duration: "2s" } } }),
      traffic: async () => (await send(user.request)).elapsedMs,
      inForce: between(1_990, 20_000),
      without: between(0, 1_900),
    });
  });

  test("requests are divided by weight, as a change and the end of it say", async () => {
    const split = (weight: number) => ({
      trafficSplit: {
        backends: [
          { name: "user", weight: 100 - weight },
          { name: "user-next", weight },
        ],
      },
    });
    const toNext = async (): Promise<number> => {
      const before = next.hits;
      await sendMany(MANY, user.request);
      return next.hits - before;
    };
    expect(await toNext(), "before").toBe(0);
    await policy.apply(split(20));
    try {
      expect(await toNext(), "20 of 100").toEqual(share(20, MANY));
      await policy.apply(split(70));
      expect(await toNext(), "70 of 100").toEqual(share(70, MANY));
      await policy.apply(split(0));
      expect(await toNext(), "0 of 100").toBe(0);
    } finally {
      await policy.remove();
    }
    expect(await toNext(), "taken back").toBe(0);
  });

  test("only requests with a header are divided where the split says so", async () => {
    const canary = { ...user.request, headers: { "x-canary": "yes" } };
    const hits = async () => {
      const before = next.hits;
      await sendMany(MANY / 10, user.request);
      const ofOthers = next.hits - before;
      await sendMany(MANY / 10, canary);
      return { ofOthers, ofCanary: next.hits - before - ofOthers };
    };
    const matches = [{ headers: [{ name: "X-Canary", value: "yes" }] }];
    await expectToActAndGo({
      delivery: policy.with({ trafficSplit: { backends: [{ name: "user-next", weight: 1 }], matches } }),
      traffic: hits,
      inForce: { ofOthers: 0, ofCanary: MANY / 10 },
      without: { ofOthers: 0, ofCanary: 0 },
    });
  });

  test("a change and a section that goes are followed", async () => {
    const retry = (maxAttempts: number) => ({ retry: { maxAttempts, statusCodes: ["503"] } });
    await policy.apply({ ...retry(3), timeout: { request: "20s" } });
    try {
      expect(await user.askForStatus(503)).toEqual({ status: 503, hits: 4 });
      await policy.apply({ ...retry(1), timeout: { request: "20s" } });
      expect(await user.askForStatus(503)).toEqual({ status: 503, hits: 2 });
      await policy.apply({ timeout: { request: "20s" } });
      expect(await user.askForStatus(503)).toEqual({ status: 503, hits: 1 });
    } finally {
      await policy.remove();
    }
  });

  test("a breaker that is disabled ejects no longer", async () => {
    const breaker = { consecutiveFailures: 3, minPenalty: "1m", maxPenalty: "2m" };
    await policy.apply({ circuitBreaker: breaker });
    try {
      expect(await user.askWhileOneFails()).toEqual({ 503: 3, 200: 37 });
      await policy.apply({ circuitBreaker: { ...breaker, enabled: false } });
      expect(await user.askWhileOneFails()).toEqual({ 503: between(4, 36), 200: between(4, 36) });
    } finally {
      await policy.remove();
    }
  });

  test("what istiod refuses is refused when it is written", async () => {
    const negative = virtualService("user", [{ retries: { attempts: -1 }, route: routeTo("user") }]);
    await expect(mesh.apply([negative])).rejects.toThrow(/attempts cannot be negative/);
    const misspelt = virtualService("user", [{ timeuot: "1s", route: routeTo("user") }]);
    await expect(mesh.apply([misspelt])).rejects.toThrow(/http\[0\].timeuot: field not declared in schema/);
  });

  test("istiod takes every golden object of every band, and warns of none", async () => {
    await applyObject(mesh.client, { apiVersion: "v1", kind: "Namespace", metadata: { name: "iam" } });
    const goldens = companionGoldens("istio").map(({ object }) => object);
    const { stdout, stderr } = await dryRun(goldens);
    expect(stderr).toBe("");
    expect(stdout.trim().split("\n")).toHaveLength(goldens.length);
    // Dry runs are asked of istiod too.
    const negative = virtualService("user", [{ retries: { attempts: -1 }, route: routeTo("user") }]);
    expect((await dryRun([negative])).stderr).toMatch(/attempts cannot be negative/);
  });

  /** Asks the API server, and it asks istiod, about objects that are not kept then. */
  function dryRun(objects: readonly KubernetesObject[]): Promise<CommandResult> {
    const create = ["create", "--dry-run=server", "--output=name", "--filename=-"];
    return mesh.cluster.kubectl(create, { input: JSON.stringify(listOf(objects)) });
  }
});

function routeTo(service: string): readonly object[] {
  return [{ destination: { host: hostOf(service) } }];
}
