import { describe, expect, test } from "vitest";
import { compilePolicy, type CompiledPolicy } from "../../src/core/intent/policy.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { isAimedAt, matchesLabels, resolvePrecedence } from "../../src/core/intent/precedence.ts";
import { keyOf, policy, service, validate, worldOf } from "./worlds.ts";

const TARGET = service(undefined, { team: "iam" });
const SELECTOR = { targetSelector: { matchLabels: { team: "iam" } } };
const IDLE = { timeout: { idle: "5s" } };

interface Made {
  readonly name: string;
  readonly createdAt?: string;
  readonly spec?: Record<string, unknown>;
}

function compiled({ name, createdAt = "", spec = IDLE }: Made): CompiledPolicy {
  const metadata = { name, ...(createdAt !== "" && { creationTimestamp: createdAt }) };
  const { policy: result } = compilePolicy(policy(spec, metadata));
  if (result === undefined) throw new Error(`The policy ${name} is refused`);
  return result;
}

const OLD = "2026-01-01T00:00:00Z";
const NEW = "2026-11-01T00:00:00Z";

const CASES: Readonly<Record<string, readonly [policies: readonly Made[], winners: Record<string, string>]>> = {
  "named goes before selected, whatever the age": [
    [
      { name: "a", createdAt: OLD, spec: { ...SELECTOR, ...IDLE } },
      { name: "z", createdAt: NEW },
    ],
    { timeout: "z" },
  ],
  "older goes before younger, whatever the name": [
    [
      { name: "a", createdAt: NEW },
      { name: "z", createdAt: OLD },
    ],
    { timeout: "z" },
  ],
  "of one age the name decides": [
    [
      { name: "b", createdAt: OLD },
      { name: "a", createdAt: OLD },
    ],
    { timeout: "a" },
  ],
  "a policy that is being created is the youngest": [[{ name: "a" }, { name: "z", createdAt: NEW }], { timeout: "z" }],
  "sections are decided one by one": [
    [
      { name: "own", spec: IDLE },
      { name: "fleet", spec: { ...SELECTOR, ...IDLE, circuitBreaker: {} } },
    ],
    { timeout: "own", circuitBreaker: "fleet" },
  ],
  "a section that is switched off is decided too": [
    [
      { name: "own", spec: { circuitBreaker: { enabled: false } } },
      { name: "fleet", spec: { ...SELECTOR, circuitBreaker: {} } },
    ],
    { circuitBreaker: "own" },
  ],
  "a policy for something else does not count": [
    [
      { name: "a", spec: { targetRefs: [{ kind: "Service", name: "other" }], ...IDLE } },
      {
        name: "b",
        spec: { targetRefs: [{ group: "policy.linkerd.io", kind: "HTTPRoute", name: "user-service" }], ...IDLE },
      },
    ],
    {},
  ],
};

test.each(Object.entries(CASES))("%s", (_, [policies, expected]) => {
  for (const order of [policies, policies.toReversed()]) {
    const { winners } = resolvePrecedence(order.map(compiled), keyOf(TARGET), TARGET);
    expect(Object.fromEntries(Object.entries(winners).map(([section, { name }]) => [section, name]))).toEqual(expected);
  }
});

test("losers are named with their winner, section by section", () => {
  const [a, b, c] = ["a", "b", "c"].map((name) => compiled({ name, spec: { ...IDLE, circuitBreaker: {} } }));
  const { losers } = resolvePrecedence(
    [c, b, a].filter((item) => item !== undefined),
    keyOf(TARGET),
    TARGET,
  );
  expect(losers.map(({ policy: { name }, section, winner }) => `${section}: ${name} < ${winner.name}`)).toEqual([
    "circuitBreaker: b < a",
    "circuitBreaker: c < a",
    "timeout: b < a",
    "timeout: c < a",
  ]);
  expect([a, b, c].every((item) => item !== undefined)).toBe(true);
});

describe("isAimedAt()", () => {
  test.each([
    ["another namespace", { ...keyOf(TARGET), namespace: "shop" }, false],
    ["another name", { ...keyOf(TARGET), name: "user-servic" }, false],
    ["another kind", { ...keyOf(TARGET), kind: "HTTPRoute", group: "policy.linkerd.io" }, false],
    ["itself", keyOf(TARGET), true],
  ])("by name: %s", (_, key, expected) => {
    expect(isAimedAt(compiled({ name: "a" }), key, TARGET)).toBe(expected);
  });

  test("a selector never selects routes", () => {
    const route = { ...TARGET, kind: "HTTPRoute", apiVersion: "policy.linkerd.io/v1beta3" };
    expect(isAimedAt(compiled({ name: "a", spec: { ...SELECTOR, ...IDLE } }), keyOf(route), route)).toBe(false);
  });
});

test.each([
  [{ a: "1" }, { a: "1", b: "2" }, true],
  [{ a: "1", b: "2" }, { a: "1" }, false],
  [{ a: "1" }, { a: "2" }, false],
  [{ a: "" }, {}, false],
  [{ constructor: "x" }, {}, false],
])("matchesLabels(%j, %j) is %j", (wanted, found, expected) => {
  expect(matchesLabels(wanted as Record<string, string>, found as Record<string, string>)).toBe(expected);
});

describe("conflicts of policies", () => {
  const fleet = policy({ ...SELECTOR, ...IDLE }, { name: "fleet", creationTimestamp: OLD });
  const own = policy(IDLE, { name: "own", creationTimestamp: NEW });
  const messagesOf = (objects: readonly KubernetesObject[], [object, old]: readonly KubernetesObject[]) =>
    object && validate(worldOf([...objects, TARGET]), object, old).findings.map((item) => item.message);

  test("the loser names the winner", () => {
    const lost = ["Service user-service takes timeout from ResiliencePolicy own, which comes first"];
    expect(messagesOf([fleet, own], [fleet, fleet])).toEqual(lost);
    expect(messagesOf([own], [fleet])).toEqual(lost);
  });

  test("the winner says whom it takes over from only where that one has decided so far", () => {
    const takenOver = ["Service user-service takes timeout from here and no longer from ResiliencePolicy fleet"];
    expect(messagesOf([fleet], [own])).toEqual(takenOver);
    // The watch was faster than the review.
    expect(messagesOf([fleet, own], [own])).toEqual(takenOver);
    const before = policy({ circuitBreaker: {} }, { name: "own", creationTimestamp: NEW });
    expect(messagesOf([fleet, before], [own, before])).toEqual(takenOver);
    expect(messagesOf([fleet, own], [own, own])).toEqual([
      "Service user-service takes timeout from here; ResiliencePolicy fleet wants it too",
    ]);
  });

  test("many that want the same are counted in one warning", () => {
    const crowd = Array.from({ length: 300 }, (_, index) => policy(IDLE, { name: `q-${100 + index}` }));
    expect(messagesOf([...crowd, own], [own, own])).toEqual([
      "Service user-service takes timeout from here; " +
        "ResiliencePolicies q-100, q-101, q-102, q-103, q-104 and 295 more want it too",
    ]);
  });
});
