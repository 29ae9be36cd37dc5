import { describe, expect, test } from "vitest";
import { decide } from "../../src/core/admission/decide.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { SERVE_LIMITS } from "../../src/core/rules/limits.ts";
import type { RuleAction } from "../../src/core/rules/rule.ts";
import { judgedBy, resources, rule, ruledWorld, type RuleText } from "./rule-support.ts";
import { namespace, policy, requestOf, service, worldOf } from "./worlds.ts";

const ENFORCE = namespace("enforce");
const LABELLED = service(undefined, { team: "iam" });

function verdict(texts: readonly RuleText[], object: KubernetesObject, mode = "enforce") {
  return judgedBy(ruledWorld([namespace(mode)], { rules: texts.map(rule) }), object);
}

function codes(texts: readonly RuleText[], object: KubernetesObject): readonly string[] {
  return verdict(texts, object).findings.map(({ code }) => code);
}

describe("a violated rule", () => {
  test("denies with its name, message, what it has read and what to do; all of them at once", () => {
    const rules: readonly RuleText[] = [
      {
        name: "ports-named",
        validations: [
          {
            expression: "object.spec.ports.all(p, has(p.name))",
            message: "every port needs a name",
            fix: "name the ports",
          },
        ],
      },
      { name: "type", validations: ["object.spec.type == 'ClusterIP'"], exceptionsAllowed: true },
      { name: "fine", validations: ["true"] },
    ];
    const loadBalancer = { ...service(), spec: { type: "LoadBalancer", ports: [{ port: 8080 }] } };
    expect(verdict(rules, loadBalancer)).toMatchObject({
      allowed: false,
      reason: "Invalid",
      mode: "enforce",
      warnings: [],
      message: [
        "Service iam/user-service cannot be accepted, 2 problems:",
        "- spec.ports: rule ports-named: every port needs a name; found object.spec.ports = [{port: 8080}] (FL720)",
        "  fix: name the ports",
        "- spec.type: rule type: failed expression: object.spec.type == 'ClusterIP'; found object.spec.type = \"LoadBalancer\" (FL720)",
        "  fix: see kubectl get admissionrule type -o yaml for what is wanted, or ask for a RuleException",
      ].join("\n"),
    });
  });

  test.each([
    ["the first reason that denies counts", ["Unauthorized", "Forbidden"], "Unauthorized"],
    ["Invalid where none is given", [undefined, "Forbidden"], "Invalid"],
  ] as const)("%s", (_what, reasons, wanted) => {
    const validations = reasons.map((reason) => ({ expression: "false", ...(reason && { reason }) }));
    expect(verdict([{ validations }], service()).reason).toBe(wanted);
  });

  test("message falls back as in a ValidatingAdmissionPolicy", () => {
    const messageOf = (messageExpression: string, message?: string) =>
      verdict([{ validations: [{ expression: "false", messageExpression, ...(message && { message }) }] }], service())
        .findings[0]?.message;
    expect(messageOf("'  by ' + object.metadata.name", "static")).toBe("rule a-rule: by user-service");
    expect(messageOf("object.nothing", "static")).toBe("rule a-rule: static");
    expect(messageOf("'  '", " static ")).toBe("rule a-rule: static");
    expect(messageOf("'a\\nb'", "static")).toBe("rule a-rule: static");
    expect(messageOf("1", "static")).toBe("rule a-rule: static");
    const long = service({ long: "é".repeat(2_561) });
    const messageExpression = "object.metadata.annotations.long";
    expect(
      verdict([{ validations: [{ expression: "false", messageExpression, message: "static" }] }], long),
    ).toMatchObject({ findings: [{ message: "rule a-rule: static" }] });
    expect(messageOf("null")).toBe("rule a-rule: failed expression: false");
  });

  test.each<readonly [mode: string, readonly RuleAction[], code: string, allowed: boolean, warnings: number]>([
    ["enforce", ["Deny"], "FL720", false, 0],
    ["enforce", ["Warn"], "FL721", true, 1],
    ["enforce", ["Audit"], "FL722", true, 0],
    ["enforce", ["Deny", "Audit"], "FL720", false, 0],
    ["enforce", ["Warn", "Audit"], "FL721", true, 1],
    ["warn", ["Deny"], "FL720", true, 1],
    ["warn", ["Audit"], "FL722", true, 0],
    ["audit", ["Deny"], "FL720", true, 0],
    ["audit", ["Warn"], "FL721", true, 0],
  ])("in mode %s with the actions %j: %s, allowed %s, %i warnings", (mode, actions, ...[code, allowed, warnings]) => {
    const found = verdict(
      [{ validations: ["false"], actions, annotations: { of: "object.metadata.name" } }],
      service(),
      mode,
    );
    expect(found).toMatchObject({ allowed, mode, findings: [{ code }] });
    expect(found.warnings).toHaveLength(warnings);
    const isRecorded = mode === "audit" || actions.includes("Audit");
    expect(found.auditAnnotations).toEqual({
      "a-rule.of": "user-service",
      ...(isRecorded && { "a-rule.validation_failure": "failed expression: false" }),
    });
  });
});

