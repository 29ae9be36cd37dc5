import { expect, test } from "vitest";
import { planCompanions } from "../../src/core/companions/plan-companions.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { namespace, policy, worldOf } from "./worlds.ts";

const SERVICES = 5_000;
const UID = { uid: "u-1", creationTimestamp: "2026-01-01T00:00:00Z" };
const STRICT = policy({ targetSelector: { matchLabels: { team: "iam" } }, mtls: { mode: "Strict" } }, UID);
const PEOPLE = Array.from({ length: SERVICES }, (_, index): KubernetesObject => {
  const name = `service-${index}`;
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "iam", labels: { team: "iam" } },
    spec: { selector: { app: name, tier: `tier-${index % 3}` }, ports: [{ port: 80, targetPort: 8080 }] },
  };
});

function plan(ofNamespace: KubernetesObject, live: readonly KubernetesObject[]) {
  const world = worldOf([ofNamespace, ...PEOPLE, STRICT, ...live]);
  const [compiled] = world.policiesIn("iam");
  const steps = planCompanions({ policy: STRICT, compiled, live, serves: () => true, world });
  for (let stops = 0; ; stops += 1) {
    const step = steps.next();
    if (step.done === true) return { ...step.value, stops };
  }
}

/** The same object, which tells of every look at one field of its spec. */
function watched(object: KubernetesObject, field: string, look: () => void): KubernetesObject {
  const { [field]: value, ...spec } = object.spec as Readonly<Record<string, unknown>>;
  const get = (): unknown => {
    look();
    return value;
  };
  return { ...object, spec: Object.defineProperty(spec, field, { get, enumerable: true }) };
}

test.each([
  ["Linkerd", namespace("enforce"), "podSelector"],
  ["Istio", namespace("enforce", { labels: { "istio-injection": "enabled" } }), "selector"],
] as const)("on %s the plan for 5,000 Services looks at each object a few times", (_, ofNamespace, selector) => {
  let looks = 0;
  const live = plan(ofNamespace, []).actions.flatMap((action) => {
    if (action.kind !== "apply") return [];
    const { metadata } = action.object;
    const written = { ...action.object, metadata: { ...metadata, creationTimestamp: "2026-01-02T00:00:00Z" } };
    return [watched(written, selector, () => (looks += 1))];
  });
  expect(live.length).toBeGreaterThanOrEqual(SERVICES);
  const { actions, findings, stops } = plan(ofNamespace, live);
  expect(actions).toEqual([]);
  expect(findings.filter(({ severity }) => severity === "deny")).toEqual([]);
  expect(looks).toBeGreaterThanOrEqual(SERVICES);
  expect(looks).toBeLessThan(10 * SERVICES);
  // Others get their turn in between.
  expect(stops).toBe(100);
});
