import { describe, expect, test } from "vitest";
import { decide } from "../../src/core/admission/decide.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import type { CompiledException, CompiledRule } from "../../src/core/rules/rule.ts";
import { Cluster } from "./cluster.ts";
import { exception, judgedBy, resources, rule, ruledWorld } from "./rule-support.ts";
import { namespace, NOW_MS, policy, requestOf, service } from "./worlds.ts";

const ENFORCE = namespace("enforce");
const DAY_MS = 24 * 3_600_000;

/** At most three retries and a timeout of at most 30 s, by the effect in the mesh. */
const TIMEOUT = rule({
  name: "timeout-bounded",
  validations: [
    {
      expression:
        "has(effective.timeout) && has(effective.timeout.request) && effective.timeout.request <= duration('30s')",
      message: "a request timeout of at most 30s is wanted",
      fix: "set timeout.request in a ResiliencePolicy",
    },
  ],
});
const RETRIES = rule({ name: "retries", validations: ["!has(effective.retry) || effective.retry.maxAttempts <= 3"] });

function codes(
  rules: readonly CompiledRule[],
  object: KubernetesObject,
  more: {
    oldObject?: KubernetesObject;
    world?: readonly KubernetesObject[];
    exceptions?: readonly CompiledException[];
  } = {},
): readonly string[] {
  const { oldObject, world = [], exceptions = [] } = more;
  const ruled = ruledWorld([ENFORCE, ...world], { rules, exceptions });
  return judgedBy(ruled, object, oldObject && { oldObject }).findings.map(({ code }) => code);
}