describe("an expression that cannot be evaluated is never no match", () => {
  const broken = "object.spec.nothing == 1";
  const said = `expression '${broken}' resulted in error: no such key: nothing`;
  const places: readonly (readonly [string, RuleText, string])[] = [
    ["validation", { validations: [broken] }, said],
    [
      "match condition",
      { conditions: [broken], validations: ["true"] },
      "matchCondition c0 resulted in error: no such key: nothing",
    ],
    [
      "variable",
      { variables: { v: broken }, validations: ["variables.v"] },
      `expression 'variables.v' resulted in error: composited variable "v" fails to evaluate: no such key: nothing`,
    ],
    ["audit annotation", { validations: ["true"], annotations: { k: broken } }, `auditAnnotation k: ${said}`],
    [
      "audit annotation that is no text",
      { validations: ["true"], annotations: { k: "1" } },
      "auditAnnotation k: found a value that is neither text nor null",
    ],
    [
      "missing parameters",
      { params: { kind: "configMap", name: "limits" }, validations: ["true"] },
      "params: ConfigMap limits does not exist in Fairlead's namespace",
    ],
  ];

  test.each(places)("%s: Fail refuses with the name of the rule", (_what, text, error) => {
    const { allowed, findings } = verdict([text], service());
    expect(allowed).toBe(false);
    expect(findings).toEqual([
      {
        code: "FL723",
        severity: "deny",
        path: "",
        message: `rule a-rule cannot be evaluated: ${error}`,
        fix: "correct the rule: kubectl edit admissionrule a-rule",
      },
    ]);
  });

  test.each(places)("%s: Ignore warns", (_what, text) => {
    const world = ruledWorld([ENFORCE], { rules: [rule({ ...text, failurePolicy: "Ignore" })] });
    const { allowed, findings, warnings } = judgedBy(world, service(), { phase: "rules-ignore" });
    expect([allowed, findings.map(({ code }) => code), warnings.length]).toEqual([true, ["FL724"], 1]);
  });

  test("a namespace that nobody knows cannot be selected", () => {
    const match = { namespaceSelector: [{ key: "tier", operator: "In", values: ["prod"] }] } as const;
    const known = ruledWorld([], { rules: [rule({ match, validations: ["true"] })] });
    const world = Object.assign(known, { namespace: () => undefined });
    expect(judgedBy(world, service()).findings.map(({ code }) => code)).toEqual(["FL723"]);
  });

  test("a budget that is spent is an error of the rule, and of those that find nothing left", () => {
    const long = "object.spec.ports.all(a, object.spec.ports.all(b, object.spec.ports.all(c, true)))";
    const ports = Array.from({ length: 100 }, (_, index) => ({ port: index + 1 }));
    const rules = ["a", "b"].map((name) => rule({ name, validations: [long, "true"] }));
    const ruleLimits = { expression: 5_000, rule: 5_000, request: 6_000 };
    const world = ruledWorld([ENFORCE], { rules, defaults: { ruleLimits } });
    const { findings, rules: results = [] } = judgedBy(world, { ...service(), spec: { ports } });
    const spent = `expression '${long}' resulted in error: operation cancelled: actual cost limit exceeded`;
    expect(findings.map(({ message }) => message)).toEqual(
      ["a", "b"].map((name) => `rule ${name} cannot be evaluated: ${spent}`),
    );
    expect(results.map(({ outcome }) => outcome)).toEqual(["error", "error"]);
    expect(results.reduce((sum, { cost }) => sum + cost, 0)).toBeLessThan(6_100);
  });
});

