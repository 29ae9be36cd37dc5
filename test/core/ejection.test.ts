import { describe, expect, test } from "vitest";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { changedWorld } from "../../src/core/policy/world-with-policy.ts";
import { policyStatus } from "../../src/core/policy/status.ts";
import type { World } from "../../src/core/world.ts";
import { namespace, policy, service, validate, worldOf } from "./worlds.ts";

const IN_ISTIO = namespace("enforce", { labels: { "istio-injection": "enabled" } });

function worldWith(endpoints: number | undefined, ...objects: readonly KubernetesObject[]): World {
  return changedWorld(worldOf([...objects, service()]), { endpointsOf: () => endpoints });
}

function breaker(circuitBreaker: object, name = "user-service"): KubernetesObject {
  return policy({ circuitBreaker }, { name });
}

function told(world: World, written: KubernetesObject): readonly string[] {
  const { allowed, findings } = validate(world, written);
  expect(allowed).toBe(true);
  return findings.filter(({ code }) => code === "FL331").map(({ message, fix }) => `${message}; ${fix}`);
}

describe("endpoints that exist, beside what Istio may shut out of them", () => {
  test.each<[percent: number | undefined, endpoints: number | undefined, isTold: boolean]>([
    [10, 9, true],
    [10, 10, false],
    [34, 3, false],
    [33, 3, true],
    [50, 1, true],
    [50, 2, false],
    [99, 1, true],
    [100, 1, false],
    [undefined, 1, false],
    [1, 100, false],
    [1, 99, true],
    [10, 0, false],
    [10, undefined, false],
  ])("%s percent of %s", (maxEjectionPercent, endpoints, isTold) => {
    const written = breaker({ ...(maxEjectionPercent !== undefined && { maxEjectionPercent }) });
    expect(told(worldWith(endpoints, IN_ISTIO), written)).toHaveLength(isTold ? 1 : 0);
  });

  test("says what was found, and both ways out", () => {
    expect(told(worldWith(3, IN_ISTIO), breaker({ maxEjectionPercent: 10 }))).toEqual([
      "Found 10; Service user-service has 3 ready endpoints, of which Istio may not shut out a single one: the breaker does nothing; " +
        "raise it to at least 34, or run at least 10 endpoints",
    ]);
  });

  test("is in the status of the policy", () => {
    const written = breaker({ maxEjectionPercent: 10 });
    const status = policyStatus({
      policy: written,
      world: worldWith(3, IN_ISTIO, written),
      failures: new Map(),
      nowText: "2026-11-26T12:00:00Z",
    });
    expect(status.conditions?.[0]?.message).toContain("FL331 spec.circuitBreaker.maxEjectionPercent: Found 10");
  });

  test.each([
    ["on Linkerd, which has no such limit", worldWith(3, namespace("enforce")), breaker({ maxEjectionPercent: 10 })],
    ["where the breaker is off", worldWith(3, IN_ISTIO), breaker({ enabled: false })],
    [
      "to a policy whose breaker another one decides",
      worldWith(3, IN_ISTIO, policy({ circuitBreaker: {} }, { name: "a", creationTimestamp: "2026-01-01T00:00:00Z" })),
      breaker({ maxEjectionPercent: 10 }, "b"),
    ],
  ])("is not told %s", (_, world, written) => {
    expect(told(world, written)).toEqual([]);
  });
});
