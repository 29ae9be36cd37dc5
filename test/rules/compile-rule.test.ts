import { describe, expect, test } from "vitest";
import { denialText } from "../../src/core/admission/text.ts";
import { compileRule, compileStoredRule } from "../../src/core/rules/compile-rule.ts";
import { manyRules, TYPICAL_RULES } from "../bench/typical-rules.ts";
import { compileOne, matching, OPTIONS, ruleObject, texts } from "./rule-objects.ts";

describe("a rule compiles that reads", () => {
  test.each<readonly [string, string, object]>([
    ["the object", "object.spec.ports.all(p, has(p.name))", {}],
    ["the object before", "oldObject == null || object.spec.type == oldObject.spec.type", {}],
    ["the request", "request.operation == 'CREATE' && !('system:masters' in request.userInfo.groups)", {}],
    ["its namespace", "namespaceObject.metadata.labels['env'] == 'production'", {}],
    ["what will be in force", "has(effective.timeout) && effective.timeout.request <= duration('30s')", {}],
    ["the policies behind it", "policies.all(p, 'retry' in p.sections && p.spec.retry.maxAttempts < 3)", {}],
    ["the mesh", "mesh.name == 'Linkerd'", {}],
    ["params in the rule", "object.spec.ports.size() <= params.most", { params: { most: 3 } }],
    ["params by a key", "params.limits[request.namespace] > 1", { params: { limits: { a: 1, b: 2 } } }],
    ["params in a list", "params.names.all(n, n != object.metadata.name)", { params: { names: ["a", "b"] } }],
    ["params of mixed types", "params.values.all(v, v != object.metadata.name)", { params: { values: ["a", 1] } }],
    ["params in a ConfigMap", "object.metadata.name in params.data", { paramRef: { name: "limits" } }],
    ["earlier variables", "variables.b > 1", { variables: variables({ a: "1", b: "variables.a + 1" }) }],
    [
      "the time of its creation",
      "timestamp(object.metadata.creationTimestamp) > timestamp('2026-01-01T00:00:00Z')",
      {},
    ],
  ])("%s", (_, expression, spec) => {
    const { rule, findings } = compileOne(expression, spec);
    expect(findings).toEqual([]);
    expect(rule?.validations.map(({ program }) => program.text)).toEqual([expression]);
  });
});

test.each(manyRules(Object.keys(TYPICAL_RULES).length))("the benchmark's $metadata.name is accepted", (object) => {
  expect(compileRule(object, OPTIONS).findings).toEqual([]);
});

function variables(expressions: Readonly<Record<string, string>>): readonly object[] {
  return Object.entries(expressions).map(([name, expression]) => ({ name, expression }));
}

const EXPRESSION = "spec.validations[0].expression";
const CORRECT = "correct the expression; fairlead eval -e tries one out";