describe("which rules are asked", () => {
  const denies: RuleText = { validations: ["false"] };
  const asked = (text: Partial<RuleText>, object: KubernetesObject = LABELLED): boolean =>
    codes([{ ...denies, ...text }], object).length > 0;
  const team = (operator: "In" | "NotIn" | "Exists" | "DoesNotExist", ...values: readonly string[]) => ({
    match: { objectSelector: [{ key: "team", operator, values }] },
  });

  test.each<readonly [what: string, Partial<RuleText>, boolean]>([
    ["its resource", {}, true],
    ["another resource", { match: { resourceRules: [resources({ resources: ["pods"] })] } }, false],
    ["another group", { match: { resourceRules: [resources({ apiGroups: ["apps"] })] } }, false],
    ["every group", { match: { resourceRules: [resources({ apiGroups: ["*"] })] } }, true],
    ["every resource", { match: { resourceRules: [resources({ resources: ["*"] })] } }, true],
    ["every resource and subresource", { match: { resourceRules: [resources({ resources: ["*/*"] })] } }, true],
    ["another operation", { match: { resourceRules: [resources({ operations: ["UPDATE"] })] } }, false],
    ["every operation", { match: { resourceRules: [resources({ operations: ["*"] })] } }, true],
    ["its name", { match: { resourceRules: [resources({ resourceNames: ["user-service"] })] } }, true],
    ["another name", { match: { resourceRules: [resources({ resourceNames: ["other"] })] } }, false],
    ["excluded", { match: { excludeResourceRules: [resources()] } }, false],
    ["excluded by another name", { match: { excludeResourceRules: [resources({ resourceNames: ["x"] })] } }, true],
    ["a label that it has", team("In", "iam", "shop"), true],
    ["a label of another value", team("In", "shop"), false],
    ["a label that is not to have this value", team("NotIn", "iam"), false],
    ["a label that may have any value", team("Exists"), true],
    ["a label that must not be there", team("DoesNotExist"), false],
    ["a condition that holds", { conditions: ["object.metadata.labels.team == 'iam'"] }, true],
    ["a condition that is false beside one that fails", { conditions: ["object.spec.nothing == 1", "false"] }, false],
    [
      "a namespace by its name",
      { match: { namespaceSelector: [{ key: "kubernetes.io/metadata.name", operator: "In", values: ["iam"] }] } },
      true,
    ],
    [
      "a namespace by its label",
      { match: { namespaceSelector: [{ key: "fairlead.dev/mode", operator: "Exists", values: [] }] } },
      true,
    ],
    ["another namespace", { match: { namespaceSelector: [{ key: "tier", operator: "Exists", values: [] }] } }, false],
  ])("%s", (_what, text, wanted) => {
    expect(asked(text)).toBe(wanted);
  });

  test("by the labels of the old object too, so that taking one off does not take the rule off", () => {
    const world = ruledWorld([ENFORCE], {
      rules: [rule({ ...denies, ...team("In", "iam"), existingViolations: "Deny" })],
    });
    expect(judgedBy(world, service(), { oldObject: LABELLED }).allowed).toBe(false);
    expect(judgedBy(world, service(), { oldObject: service() }).allowed).toBe(true);
  });

  test("none in a namespace without a mode, none in an excluded one", () => {
    const rules = [rule(denies)];
    expect(judgedBy(ruledWorld([namespace(undefined)], { rules }), service()).findings).toEqual([]);
    const excluded = ruledWorld([ENFORCE], { rules, defaults: { excludedNamespaces: new Set(["iam"]) } });
    expect(judgedBy(excluded, service()).findings).toEqual([]);
  });

  test("those of the failure policy of the door, and none by the other doors", () => {
    const rules = [rule({ ...denies, name: "f" }), rule({ ...denies, name: "i", failurePolicy: "Ignore" })];
    const world = ruledWorld([ENFORCE], { rules });
    const names = (phase: "rules-fail" | "rules-ignore") =>
      judgedBy(world, service(), { phase }).rules?.map((one) => one.rule);
    expect([names("rules-fail"), names("rules-ignore")]).toEqual([["f"], ["i"]]);
  });

  test("none of an object in no namespace, none of a part of an object", () => {
    const world = ruledWorld([ENFORCE], { rules: [rule(denies)] });
    const request = requestOf("rules-fail", service());
    expect(decide(request, world).allowed).toBe(false);
    expect(decide({ ...request, namespace: "" }, world).allowed).toBe(true);
    expect(decide({ ...request, attributes: { subResource: "status" } }, world).allowed).toBe(true);
  });

  test("none of an object on its way out", () => {
    const metadata = { ...service().metadata, deletionTimestamp: "2026-11-26T12:00:00Z" };
    expect(codes([denies], { ...service(), metadata })).toEqual([]);
  });
});

