import { beforeAll, beforeEach, expect, test } from "vitest";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import type { Backend } from "./backend.ts";
import { ServicePolicy } from "./policy.ts";
import { between, expectToFollow, share } from "./scenario.ts";
import type { Stage } from "./stage.ts";
import type { Subject } from "./subject.ts";
import { send, sendMany } from "./traffic.ts";

const MANY = 1_000;

/** What the proxy of a client does with the requests that it sends. */
export function clientSide(stage: () => Stage): void {
  let policy: ServicePolicy;
  let user: Subject;
  let next: Backend;

  beforeAll(() => {
    ({ user, next } = stage());
    policy = new ServicePolicy(stage().mesh, "user");
  });

  beforeEach(() => {
    for (const backend of [...user.backends, next]) backend.reset();
  });

  test("a request is tried again as often as asked, and not on another code", async () => {
    await expectToFollow({
      policy,
      traffic: async () => [await user.askForStatus(503), await user.askForStatus(500), await user.askForStatus(404)],
      steps: [
        [
          { retry: { maxAttempts: 3, statusCodes: ["503"] } },
          [
            { status: 503, hits: 4 },
            { status: 500, hits: 1 },
            { status: 404, hits: 1 },
          ],
        ],
      ],
      without: [
        { status: 503, hits: 1 },
        { status: 500, hits: 1 },
        { status: 404, hits: 1 },
      ],
    });
  });

  test("a request that takes too long gets 504 at the set time", async () => {
    await expectToFollow({
      policy,
      traffic: () => user.askSlow(),
      steps: [[{ timeout: { request: "1s" } }, { status: 504, elapsedMs: between(990, 2_900), hits: 1 }]],
      without: { status: 200, elapsedMs: between(2_990, 20_000), hits: 1 },
    });
  });

  test("a backend that fails too often in a row is asked no longer, until the breaker is disabled", async () => {
    const breaker = { consecutiveFailures: 3, minPenalty: "1m", maxPenalty: "2m" };
    const without = { 503: between(4, 36), 200: between(4, 36) };
    await expectToFollow({
      policy,
      traffic: () => user.askWhileOneFails(),
      steps: [
        [{ circuitBreaker: breaker }, { 503: 3, 200: 37 }],
        [{ circuitBreaker: { ...breaker, enabled: false } }, without],
      ],
      without,
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
    await expectToFollow({
      policy,
      traffic: () => sendMany(MANY, user.request),
      steps: [
        [{ faultInjection: { abort: { percent: 30, status: 418 } } }, { 200: share(70, MANY), 418: share(30, MANY) }],
      ],
      without: { 200: MANY },
    });
  });

  test("requests are delayed", async () => {
    await expectToFollow({
      policy,
      traffic: async () => (await send(user.request)).elapsedMs,
      steps: [[{ faultInjection: { delay: { percent: 100, duration: "2s" } } }, between(1_990, 20_000)]],
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
    await expectToFollow({
      policy,
      traffic: async () => {
        next.reset();
        await sendMany(MANY, user.request);
        return next.hits;
      },
      steps: [
        [split(20), share(20, MANY)],
        [split(70), share(70, MANY)],
        [split(0), 0],
      ],
      without: 0,
    });
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
    await expectToFollow({
      policy,
      traffic: hits,
      steps: [
        [
          { trafficSplit: { backends: [{ name: "user-next", weight: 1 }], matches } },
          { ofOthers: 0, ofCanary: MANY / 10 },
        ],
      ],
      without: { ofOthers: 0, ofCanary: 0 },
    });
  });

  test("a change and a section that goes are followed", async () => {
    const retry = (maxAttempts: number) => ({ retry: { maxAttempts, statusCodes: ["503"] } });
    await expectToFollow({
      policy,
      traffic: () => user.askForStatus(503),
      steps: [
        [
          { ...retry(3), timeout: { request: "20s" } },
          { status: 503, hits: 4 },
        ],
        [
          { ...retry(1), timeout: { request: "20s" } },
          { status: 503, hits: 2 },
        ],
        [{ timeout: { request: "20s" } }, { status: 503, hits: 1 }],
      ],
      without: { status: 503, hits: 1 },
    });
  });
}