describe("a rule is refused for", () => {
  test.each<readonly [string, { readonly expression: string; readonly spec?: object }, string]>([
    [
      "a misspelt field",
      { expression: "object.spec.prots.size() > 0" },
      `FL702 ${EXPRESSION}: Line 1, column 12: undefined field 'prots'; did you mean ports?`,
    ],
    [
      "a misspelt field in has()",
      { expression: "!has(object.spec.externalIP)" },
      `FL702 ${EXPRESSION}: Line 1, column 5: undefined field 'externalIP'; did you mean externalIPs?`,
    ],
    [
      "a misspelt optional field",
      { expression: "object.spec.?typo.hasValue()" },
      `FL702 ${EXPRESSION}: Line 1, column 12: undefined field 'typo'; did you mean type?`,
    ],
    [
      "a misspelt variable",
      { expression: "has(efective.retry)" },
      `FL702 ${EXPRESSION}: Line 1, column 5: undeclared reference to 'efective' (in container ''); did you mean effective?`,
    ],
    [
      "a section that does not exist",
      { expression: "has(effective.retries)" },
      `FL702 ${EXPRESSION}: Line 1, column 4: undefined field 'retries'; did you mean retry?`,
    ],
    [
      "a wrong type",
      { expression: "object.spec.ports.all(p, p.port > 'a')" },
      `FL702 ${EXPRESSION}: Line 1, column 33: found no matching overload for '_>_' applied to '(int, string)'; ${CORRECT}`,
    ],
    [
      "a regular expression that is none",
      { expression: "object.metadata.name.matches('[')" },
      `FL702 ${EXPRESSION}: Line 1, column 30: invalid matches argument; ${CORRECT}`,
    ],
    [
      "a duration that is none",
      { expression: "effective.timeout.request < duration('30')" },
      `FL702 ${EXPRESSION}: Line 1, column 38: invalid duration argument; ${CORRECT}`,
    ],
    [
      "a syntax error on a later line",
      { expression: "true &&\n  &", spec: { validations: [{ expression: "true &&\n  &", message: "m" }] } },
      `FL702 ${EXPRESSION}: Line 2, column 3: Syntax error: token recognition error at: '&'; ${CORRECT}`,
    ],
    [
      "a validation that is no condition",
      { expression: "object.spec.type" },
      `FL703 ${EXPRESSION}: Found an expression of type string, wanted bool; write a condition`,
    ],
    [
      "a validation of unknown type",
      { expression: "object.spec.ports[0].targetPort" },
      `FL703 ${EXPRESSION}: Found an expression of type dyn, wanted bool; compare the value, for example == true`,
    ],
    [
      "params that it does not have",
      { expression: "params.most > 1" },
      `FL702 ${EXPRESSION}: Line 1, column 1: undeclared reference to 'params' (in container ''); ${CORRECT}`,
    ],
    [
      "a misspelt param",
      { expression: "params.mots > 1", spec: { params: { most: 1 } } },
      `FL702 ${EXPRESSION}: Line 1, column 7: undefined field 'mots'; did you mean most?`,
    ],
    [
      "a later variable in an earlier one",
      { expression: "true", spec: { variables: variables({ first: "variables.second", second: "1" }) } },
      `FL702 spec.variables[0].expression: Line 1, column 10: undefined field 'second'; ${CORRECT}`,
    ],
    [
      "variables in a condition",
      {
        expression: "true",
        spec: {
          variables: variables({ a: "true" }),
          matchConditions: [{ name: "a", expression: "variables.a" }],
        },
      },
      `FL702 spec.matchConditions[0].expression: Line 1, column 1: undeclared reference to 'variables' (in container ''); ${CORRECT}`,
    ],
    [
      "a message that is no text",
      {
        expression: "true",
        spec: { validations: [{ expression: "true", messageExpression: "object.spec.ports.size()" }] },
      },
      "FL703 spec.validations[0].messageExpression: Found an expression of type int, wanted string; convert it with string(...)",
    ],
    [
      "an annotation that is no text",
      {
        expression: "true",
        spec: { auditAnnotations: [{ key: "ports", valueExpression: "object.spec.ports.size()" }] },
      },
      "FL703 spec.auditAnnotations[0].valueExpression: Found an expression of type int, wanted string or null; convert it with string(...)",
    ],
    [
      "what Kubernetes warns of when it checks a policy",
      { expression: "object.metadata.creationTimestamp.startsWith('2')" },
      `FL702 ${EXPRESSION}: Line 1, column 45: found no matching overload for 'startsWith' applied to 'timestamp.(string)'; ${CORRECT}`,
    ],
    [
      "lists within lists",
      { expression: "object.spec.ports.all(a, object.spec.ports.all(b, object.spec.ports.all(c, a == b || b == c)))" },
      "FL704 spec: Found expressions that may cost up to 27,070,704 units together, wanted at most 80,000; " +
        "walk over lists one after the other, not within each other, or narrow the rule in matchConditions",
    ],
  ])("%s", (_, { expression, spec }, text) => {
    const compiled = compileOne(expression, spec);
    expect(compiled.rule).toBeUndefined();
    expect(texts(compiled)).toEqual([text]);
  });

  test("loops over params as long as they are", () => {
    const loops = "object.metadata.?annotations.orValue({}).all(key, !params.all.exists(part, key.startsWith(part)))";
    const cost = (all: readonly string[]): string => texts(compileOne(loops, { params: { all } })).join("\n");
    expect(cost(["a", "bc"])).toBe("");
    expect(cost(Array.from({ length: 200 }, (_, index) => `part-${index}`))).toMatch(/^FL704 /);
  });

  test("a variable that does not compile, once", () => {
    const compiled = compileOne("variables.a > 1", { variables: variables({ a: "object.sepc", b: "variables.a" }) });
    expect(texts(compiled)).toEqual([
      "FL702 spec.variables[0].expression: Line 1, column 7: undefined field 'sepc'; did you mean spec?",
    ]);
  });

  test("authorizer, which would ask the cluster", () => {
    const compiled = compileOne("authorizer.group('').resource('x').check('y').allowed()");
    expect(texts(compiled).join("\n")).toContain(
      "FL709 spec.validations[0].expression: Line 1, column 1: authorizer is not available: rules are evaluated without a network call",
    );
  });

  test("all problems of all expressions at once, each with its line and a caret", () => {
    const { findings } = compileOne("", {
      validations: [
        { expression: "object.spec.a == 1", messageExpression: "object.spec.b" },
        { expression: "object.spec.c ==\n  object.spec.d", message: "differs" },
      ],
    });
    expect(denialText("AdmissionRule x", findings)).toBe(
      [
        "AdmissionRule x cannot be accepted, 4 problems:",
        "- spec.validations[0].expression: Line 1, column 12: undefined field 'a' (FL702)",
        "   | object.spec.a == 1",
        "   | ...........^",
        `  fix: ${CORRECT}`,
        "- spec.validations[0].messageExpression: Line 1, column 12: undefined field 'b' (FL702)",
        "   | object.spec.b",
        "   | ...........^",
        `  fix: ${CORRECT}`,
        "- spec.validations[1].expression: Line 1, column 12: undefined field 'c' (FL702)",
        "   | object.spec.c ==",
        "   | ...........^",
        `  fix: ${CORRECT}`,
        "- spec.validations[1].expression: Line 2, column 14: undefined field 'd' (FL702)",
        "   |   object.spec.d",
        "   | .............^",
        `  fix: ${CORRECT}`,
      ].join("\n"),
    );
  });
});