describe("a violation that was there before", () => {
  const type = rule({
    validations: [{ expression: "object.spec.type == 'ClusterIP'", messageExpression: "'found ' + object.spec.type" }],
  });
  const strict = { ...type, existingViolations: "Deny" } as const;
  const of = (kind: string, labels?: Record<string, string>): KubernetesObject => ({
    ...service(undefined, labels),
    spec: { type: kind, ports: [{ port: 8080 }] },
  });

  test.each<readonly [what: string, CompiledRule, KubernetesObject, KubernetesObject | undefined, readonly string[]]>([
    [
      "passes with a warning where the write does not touch it",
      type,
      of("NodePort", { a: "b" }),
      of("NodePort"),
      ["FL725"],
    ],
    ["denies where the write makes it another one", type, of("LoadBalancer"), of("NodePort"), ["FL720"]],
    ["denies where the write introduces it", type, of("NodePort"), of("ClusterIP"), ["FL720"]],
    ["denies on CREATE", type, of("NodePort"), undefined, ["FL720"]],
    ["denies where the rule says so", strict, of("NodePort", { a: "b" }), of("NodePort"), ["FL720"]],
  ])("%s", (_what, one, ...[object, oldObject, wanted]) => {
    expect(codes([one], object, oldObject && { oldObject })).toEqual(wanted);
  });

  test("is told in one line, allowed", () => {
    const world = ruledWorld([ENFORCE], { rules: [type] });
    expect(judgedBy(world, of("NodePort", { a: "b" }), { oldObject: of("NodePort") })).toMatchObject({
      allowed: true,
      rules: [{ rule: "a-rule", outcome: "tolerated" }],
      warnings: [
        'FL725 spec.type: rule a-rule: found NodePort; found object.spec.type = "NodePort"; it was so before this write; see kubectl get admissionrule a-rule -o yaml for what is wanted',
      ],
    });
  });

  test("is none where the old object was no matter of the rule", () => {
    const critical = {
      ...type,
      matchConditions: rule({ conditions: ["has(object.metadata.labels)"], validations: [] }).matchConditions,
    };
    expect(codes([critical], of("NodePort", { tier: "critical" }), { oldObject: of("NodePort") })).toEqual(["FL720"]);
  });

  test("is none where the rule cannot be evaluated on either", () => {
    const broken = rule({ validations: ["object.spec.nothing == 1"] });
    expect(codes([broken], of("NodePort"), { oldObject: of("NodePort") })).toEqual(["FL723"]);
  });

  test("is judged by its effect as well, in the world of today", () => {
    const annotated = service({ "timeout.linkerd.io/request": "45s" });
    const labelled = service({ "timeout.linkerd.io/request": "45s" }, { a: "b" });
    expect(codes([TIMEOUT], labelled, { oldObject: annotated })).toEqual(["FL725"]);
    expect(codes([TIMEOUT], service(), { oldObject: annotated })).toEqual(["FL720"]);
  });

  describe("is touched by a write that changes what the expression reads, whatever the message says", () => {
    const claiming = (...externalIPs: string[]): KubernetesObject => ({
      ...service(undefined, { a: `${externalIPs.length}` }),
      spec: { externalIPs, ports: [{ port: 8080 }] },
    });
    const message = "external addresses belong to nobody";

    test.each<readonly [what: string, expression: string, variables: Readonly<Record<string, string>>]>([
      ["a field", "!has(object.spec.externalIPs) || object.spec.externalIPs == []", {}],
      ["an optional field", "object.spec.?externalIPs.orValue([]).size() == 0", {}],
      ["a field taken as it comes", "dyn(object).spec.externalIPs.size() == 0", {}],
      ["a variable", "variables.claimed.size() == 0", { claimed: "object.spec.?externalIPs.orValue([])" }],
      ["the whole object", "!has(object.spec.externalIPs) || size(object) == 0", {}],
    ])("%s", (_what, expression, variables) => {
      const one = rule({ variables, validations: [{ expression, message }] });
      const added = claiming("192.0.2.1", "192.0.2.2");
      expect(codes([one], added, { oldObject: claiming("192.0.2.1") })).toEqual(["FL720"]);
    });

    test("and by no other", () => {
      const expressions = [
        "!has(object.spec.externalIPs) || object.spec.externalIPs == []",
        "dyn(object).spec.externalIPs.size() == 0",
        "variables.claimed.size() == 0",
        "has(object.metadata.labels) && !has(object.metadata.labels.a)",
      ];
      const one = rule({
        variables: { claimed: "object.spec.?externalIPs.orValue([])" },
        validations: expressions,
      });
      const before = claiming("192.0.2.1");
      const labelled = { ...before, metadata: { ...before.metadata, labels: { a: "other", b: "c" } } };
      expect(codes([one], labelled, { oldObject: before })).toEqual(expressions.map(() => "FL725"));
    });

    test("nor is the violation of one validation that of another with the same message", () => {
      const one = rule({
        validations: [
          { expression: "object.spec.type != 'NodePort'", message },
          { expression: "object.spec.sessionAffinity != 'ClientIP'", message },
        ],
      });
      const before = { ...service(), spec: { type: "NodePort", sessionAffinity: "None" } };
      const after = { ...service(), spec: { type: "NodePort", sessionAffinity: "ClientIP" } };
      expect(codes([one], after, { oldObject: before })).toEqual(["FL720", "FL725"]);
    });
  });
});

