import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import type { CommandResult } from "../../src/dev/control-plane/command.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { istioGoldens, listOf } from "../golden/istio.ts";
import { applyObject } from "./api.ts";
import type { Backend } from "./backend.ts";
import { destinationRule, virtualService } from "./istio-objects.ts";
import { type Member, Mesh } from "./mesh.ts";
import { hostOf } from "./objects.ts";
import { between, expectToActAndGo, handWritten, share } from "./scenario.ts";
import { Subject } from "./subject.ts";
import { send, sendMany } from "./traffic.ts";
import { requestTo, Workloads } from "./workloads.ts";

const MANY = 1_000;

describe.skipIf(inject("mesh").state === "skipped")("what the proxy of a client does", () => {
  let mesh: Mesh;
  let client: Member;
  let user: Subject;
  let next: Backend;

  beforeAll(async () => {
    mesh = await Mesh.start();
    const workloads = new Workloads(mesh);
    client = await workloads.addClient("client");
    user = new Subject({ service: "user", client, backends: await workloads.addService("user", 2) });
    [next] = (await workloads.addService("user-next")) as [Backend];
  });

  afterAll(async () => {
    await mesh?.stop();
  });

  beforeEach(() => {
    for (const backend of [...user.backends, next]) backend.reset();
  });

  test("a request is tried again as often as asked, and not on another code", async () => {
    const retries = { attempts: 3, retryOn: "503", perTryTimeout: "5s" };
    await expectToActAndGo({
      delivery: handWritten(mesh, virtualService("user", [{ retries, route: routeTo("user") }])),
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
    const rule = { timeout: "1s", retries: { attempts: 0 }, route: routeTo("user") };
    await expectToActAndGo({
      delivery: handWritten(mesh, virtualService("user", [rule])),
      traffic: () => user.askSlow(),
      inForce: { status: 504, elapsedMs: between(990, 2_900), hits: 1 },
      without: { status: 200, elapsedMs: between(2_990, 20_000), hits: 1 },
    });
  });

  test("a backend that fails three times in a row is asked no longer", async () => {
    await expectToActAndGo({
      delivery: handWritten(mesh, destinationRule("user", { outlierDetection: ejectAfter(3, "60s") })),
      traffic: () => user.askWhileOneFails(),
      inForce: { 503: 3, 200: 37 },
      without: { 503: between(4, 36), 200: between(4, 36) },
    });
  });

  test("a backend that was ejected comes back", async () => {
    const delivery = handWritten(mesh, destinationRule("user", { outlierDetection: ejectAfter(3, "1s") }));
    await delivery.apply();
    try {
      await user.askWhileOneFails();
      expect(await user.ejections()).toBeGreaterThanOrEqual(1);
      user.first.reset();
      await waitFor("the healed backend to be asked", async () => {
        await send(user.request);
        return user.first.hits > 0;
      });
    } finally {
      await delivery.takeBack();
    }
  });

  test("a percentage of requests is aborted, and the others reach the Service", async () => {
    const fault = { abort: { percentage: { value: 30 }, httpStatus: 418 } };
    await expectToActAndGo({
      delivery: handWritten(mesh, virtualService("user", [{ fault, route: routeTo("user") }])),
      traffic: () => sendMany(MANY, user.request),
      inForce: { 200: share(70, MANY), 418: share(30, MANY) },
      without: { 200: MANY },
    });
  });

  test("requests are delayed", async () => {
    const fault = { delay: { percentage: { value: 100 }, fixedDelay: "2s" } };
    await expectToActAndGo({
      delivery: handWritten(mesh, virtualService("user", [{ fault, route: routeTo("user") }])),
      traffic: async () => (await send(user.request)).elapsedMs,
      inForce: between(1_990, 20_000),
      without: between(0, 1_900),
    });
  });

  test("traffic is split by weight", async () => {
    const route = [
      { destination: { host: hostOf("user") }, weight: 80 },
      { destination: { host: hostOf("user-next") }, weight: 20 },
    ];
    await expectToActAndGo({
      delivery: handWritten(mesh, virtualService("user", [{ route }])),
      traffic: async () => {
        next.reset();
        return [await sendMany(MANY, user.request), next.hits];
      },
      inForce: [{ 200: MANY }, share(20, MANY)],
      without: [{ 200: MANY }, 0],
    });
  });

  test("requests with a header go elsewhere", async () => {
    const match = [{ headers: { "x-beta": { exact: "1" } } }];
    const rules = [{ match, route: routeTo("user-next") }, { route: routeTo("user") }];
    await expectToActAndGo({
      delivery: handWritten(mesh, virtualService("user", rules)),
      traffic: async () => {
        next.reset();
        await sendMany(10, user.request);
        const withoutHeader = next.hits;
        await sendMany(10, requestTo("user", client, { headers: { "x-beta": "1" } }));
        return { withoutHeader, withHeader: next.hits - withoutHeader };
      },
      inForce: { withoutHeader: 0, withHeader: 10 },
      without: { withoutHeader: 0, withHeader: 0 },
    });
  });

  test("what istiod refuses is refused when it is written", async () => {
    const negative = virtualService("user", [{ retries: { attempts: -1 }, route: routeTo("user") }]);
    await expect(mesh.apply([negative])).rejects.toThrow(/attempts cannot be negative/);
    const misspelt = virtualService("user", [{ timeuot: "1s", route: routeTo("user") }]);
    await expect(mesh.apply([misspelt])).rejects.toThrow(/http\[0\].timeuot: field not declared in schema/);
  });

  test("istiod takes every golden object of every band, and warns of none", async () => {
    await applyObject(mesh.client, { apiVersion: "v1", kind: "Namespace", metadata: { name: "iam" } });
    const goldens = istioGoldens().map(({ object }) => object);
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

function ejectAfter(errors: number, baseEjectionTime: string): object {
  return { consecutive5xxErrors: errors, interval: "1s", baseEjectionTime, maxEjectionPercent: 100 };
}