describe("of several kinds", () => {
  const both = { matchConstraints: { resourceRules: [...rulesOf("services"), ...rulesOf("httproutes", GATEWAY)] } };

  test("each is checked, and a problem names the kind that has it", () => {
    expect(texts(compileOne("object.spec.type == 'a' && object.spec.typo == 'b'", both))).toEqual([
      `FL702 ${EXPRESSION}: Line 1, column 12: undefined field 'type', where object is an HTTPRoute; write one of hostnames, parentRefs, rules`,
      `FL702 ${EXPRESSION}: Line 1, column 39: undefined field 'typo'; did you mean type?`,
    ]);
  });

  test("what both have may be read", () => {
    expect(compileOne("object.metadata.name.size() < 20 && effective.?retry.hasValue()", both).findings).toEqual([]);
  });

  test("groups and resources that stand together are not all combined", () => {
    const crossed = {
      apiGroups: ["", GATEWAY],
      apiVersions: ["*"],
      operations: ["*"],
      resources: ["services", "httproutes"],
    };
    const compiled = compileOne("object.metadata.name != ''", { matchConstraints: { resourceRules: [crossed] } });
    expect(compiled.findings).toEqual([]);
  });
});

const GATEWAY = "gateway.networking.k8s.io";

function rulesOf(resource: string, group = ""): readonly object[] {
  return (matching(resource, group) as { readonly resourceRules: readonly object[] }).resourceRules;
}

describe("a kind", () => {
  const pods = { matchConstraints: matching("pods") };

  test("that is not known is not checked, with a warning", () => {
    const compiled = compileOne("object.spec.anything == 1", pods);
    expect(compiled.rule).toBeDefined();
    expect(texts(compiled)).toEqual([
      'FL706 spec.matchConstraints.resourceRules[0].resources[0]: Found "pods", whose fields are not known here, so object is not checked; ' +
        "try the rule on an object: fairlead review, or fairlead test",
    ]);
  });

  test("that the API server knows is checked", () => {
    const kinds = { ruleKind: () => ({ kind: "Pod", namespaced: true, shape: { spec: { nodeName: "string" } } }) };
    expect(texts(compileOne("object.spec.nodName == 'a'", pods, { kinds }))).toEqual([
      `FL702 ${EXPRESSION}: Line 1, column 12: undefined field 'nodName'; did you mean nodeName?`,
    ]);
  });

  test.each<readonly [string, string, string]>([
    ["nodes", "", "it belongs to no namespace"],
    ["namespaces", "", "it belongs to no namespace"],
    ["events", "", "a cluster cannot do without events"],
    ["*", "", "that includes Events"],
    ["pods/status", "", "subresources are never sent"],
    ["*/*", "*", "subresources are never sent"],
    ["*", "*", "that includes what a cluster cannot do without"],
    ["leases", "coordination.k8s.io", "cannot heal itself"],
    ["leases", "*", "cannot heal itself"],
    ["events", "events.k8s.io", "cannot heal itself"],
    ["certificatesigningrequests", "certificates.k8s.io", "cannot heal itself"],
    ["tokenreviews", "authentication.k8s.io", "cannot heal itself"],
    ["localsubjectaccessreviews", "authorization.k8s.io", "cannot heal itself"],
    ["apiservices", "apiregistration.k8s.io", "cannot heal itself"],
    ["customresourcedefinitions", "apiextensions.k8s.io", "cannot heal itself"],
    ["validatingadmissionpolicies", "admissionregistration.k8s.io", "cannot heal itself"],
    ["mutatingwebhookconfigurations", "*", "cannot heal itself"],
    ["clusterroles", "rbac.authorization.k8s.io", "it belongs to no namespace"],
    ["nodes", "*", "it belongs to no namespace"],
    ["admissionrules", "fairlead.dev", "it belongs to no namespace"],
  ])("%s of group %j may not be matched", (resource, group, why) => {
    const { rule, findings } = compileOne("true", { matchConstraints: matching(resource, group) });
    expect(rule).toBeUndefined();
    const [finding] = findings.filter(({ severity }) => severity === "deny");
    expect(finding).toMatchObject({ code: "FL705", path: "spec.matchConstraints.resourceRules[0].resources[0]" });
    expect(finding?.message).toContain(why);
  });

  test("that belongs to no namespace, as the API server says", () => {
    const kinds = { ruleKind: () => ({ kind: "Fleet", namespaced: false, shape: "dyn" }) };
    expect(texts(compileOne("true", { matchConstraints: matching("fleets", "x.io") }, { kinds }))).toEqual([
      'FL705 spec.matchConstraints.resourceRules[0].resources[0]: Found "fleets" of the group x.io, wanted resources that rules may judge: ' +
        "it belongs to no namespace, and rules hold in namespaces; remove it",
    ]);
  });

  test("in excluded namespaces only may not be matched", () => {
    const named = (values: readonly string[]) => ({
      matchConstraints: {
        ...matching("services"),
        namespaceSelector: {
          matchExpressions: [{ key: "kubernetes.io/metadata.name", operator: "In", values }],
        },
      },
    });
    expect(texts(compileOne("true", named(["kube-system", "linkerd"])))).toEqual([
      "FL705 spec.matchConstraints.namespaceSelector: Found the namespaces kube-system, linkerd only, which are never judged; " +
        "select namespaces of your own",
    ]);
    expect(compileOne("true", named(["kube-system", "shop"])).findings).toEqual([]);
  });
});