describe("what rules see", () => {
  const sees = (
    expression: string,
    object: KubernetesObject = service(),
    ...world: readonly KubernetesObject[]
  ): boolean => {
    const { allowed, findings } = judgedBy(
      ruledWorld([ENFORCE, ...world], { rules: [rule({ validations: [expression] })] }),
      object,
    );
    expect(findings.filter(({ code }) => code === "FL723")).toEqual([]);
    return allowed;
  };
  const TIMEOUT = policy({ timeout: { request: "2s" } });

  test("the object, no old object on CREATE, the request, the namespace", () => {
    expect(sees("object.spec.ports[0].port == 8080 && oldObject == null")).toBe(true);
    expect(
      sees(
        "request.operation == 'CREATE' && request.kind.kind == 'Service' && request.resource.resource == 'services'",
      ),
    ).toBe(true);
    expect(sees("namespaceObject.metadata.labels['fairlead.dev/mode'] == 'enforce'")).toBe(true);
    expect(sees("params == null && variables == {}")).toBe(true);
  });

  test("the settings that a person wrote, from nobody", () => {
    const object = service({ "timeout.linkerd.io/request": "2s" });
    expect(sees("effective.timeout.request == duration('2s')", object)).toBe(true);
    expect(sees("effective.timeout.policy == '' && effective.timeout.revision == ''", object, TIMEOUT)).toBe(true);
    expect(sees("has(effective.retry) || has(effective.circuitBreaker)", object)).toBe(false);
  });

  test("the mesh, and the policies that are aimed at it with the sections that each decides", () => {
    expect(sees("mesh.name == 'Linkerd' && mesh.version == '2.20'")).toBe(true);
    const other = policy(
      { targetSelector: { matchLabels: { team: "iam" } }, timeout: { idle: "5s" }, circuitBreaker: {} },
      { name: "other" },
    );
    expect(
      sees(
        "policies.map(p, p.name + ':' + p.sections.join(',')) == ['other:circuitBreaker', 'user-service:timeout']",
        LABELLED,
        TIMEOUT,
        other,
      ),
    ).toBe(true);
    expect(sees("policies.exists(p, p.spec.timeout.?request.orValue('') == '2s')", LABELLED, TIMEOUT)).toBe(true);
  });

  test("parameters, written in the rule or in a ConfigMap", () => {
    const inline = rule({ params: { kind: "inline", values: { most: 3 } }, validations: ["params.most == 3"] });
    const byMap = rule({ params: { kind: "configMap", name: "limits" }, validations: ["params.data.most == '3'"] });
    const limits = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "limits" }, data: { most: "3" } };
    const world = ruledWorld([ENFORCE], { rules: [inline, byMap, inline], configMaps: [limits] });
    expect(judgedBy(world, service()).rules?.map(({ outcome }) => outcome)).toEqual(["passed", "passed", "passed"]);
  });

  test("variables, each evaluated at most once and only when read", () => {
    const variables = { count: "object.spec.ports.size()", twice: "variables.count * 2", broken: "object.nothing" };
    const text: RuleText = {
      variables,
      validations: ["variables.twice == 2", "variables.count + variables.twice == 3"],
    };
    const { findings, rules = [] } = verdict([text], service());
    expect(findings).toEqual([]);
    const once = verdict([{ variables, validations: ["variables.twice == 2"] }], service()).rules?.[0]?.cost ?? 0;
    expect((rules[0]?.cost ?? 0) - once).toBeLessThan(once + 5);
  });

  test("no values of a Secret, which its writer may not be allowed to read", () => {
    const secret = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "s", namespace: "iam" },
      data: { key: "dG9w" },
    };
    const match = { resourceRules: [resources({ resources: ["secrets"] })] };
    expect(verdict([{ match, validations: ["object.data.key == ''"] }], secret).message).not.toContain("dG9w");
  });
});