describe("an exception", () => {
  const allowing = { ...TIMEOUT, exceptionsAllowed: true };
  const named = exception({ rules: ["timeout-bounded"] });
  const withLabels = service(undefined, { team: "iam" });
  const selecting = { objectNames: [], selector: [{ key: "team", operator: "In", values: ["iam"] }] } as const;

  test.each<readonly [what: string, Partial<CompiledException>, CompiledRule, boolean]>([
    ["lets the write pass", {}, allowing, true],
    ["does nothing where the rule does not allow it", {}, TIMEOUT, false],
    ["does nothing for another rule", { rules: ["other"] }, allowing, false],
    ["does nothing for another object", { objectNames: ["other"] }, allowing, false],
    ["does nothing in another namespace", { namespace: "shop" }, allowing, false],
    ["goes by labels", selecting, allowing, true],
    [
      "by labels that the object does not have",
      { ...selecting, selector: [{ key: "x", operator: "Exists", values: [] }] },
      allowing,
      false,
    ],
    ["holds until its last millisecond", { expiresAtMs: NOW_MS + 1 }, allowing, true],
    ["is over at its end", { expiresAtMs: NOW_MS }, allowing, false],
  ])("%s", (_what, change, ...[one, wanted]) => {
    const world = ruledWorld([ENFORCE], { rules: [one], exceptions: [{ ...named, ...change }] });
    const { allowed, rules: [result] = [] } = judgedBy(world, withLabels);
    expect([allowed, result?.outcome, result?.exception]).toEqual(
      wanted ? [true, "excepted", "for-now"] : [false, "violated", undefined],
    );
  });

  test("that ends within seven days warns; the one that lasts longest counts", () => {
    const soon = { ...named, expiresAtMs: NOW_MS + 7 * DAY_MS };
    const world = (...exceptions: CompiledException[]) => ruledWorld([ENFORCE], { rules: [allowing], exceptions });
    expect(judgedBy(world(soon), service()).warnings).toEqual([
      "FL726 rule timeout-bounded: only RuleException for-now lets this pass, which ends at 2026-12-03T12:00:00Z; meet the rule before then, or ask team-iam to renew it",
    ]);
    expect(judgedBy(world({ ...soon, expiresAtMs: soon.expiresAtMs + 1 }), service()).warnings).toEqual([]);
    expect(judgedBy(world(soon, named), service()).warnings).toEqual([]);
  });

  test("is not leant on by a write that violates nothing", () => {
    const fine = service({ "timeout.linkerd.io/request": "2s" });
    const soon = { ...named, expiresAtMs: NOW_MS + DAY_MS };
    expect(codes([allowing], fine, { exceptions: [soon] })).toEqual([]);
  });

  test("covers a rule that cannot be evaluated", () => {
    const broken = rule({ validations: ["object.nothing"], exceptionsAllowed: true });
    expect(codes([broken], service(), { exceptions: [exception()] })).toEqual([]);
  });
});

describe("the effect of a write", () => {
  test("on a Service, with the policy and revision that each setting comes from", () => {
    const asked = policy({ timeout: { request: "2s" }, retry: { maxAttempts: 2, statusCodes: ["5xx"] } });
    const api = new Cluster(ENFORCE, asked);
    api.write(service());
    const seen = rule({
      validations: [
        "effective.timeout == {'request': duration('2s'), 'policy': 'user-service', 'revision': object.metadata.labels['fairlead.dev/revision']}",
        "effective.retry.maxAttempts == 2 && effective.retry.statusCodes == ['500-599'] && effective.retry.policy == 'user-service'",
        "policies.all(p, p.revision == effective.timeout.revision)",
      ],
    });
    expect(codes([seen], api.object, { world: [asked] })).toEqual([]);
  });

  test("as a person's where one value of the group is", () => {
    const asked = policy({ timeout: { request: "2s", idle: "5s" } });
    const api = new Cluster(ENFORCE, asked);
    api.write(service({ "timeout.linkerd.io/idle": "9s" }));
    const seen = rule({
      validations: ["effective.timeout.request == duration('2s') && effective.timeout.policy == ''"],
    });
    expect(codes([seen], api.object, { world: [asked] })).toEqual([]);
  });

  test("in Istio as the policies say, since it keeps nothing on the Service", () => {
    const faults = { abort: { percent: 5, status: 503 }, delay: { percent: 10, duration: "250ms" } };
    const trafficSplit = {
      backends: [
        { name: "next", weight: 5, port: 80 },
        { name: "old", weight: 95 },
      ],
    };
    const asked = policy({ circuitBreaker: {}, faultInjection: faults, trafficSplit });
    const seen = rule({
      validations: [
        "mesh.name == 'Istio' && effective.circuitBreaker.policy == 'user-service' && effective.circuitBreaker.maxPenalty == duration('1m')",
        "effective.faultInjection.abort == {'percent': 5, 'status': 503} && effective.faultInjection.matches == []",
        "effective.faultInjection.delay == {'percent': 10, 'duration': duration('250ms')}",
        "effective.trafficSplit.backends == [{'name': 'next', 'weight': 5, 'port': 80}, {'name': 'old', 'weight': 95}] && effective.trafficSplit.matches == []",
      ],
    });
    const world = ruledWorld([ENFORCE, asked], { rules: [seen], defaults: { mesh: "Istio" } });
    expect(judgedBy(world, service()).findings).toEqual([]);
  });

  test("in audit mode as if it had been injected", () => {
    const asked = policy({ timeout: { request: "2s" } });
    const world = ruledWorld([namespace("audit"), asked], { rules: [TIMEOUT] });
    expect(judgedBy(world, service()).findings).toEqual([]);
  });

  test("on a route what it inherits, from whom the Service has it", () => {
    const asked = policy({ timeout: { request: "2s" } });
    const api = new Cluster(ENFORCE, asked);
    api.write(service());
    const route = {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "HTTPRoute",
      metadata: { name: "r", namespace: "iam" },
      spec: { parentRefs: [{ group: "", kind: "Service", name: "user-service", port: 8080 }] },
    };
    const seen = rule({
      match: { resourceRules: [resources({ apiGroups: ["gateway.networking.k8s.io"], resources: ["httproutes"] })] },
      validations: ["effective.timeout.request == duration('2s') && effective.timeout.policy == 'user-service'"],
    });
    expect(codes([seen], route, { world: [asked, api.object] })).toEqual([]);
  });
});