describe("a compiled rule", () => {
  test("has the defaults of what is not said", () => {
    expect(compileOne("true").rule).toEqual({
      name: "timeout-required",
      match: {
        namespaceSelector: [],
        objectSelector: [],
        resourceRules: [
          {
            apiGroups: [""],
            apiVersions: ["v1"],
            operations: ["CREATE", "UPDATE"],
            resources: ["services"],
            resourceNames: [],
          },
        ],
        excludeResourceRules: [],
      },
      matchConditions: [],
      params: { kind: "none" },
      variables: [],
      validations: [
        { program: expect.anything(), message: "", messageExpression: undefined, reason: "Invalid", fix: "" },
      ],
      auditAnnotations: [],
      actions: new Set(["Deny"]),
      failurePolicy: "Fail",
      exceptionsAllowed: false,
      existingViolations: "Allow",
    });
  });

  test("has its selectors as requirements", () => {
    const selector = { matchLabels: { env: "prod" }, matchExpressions: [{ key: "team", operator: "Exists" }] };
    const matchConstraints = { ...matching("services"), objectSelector: selector };
    expect(compileOne("true", { matchConstraints }).rule?.match.objectSelector).toEqual([
      { key: "env", operator: "In", values: ["prod"] },
      { key: "team", operator: "Exists", values: [] },
    ]);
  });

  test("is none where the form is wrong, with every problem of the form", () => {
    const object = ruleObject({
      matchConstraints: {
        resourceRules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["DELETE"], resources: ["services"] }],
      },
      variables: [
        { name: "a", expression: "1" },
        { name: "a", expression: "2" },
      ],
      validations: [{ expression: "true", mesage: "m" }],
      actions: ["Deny", "Warn"],
      params: {},
      paramRef: { name: "a" },
    });
    const { rule, findings } = compileRule(object, OPTIONS);
    expect(rule).toBeUndefined();
    expect(findings.map(({ path, message }) => `${path}: ${message}`)).toEqual([
      "spec: Found both params and paramRef, wanted at most one of params and paramRef",
      "spec.actions: Found both Deny and Warn, wanted one of Deny and Warn",
      'spec.matchConstraints.resourceRules[0].operations[0]: Found "DELETE", wanted "CREATE", "UPDATE" or "*"; ' +
        "other operations are never sent to Fairlead, so that nothing keeps an object from going",
      'spec.validations[0].mesage: Found the unknown field "mesage", wanted one of expression, message, messageExpression, reason, fix',
      'spec.variables: Found "a" twice, wanted each name once',
    ]);
  });
});

describe("a rule that the API server has stored", () => {
  const stored = (expression: string) =>
    compileStoredRule(ruleObject({ matchConstraints: matching("pods"), validations: [{ expression }] }), new Set());

  test("is in force whether its kind is still known or not, and whatever it may cost", () => {
    const nested =
      "object.spec.containers.all(a, object.spec.containers.all(b, object.spec.containers.all(c, a == b)))";
    for (const expression of ["object.spec.hostNetwork", nested]) expect(stored(expression).rule).toBeDefined();
    expect(compileOne("object.spec.hostNetwork", { matchConstraints: matching("pods") }).rule).toBeUndefined();
  });

  test("is not in force when it is wrong whatever the kind is", () => {
    expect(stored("object.spec.hostNetwork &&").rule).toBeUndefined();
    expect(stored("'text'").rule).toBeUndefined();
  });
});