test("no rule costs nothing: the verdict is the one constant", () => {
  const verdictWithout = judgedBy(worldOf([ENFORCE]), service());
  expect(verdictWithout.rules).toBeUndefined();
});

describe("bad input", () => {
  const outcomes = (validation: string, object: KubernetesObject = service()) => {
    const world = ruledWorld([ENFORCE], {
      rules: [rule({ validations: [validation] })],
      defaults: { ruleLimits: SERVE_LIMITS },
    });
    return judgedBy(world, object).rules?.map(({ outcome, cost }) => [outcome, cost <= SERVE_LIMITS.rule * 1.1]);
  };
  const many = {
    ...service(),
    spec: { ports: Array.from({ length: 1_000 }, (_, index) => ({ port: index + 1, name: null })) },
  };

  test.each([
    [
      "a loop in a loop in a loop",
      "object.spec.ports.all(a, object.spec.ports.all(b, object.spec.ports.all(c, true)))",
    ],
    [
      "a list of lists of lists",
      "object.spec.ports.map(a, object.spec.ports.map(b, object.spec.ports.map(c, c))).size() > 0",
    ],
  ])("%s is cut off, and an error", (_what, expression) => {
    expect(outcomes(expression, many)).toEqual([["error", true]]);
  });

  test.each([
    ["a field of the prototype", "object.constructor == 1", "error"],
    ["__proto__", "object.__proto__ == 1", "error"],
    ["a key of the prototype", "!('toString' in object)", "passed"],
    ["a field that is null", "object.spec.ports.all(p, p.name == null)", "passed"],
    ["a field of nothing", "object.spec.ports[0].name.first == 1", "error"],
  ])("%s", (_what, expression, outcome) => {
    expect(outcomes(expression, many)).toEqual([[outcome, true]]);
  });

  test("an integer beyond 2^53 is exact", () => {
    const big = { ...service(), spec: { big: 2n ** 53n + 1n } };
    expect(outcomes("object.spec.big == 9007199254740993", big)).toEqual([["passed", true]]);
  });

  test("the values of a large object are cut", () => {
    const { message } = judgedBy(
      ruledWorld([ENFORCE], { rules: [rule({ validations: ["object.spec.ports.size() < 5"] })] }),
      many,
    );
    expect(message.length).toBeLessThan(400);
    expect(message).toContain("found object.spec.ports = [{port: 1, name: null}, ");
  });
});

test("a key of the audit log is one that the API server takes", () => {
  const name = `${"long.".repeat(20)}rule`;
  const said = verdict([{ name, validations: ["true"], annotations: { why: "'because'" } }], service());
  const [key = ""] = Object.keys(said.auditAnnotations ?? {});
  expect(key).toMatch(/^(?:long\.)+(?:l|lo|lon|long)?\.?why$/);
  expect(key.length).toBeLessThanOrEqual(63);
});
