import * as fc from "fast-check";
import { afterAll, beforeAll, describe, test } from "vitest";
import { breakers, type Mapping, OFF, removals, retries, timeouts } from "../property/mapping-oracle.ts";
import { expectCarries, expectClean, Session, service } from "./session.ts";

let session: Session;
beforeAll(async () => {
  session = await Session.start();
});
afterAll(() => session?.stop());

/** The pure planners meet many more (test/property/mappings.test.ts); the same ones each time, so that a failure can be repeated. */
const SAMPLE = { numRuns: 10, seed: 4 };
const PEOPLE = { note: "mine" };
const TARGET = { targetRefs: [{ kind: "Service", name: "web" }] };

async function start(namespace: string): Promise<void> {
  await session.namespace(namespace, "enforce");
  await session.kubectl("create -f -", service(namespace, "web", { annotations: PEOPLE }));
}

async function expectKeys(namespace: string, keys: Readonly<Record<string, string>>): Promise<void> {
  const object = await session.service(namespace, "web");
  if (Object.keys(keys).length === 0) expectClean(object, PEOPLE);
  else expectCarries(object, { policy: "p", keys, people: PEOPLE });
}

/** One spec after the other gives exactly its own keys. */
async function follows(namespace: string, mappings: fc.Arbitrary<Mapping>): Promise<void> {
  await start(namespace);
  for (const { spec, keys } of fc.sample(mappings, SAMPLE)) {
    await session.policy(namespace, "p", { ...TARGET, ...spec });
    await expectKeys(namespace, keys);
  }
}

describe("what a policy says is what its Service carries on a real API server", () => {
  test("circuit-breaker annotation consistency: ten random breakers", () => follows("breakers", breakers));

  test("retry mapping: ten random retries", () => follows("retries", retries));

  test("timeout mapping: ten random timeouts", () => follows("timeouts", timeouts));

  test("annotation removal on disable: three random policies, section by section, until nothing is left", async () => {
    await start("removals");
    for (const { sections, order, bySwitch } of fc.sample(removals, { ...SAMPLE, numRuns: 3 })) {
      const specs = sections.map(({ spec }) => spec);
      const left = sections.map(({ keys }) => keys);
      const apply = (): Promise<readonly string[]> =>
        session.policy("removals", "p", Object.assign({}, TARGET, ...specs) as object);
      await apply();
      await expectKeys("removals", Object.assign({}, ...left) as Record<string, string>);
      for (const index of order.slice(0, -1)) {
        left[index] = {};
        specs[index] = bySwitch ? (OFF[index] ?? {}) : {};
        await apply();
        await expectKeys("removals", Object.assign({}, ...left) as Record<string, string>);
      }
      await session.deletePolicy("removals", "p");
      await expectKeys("removals", {});
    }
  });
});