test("a write of the controller is told of and never refused: it only follows the policies", () => {
  const controllerUser = "system:serviceaccount:fairlead:fairlead-controller";
  const world = ruledWorld([ENFORCE], { rules: [TIMEOUT], defaults: { controllerUser } });
  const by = (username: string) =>
    decide({ ...requestOf("rules-fail", service()), attributes: { userInfo: { username } } }, world);
  expect(by(controllerUser)).toMatchObject({ allowed: true, message: "", findings: [{ code: "FL720" }] });
  expect(by("somebody").allowed).toBe(false);
});

describe("a write of a policy is judged by its effect on its targets", () => {
  const TWO = policy({ timeout: { request: "2s" } });
  const FORTY = policy({ timeout: { request: "40s" } });
  const MANY = policy({ timeout: { request: "40s" }, retry: { maxAttempts: 5, statusCodes: ["5xx"] } });

  test("and denied with the target and the rule", () => {
    const fine = service({ "timeout.linkerd.io/request": "2s" });
    const world = ruledWorld([ENFORCE, service()], { rules: [TIMEOUT, RETRIES] });
    expect(judgedBy(world, MANY).message).toBe(
      [
        "ResiliencePolicy iam/user-service cannot be accepted, 2 problems:",
        "- spec.targetRefs[0]: Service iam/user-service: rule retries: failed expression: !has(effective.retry) || effective.retry.maxAttempts <= 3; found effective.retry.maxAttempts = 5 (FL727)",
        "  fix: see kubectl get admissionrule retries -o yaml for what is wanted",
        "- spec.targetRefs[0]: Service iam/user-service: rule timeout-bounded: a request timeout of at most 30s is wanted; found effective.timeout.request = 40s (FL727)",
        "  fix: set timeout.request in a ResiliencePolicy",
      ].join("\n"),
    );
    expect(
      codes([TIMEOUT], policy({ timeout: { request: "40s" }, conflictResolution: "Override" }), { world: [fine] }),
    ).toEqual(["FL727"]);
  });

  test("only for what is not so today", () => {
    const more = policy({ timeout: { request: "40s" }, retry: { maxAttempts: 2, statusCodes: ["5xx"] } });
    expect(codes([TIMEOUT], more, { world: [service(), FORTY], oldObject: FORTY })).toEqual([]);
    const sixty = policy({ timeout: { request: "60s" } });
    expect(codes([TIMEOUT], sixty, { world: [service(), FORTY], oldObject: FORTY })).toEqual(["FL727"]);
    expect(codes([TIMEOUT], FORTY, { world: [service()] })).toEqual(["FL727"]);
    expect(codes([TIMEOUT], FORTY, { world: [service(), TWO], oldObject: TWO })).toEqual(["FL727"]);
  });

  test("by the settings that it takes away from those it was aimed at", () => {
    const api = new Cluster(ENFORCE, TWO);
    api.write(service());
    const elsewhere = {
      ...TWO,
      spec: { targetRefs: [{ kind: "Service", name: "other" }], timeout: { request: "2s" } },
    };
    const found = codes([TIMEOUT], elsewhere, { oldObject: TWO, world: [TWO, api.object] });
    expect(found).toEqual(["FL727"]);
    expect(codes([TIMEOUT], TWO, { oldObject: TWO, world: [TWO, api.object] })).toEqual([]);
  });

  test("as written by whoever writes the policy", () => {
    const unlessAdmin = rule({
      conditions: ["request.userInfo.username != 'admin'"],
      validations: ["!has(effective.retry)"],
    });
    const world = ruledWorld([ENFORCE, service()], { rules: [unlessAdmin] });
    const by = (username: string) =>
      decide({ ...requestOf("rules-fail", MANY), attributes: { userInfo: { username } } }, world).allowed;
    expect([by("admin"), by("somebody")]).toEqual([true, false]);
  });

  test("with the exceptions of the target", () => {
    const allowing = { ...RETRIES, exceptionsAllowed: true };
    const exceptions = [exception({ rules: ["retries"] })];
    expect(codes([allowing], MANY, { world: [service()], exceptions })).toEqual([]);
    expect(codes([allowing], MANY, { world: [service()] })).toEqual(["FL727"]);
  });

  test("and by the failure policy where a rule cannot be evaluated on a target, also not today", () => {
    const broken = { validations: ["object.spec.nothing == (has(effective.retry) ? 1 : 2)"] };
    expect(codes([rule(broken)], MANY, { world: [service()] })).toEqual(["FL723"]);
    const ignored = ruledWorld([ENFORCE, service()], { rules: [rule({ ...broken, failurePolicy: "Ignore" })] });
    expect(judgedBy(ignored, MANY, { phase: "rules-ignore" })).toMatchObject({
      allowed: true,
      findings: [{ code: "FL724" }],
    });
  });

  test("not by rules that read nothing of the effect, and not where it does not compile", () => {
    const byType = rule({ validations: ["object.spec.type == 'ClusterIP'"] });
    expect(codes([byType], MANY, { world: [service()] })).toEqual([]);
    const bad = { ...MANY, spec: { ...(MANY.spec as object), retry: { maxAttempts: 2n ** 60n } } };
    expect(codes([RETRIES], bad, { world: [service()] })).toEqual([]);
  });

  test("beside the rules for policies themselves", () => {
    const match = { resourceRules: [resources({ apiGroups: ["fairlead.dev"], resources: ["resiliencepolicies"] })] };
    const noFaults = rule({ name: "named", match, validations: ["object.metadata.name.startsWith('shop-')"] });
    expect(codes([noFaults, RETRIES], MANY, { world: [service()] })).toEqual(["FL720", "FL727"]);
  });

  test("within the budget of the request; what is beyond is left to the audit", () => {
    const services = Array.from({ length: 50 }, (_, index) => ({
      ...service(),
      metadata: { ...service().metadata, name: `s${index}`, labels: { team: "iam" } },
    }));
    const selecting = policy({
      targetSelector: { matchLabels: { team: "iam" } },
      retry: { maxAttempts: 5, statusCodes: ["5xx"] },
    });
    const found = (request: number) => {
      const defaults = { ruleLimits: { expression: 100, rule: 100, request } };
      return judgedBy(ruledWorld([ENFORCE, ...services], { rules: [RETRIES], defaults }), selecting).findings.length;
    };
    expect(found(1_000_000)).toBe(50);
    expect(found(100)).toBeLessThan(15);
    expect(found(100)).toBeGreaterThan(0);
  });
});
