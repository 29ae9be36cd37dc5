import { describe, expect, test } from "vitest";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import type { WorldDefaults } from "../../src/core/world.ts";
import { judgedBy, resources, rule, ruledWorld } from "./rule-support.ts";
import { namespace, policy, service } from "./worlds.ts";

const ENFORCE = namespace("enforce");
const RETRIES = rule({ name: "retries", validations: ["!has(effective.retry) || effective.retry.maxAttempts <= 3"] });
const SELECTED = { targetSelector: { matchLabels: { team: "iam" } } };
const FIVE = policy({ ...SELECTED, retry: { maxAttempts: 5, statusCodes: ["5xx"] } });

function fleet(count: number): readonly KubernetesObject[] {
  return Array.from({ length: count }, (_, index) => ({
    ...service(),
    metadata: { ...service().metadata, name: `s${index}`, labels: { team: "iam" } },
  }));
}

describe("that not all of the effect was looked at is told", () => {
  function told(count: number, written: KubernetesObject, defaults: Partial<WorldDefaults> = {}): readonly string[] {
    const world = ruledWorld([ENFORCE, ...fleet(count)], { rules: [RETRIES], defaults });
    return judgedBy(world, written).warnings.filter((text) => text.startsWith("FL728"));
  }

  test("where the write has more than a hundred targets", () => {
    const one = policy({ ...SELECTED, retry: { maxAttempts: 1, statusCodes: ["5xx"] } });
    expect(told(100, one)).toEqual([]);
    expect(told(101, one)).toEqual([
      "FL728 Rules were asked about the effect on 100 of more than 100 objects; look at the audit for the others",
    ]);
  });

  test("where the budget of the request ended", () => {
    const ruleLimits = { expression: 100, rule: 100, request: 100 };
    expect(told(50, FIVE, { ruleLimits })).toEqual([
      "FL728 Rules were asked about the effect on 12 of 50 objects, then the budget of the request ended; " +
        "look at the audit for the others, or raise --request-cost-limit",
    ]);
  });

  test("not where no rule is about the effect", () => {
    const byType = rule({ validations: ["object.spec.type == 'ClusterIP'"] });
    expect(judgedBy(ruledWorld([ENFORCE, ...fleet(101)], { rules: [byType] }), FIVE).findings).toEqual([]);
  });
});

test("with existingViolations: Deny what the targets violate already counts as well", () => {
  const asked = policy({ retry: { maxAttempts: 5, statusCodes: ["5xx"] } });
  const more = policy({ retry: { maxAttempts: 5, statusCodes: ["5xx"] }, timeout: { request: "2s" } });
  const codes = (existingViolations: "Allow" | "Deny"): readonly string[] => {
    const world = ruledWorld([ENFORCE, service(), asked], { rules: [{ ...RETRIES, existingViolations }] });
    return judgedBy(world, more, { oldObject: asked }).findings.map(({ code }) => code);
  };
  expect(codes("Allow")).toEqual([]);
  expect(codes("Deny")).toEqual(["FL727"]);
});

describe("a write of a Service is judged by its effect on its routes", () => {
  const ROUTES = resources({ apiGroups: ["gateway.networking.k8s.io"], resources: ["httproutes"] });
  const SHORT = rule({
    name: "short",
    match: { resourceRules: [ROUTES] },
    validations: ["effective.?timeout.?request.orValue(duration('0s')) <= duration('30s')"],
  });
  const route = (annotations: Readonly<Record<string, string>> = {}): KubernetesObject => ({
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    metadata: { name: "orders", namespace: "iam", annotations },
    spec: { parentRefs: [{ group: "", kind: "Service", name: "user-service" }] },
  });
  const of = (seconds: number): KubernetesObject => service({ "timeout.linkerd.io/request": `${seconds}s` });

  test("which take their settings from it", () => {
    const world = ruledWorld([ENFORCE, of(2), route()], { rules: [SHORT] });
    expect(judgedBy(world, of(20), { oldObject: of(2) }).findings).toEqual([]);
    expect(judgedBy(world, of(40), { oldObject: of(2) }).message).toBe(
      [
        "Service iam/user-service cannot be accepted, 1 problem:",
        "- HTTPRoute iam/orders: rule short: failed expression: effective.?timeout.?request.orValue(duration('0s')) <= duration('30s'); found effective.timeout.request = 40s (FL727)",
        "  fix: see kubectl get admissionrule short -o yaml for what is wanted",
      ].join("\n"),
    );
  });

  test("also when it comes after them", () => {
    const world = ruledWorld([ENFORCE, route()], { rules: [SHORT] });
    expect(judgedBy(world, of(40)).findings).toMatchObject([{ code: "FL727" }]);
  });

  test("not where they have their own, or had it so before", () => {
    const own = ruledWorld([ENFORCE, of(2), route({ "timeout.linkerd.io/request": "5s" })], { rules: [SHORT] });
    expect(judgedBy(own, of(40), { oldObject: of(2) }).findings).toEqual([]);
    const before = ruledWorld([ENFORCE, of(40), route()], { rules: [SHORT] });
    expect(judgedBy(before, of(40), { oldObject: of(40) }).findings).toEqual([]);
  });

  test("not by rules for Services", () => {
    const world = ruledWorld([ENFORCE, of(2), route()], { rules: [RETRIES] });
    expect(judgedBy(world, of(40), { oldObject: of(2) }).rules?.map(({ rule: name }) => name)).toEqual(["retries"]);
  });
});
