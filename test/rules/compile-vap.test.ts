import { describe, expect, test } from "vitest";
import { compileVap } from "../../src/core/rules/compile-vap.ts";
import { OPTIONS, texts } from "./rule-objects.ts";

const SERVICES = { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["services"] };

/** As the API server gives it back, with its defaults filled in. */
function policy(spec: object, resourceRules: readonly object[] = [SERVICES]): object {
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicy",
    metadata: { name: "no-node-ports" },
    spec: {
      failurePolicy: "Fail",
      matchConstraints: {
        matchPolicy: "Equivalent",
        namespaceSelector: {},
        objectSelector: {},
        resourceRules: resourceRules.map((rule) => ({ ...rule, scope: "*" })),
      },
      validations: [{ expression: "object.spec.type != 'NodePort'" }],
      ...spec,
    },
  };
}

test("a ValidatingAdmissionPolicy is a rule that denies, also what was there before", () => {
  const { rule, findings } = compileVap(policy({}), OPTIONS);
  expect(findings).toEqual([]);
  expect(rule).toMatchObject({
    name: "no-node-ports",
    actions: new Set(["Deny"]),
    failurePolicy: "Fail",
    existingViolations: "Deny",
    exceptionsAllowed: false,
    match: { resourceRules: [{ ...SERVICES, resourceNames: [] }] },
  });
});

describe("told, and without effect, is", () => {
  test.each<readonly [string, object, string]>([
    [
      "an operation that Fairlead is not asked about",
      policy({}, [{ ...SERVICES, operations: ["CREATE", "DELETE", "CONNECT"] }]),
      "FL707 spec.matchConstraints.resourceRules[0].operations: Found DELETE, CONNECT, which Fairlead is never asked about; " +
        "leave these to the API server; creations and updates are judged here",
    ],
    [
      "what no rule may match",
      policy({}, [SERVICES, { ...SERVICES, resources: ["nodes"] }]),
      'FL707 spec.matchConstraints.resourceRules[1].resources[0]: Found "nodes", wanted resources that rules may judge: ' +
        "it belongs to no namespace, and rules hold in namespaces; leave it to the API server",
    ],
    [
      "the kind of its params",
      policy({
        paramKind: { apiVersion: "v1", kind: "ConfigMap" },
        validations: [{ expression: "'a' in params.data" }],
      }),
      'FL707 spec.paramKind: Found params of kind "ConfigMap": their binding is not read, so params is null; ' +
        "write an AdmissionRule with params to try it",
    ],
  ])("%s", (_, object, text) => {
    const compiled = compileVap(object, OPTIONS);
    expect(compiled.rule).toBeDefined();
    expect(texts(compiled)).toEqual([text]);
  });

  test("a rule about deletions only, and paths are those of the document", () => {
    const rules = [
      { ...SERVICES, operations: ["DELETE"] },
      { ...SERVICES, resources: ["pods"] },
    ];
    const { rule, findings } = compileVap(policy({}, rules), OPTIONS);
    expect(rule?.match.resourceRules).toHaveLength(1);
    expect(findings.map(({ code, path }) => `${code} ${path}`)).toEqual([
      "FL707 spec.matchConstraints.resourceRules[0].operations",
      "FL706 spec.matchConstraints.resourceRules[1].resources[0]",
    ]);
  });

  test("a whole policy about deletions, which is no rule and no mistake", () => {
    const { rule, findings } = compileVap(policy({}, [{ ...SERVICES, operations: ["DELETE"] }]), OPTIONS);
    expect(rule).toBeUndefined();
    expect(findings.map(({ severity }) => severity)).toEqual(["warn"]);
  });

  test("a whole policy that asks authorizer, once, however often it asks", () => {
    const asking = "authorizer.group('').resource('x').check('y').allowed()";
    const validations = [
      { expression: "object.spec.type != 'NodePort'" },
      { expression: asking, messageExpression: "'by ' + string(authorizer.serviceAccount('a', 'b').path('/'))" },
    ];
    const compiled = compileVap(policy({ variables: [{ name: "may", expression: asking }], validations }), OPTIONS);
    expect(compiled.rule).toBeUndefined();
    expect(texts(compiled)).toEqual([
      "FL707 spec.validations[1].expression: Found authorizer, which only the API server has: the policy is not evaluated here; " +
        "nothing to do: on a cluster it holds as it is",
    ]);
    const mistaken = compileVap(
      policy({ validations: [...validations, { expression: "object.spec.typ == 'a'" }] }),
      OPTIONS,
    );
    expect(mistaken.findings.map(({ severity, path }) => `${severity} ${path}`)).toEqual([
      "warn spec.validations[1].expression",
      "deny spec.validations[2].expression",
    ]);
  });

  test("a rule about what belongs to no namespace", () => {
    const object = policy({}, [SERVICES]);
    const { spec } = object as { readonly spec: { readonly matchConstraints: object } };
    const resourceRules = [SERVICES, { ...SERVICES, scope: "Cluster", resources: ["nodes"] }];
    const compiled = compileVap(
      { ...object, spec: { ...spec, matchConstraints: { ...spec.matchConstraints, resourceRules } } },
      OPTIONS,
    );
    expect(compiled.rule?.match.resourceRules).toHaveLength(1);
    expect(texts(compiled)).toEqual([
      'FL707 spec.matchConstraints.resourceRules[1].scope: Found "Cluster": such objects are not judged here; ' +
        "leave these to the API server; objects in namespaces are judged here",
    ]);
  });
});

describe("refused is", () => {
  test.each([
    ["what only rules of ours can see", "has(effective.retry)", "undeclared reference to 'effective'"],
    ["a misspelt field", "object.spec.typ == 'a'", "undefined field 'typ'"],
    ["params where there are none", "params != null", "undeclared reference to 'params'"],
  ])("%s", (_, expression, text) => {
    const compiled = compileVap(policy({ validations: [{ expression }] }), OPTIONS);
    expect(compiled.rule).toBeUndefined();
    expect(texts(compiled).join("\n")).toContain(text);
  });

  test("a document that is none", () => {
    expect(texts(compileVap({ metadata: { name: "a" } }, OPTIONS))).toContain(
      "FL701 spec.matchConstraints.resourceRules: Found a list of 0 items, wanted a list of 1 to 16 items; " +
        "Write a list of 1 to 16 items",
    );
  });

  test("no list that is walked within a list: Kubernetes estimates no policy", () => {
    const expression = "object.spec.ports.all(a, object.spec.ports.all(b, object.spec.ports.all(c, a == b || b == c)))";
    expect(compileVap(policy({ validations: [{ expression }] }), OPTIONS).findings).toEqual([]);
  });
});
