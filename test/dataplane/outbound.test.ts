import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import type { Backend } from "./backend.ts";
import { destinationRule, virtualService } from "./istio-objects.ts";
import { type Member, Mesh } from "./mesh.ts";
import { hostOf } from "./objects.ts";
import { between, expectToActAndGo, handWritten, share } from "./scenario.ts";
import { countStatuses, type HttpAnswer, send, sendMany } from "./traffic.ts";
import { requestTo, Workloads } from "./workloads.ts";

const MANY = 1_000;

describe.skipIf(inject("mesh").state === "skipped")("what the proxy of a client does", () => {
  let mesh: Mesh;
  let client: Member;
  let user: readonly [Backend, Backend];
  let next: Backend;

  beforeAll(async () => {
    mesh = await Mesh.start();
    const workloads = new Workloads(mesh);
    client = await workloads.addClient("client");
    user = (await workloads.addService("user", 2)) as [Backend, Backend];
    [next] = (await workloads.addService("user-next")) as [Backend];
  });

  afterAll(async () => {
    await mesh?.stop();
  });

  beforeEach(() => {
    for (const backend of [...user, next]) backend.reset();
  });

  /** One request while every backend behaves so: its status, and how often a backend was asked. */
  async function askOnce(behaviour: Backend["behaviour"]): Promise<{ readonly status: number; readonly hits: number }> {
    for (const backend of user) Object.assign(backend, { behaviour, hits: 0 });
    const { status } = await send(requestTo("user", client));
    return { status, hits: user[0].hits + user[1].hits };
  }

  /** How often the proxy has ejected a backend of the Service as it is configured now. */
  async function ejections(): Promise<number> {
    const counters = await client.proxy.stats(`${hostOf("user")}.*ejections_enforced_total$`);
    return [...counters.values()].reduce((sum, count) => sum + count, 0);
  }

  /**
   * Requests one after the other, by status. Envoy ejects in its main thread while the next request may be under way;
   * the same thread tells the counters, so once it has told them, the ejection is done.
   */
  async function sendFortyWithCare(): Promise<Readonly<Record<number, number>>> {
    const answers: HttpAnswer[] = [];
    for (let index = 0; index < 40; index++) {
      answers.push(await send(requestTo("user", client)));
      await ejections();
    }
    return countStatuses(answers);
  }

  test("a request is tried again as often as asked, and not on another code", async () => {
    const retries = { attempts: 3, retryOn: "503", perTryTimeout: "5s" };
    await expectToActAndGo({
      delivery: handWritten(mesh, virtualService("user", [{ retries, route: routeTo("user") }])),
      traffic: async () => [
        await askOnce({ status: 503 }),
        await askOnce({ status: 500 }),
        await askOnce({ status: 404 }),
      ],
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
    const slow = async () => {
      for (const backend of user) Object.assign(backend, { behaviour: { delayMs: 3_000 }, hits: 0 });
      const { status, elapsedMs } = await send(requestTo("user", client));
      return { status, elapsedMs, hits: user[0].hits + user[1].hits };
    };
    const rule = { timeout: "1s", retries: { attempts: 0 }, route: routeTo("user") };
    await expectToActAndGo({
      delivery: handWritten(mesh, virtualService("user", [rule])),
      traffic: slow,
      inForce: { status: 504, elapsedMs: between(990, 2_900), hits: 1 },
      without: { status: 200, elapsedMs: between(2_990, 20_000), hits: 1 },
    });
  });

  test("a backend that fails three times in a row is asked no longer", async () => {
    const traffic = async () => {
      user[0].behaviour = { status: 503 };
      user[0].hits = 0;
      const counts = await sendFortyWithCare();
      return { failed: counts[503], succeeded: counts[200], hits: user[0].hits };
    };
    // Without ejection the chance of three or fewer failures, with two backends, is one in ten million.
    await expectToActAndGo({
      delivery: handWritten(mesh, destinationRule("user", { outlierDetection: ejectAfter(3, "60s") })),
      traffic,
      inForce: { failed: 3, succeeded: 37, hits: 3 },
      without: { failed: between(4, 36), succeeded: between(4, 36), hits: between(4, 36) },
    });
  });

  test("a backend that was ejected comes back", async () => {
    const delivery = handWritten(mesh, destinationRule("user", { outlierDetection: ejectAfter(3, "1s") }));
    await delivery.apply();
    try {
      user[0].behaviour = { status: 503 };
      await sendFortyWithCare();
      expect(await ejections()).toBeGreaterThanOrEqual(1);
      user[0].reset();
      await waitFor("the healed backend to be asked", async () => {
        await send(requestTo("user", client));
        return user[0].hits > 0;
      });
    } finally {
      await delivery.takeBack();
    }
  });

  test("a percentage of requests is aborted, and the others reach the Service", async () => {
    const fault = { abort: { percentage: { value: 30 }, httpStatus: 418 } };
    await expectToActAndGo({
      delivery: handWritten(mesh, virtualService("user", [{ fault, route: routeTo("user") }])),
      traffic: () => sendMany(MANY, requestTo("user", client)),
      inForce: { 200: share(70, MANY), 418: share(30, MANY) },
      without: { 200: MANY },
    });
  });

  test("requests are delayed", async () => {
    const fault = { delay: { percentage: { value: 100 }, fixedDelay: "2s" } };
    await expectToActAndGo({
      delivery: handWritten(mesh, virtualService("user", [{ fault, route: routeTo("user") }])),
      traffic: async () => (await send(requestTo("user", client))).elapsedMs,
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
        return [await sendMany(MANY, requestTo("user", client)), next.hits];
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
        await sendMany(10, requestTo("user", client));
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
});

function routeTo(service: string): readonly object[] {
  return [{ destination: { host: hostOf(service) } }];
}

function ejectAfter(errors: number, baseEjectionTime: string): object {
  return { consecutive5xxErrors: errors, interval: "1s", baseEjectionTime, maxEjectionPercent: 100 };
}
