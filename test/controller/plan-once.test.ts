import { describe, expect, test } from "vitest";
import { planOnce } from "../../src/controller/plan-once.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import type { NamespaceInfo, World } from "../../src/core/world.ts";
import { keyOf, namespace, policy, service, worldOf } from "../core/worlds.ts";

const KEY = keyOf(service());
const BREAKER = policy({ circuitBreaker: { consecutiveFailures: 5 } });

/** As the store is: what it hands out stays the same value until it changes. */
function store(mode: string, ...policies: KubernetesObject[]): World {
  const world = worldOf([namespace(mode), ...policies]);
  const [list, info] = [world.policiesIn("iam"), world.namespace("iam")];
  return {
    ...world,
    defaults: world.defaults,
    controlPlanes: () => world.controlPlanes(),
    policiesIn: () => list,
    namespace: (): NamespaceInfo | undefined => info,
  };
}

describe("planOnce()", () => {
  test("hands out the same plan for the same object under the same policies", () => {
    const live = service();
    const world = store("enforce", BREAKER);
    const plan = planOnce(live, KEY, world);
    expect(plan?.first.kind).toBe("label");
    expect(planOnce(live, KEY, world)).toBe(plan);
  });

  test("plans anew when the policies change", () => {
    const live = service();
    const before = planOnce(live, KEY, store("enforce", BREAKER))?.first;
    const after = planOnce(live, KEY, store("enforce", policy({ circuitBreaker: { consecutiveFailures: 6 } })))?.first;
    expect(after?.kind).toBe("label");
    expect(after).not.toEqual(before);
  });

  test("plans anew when the namespace changes", () => {
    const live = service();
    const enforcing = store("enforce", BREAKER);
    expect(planOnce(live, KEY, enforcing)).toBeDefined();
    const auditing: World = { ...enforcing, namespace: (name) => store("audit").namespace(name) };
    expect(planOnce(live, KEY, auditing)).toBeUndefined();
  });

  test("plans anew when a control plane changes", () => {
    const live = service();
    const { defaults, ...rest } = store("enforce", policy({ retry: { maxAttempts: 1, statusCodes: ["5xx"] } }));
    const world = { ...rest, defaults: { ...defaults, meshVersion: { ...defaults.meshVersion, named: [] } } };
    expect(planOnce(live, KEY, world)).toBeDefined();
    const source = "Service linkerd/linkerd-dst";
    const planes = [{ mesh: "Linkerd", source, revision: "", version: "stable-2.14.10" } as const];
    expect(planOnce(live, KEY, { ...world, controlPlanes: () => planes })).toBeUndefined();
  });

  test("plans anew for another state of the object", () => {
    const world = store("enforce", BREAKER);
    expect(planOnce(service(), KEY, world)).toBeDefined();
    expect(planOnce(service(undefined, { "fairlead.dev/inject": "disabled" }), KEY, world)).toBeUndefined();
  });
});
