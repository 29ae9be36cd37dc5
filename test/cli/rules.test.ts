import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { explainObjects } from "../../src/cli/explain.ts";
import { type InputObject, readInput } from "../../src/cli/input.ts";
import { renderExplain } from "../../src/cli/output-explain.ts";
import { checkRules } from "../../src/cli/rule-check.ts";
import { type Review, reviewObjects } from "../../src/cli/review.ts";
import { DEFAULTS, NOW_MS } from "../core/worlds.ts";

const directory = mkdtempSync(join(tmpdir(), "fairlead-rules-"));
afterAll(() => rmSync(directory, { recursive: true }));

function input(...documents: readonly string[]): readonly InputObject[] {
  writeFileSync(join(directory, "f.yaml"), documents.map((text) => `${text.trim()}\n`).join("---\n"));
  return readInput({ filenames: ["f.yaml"], recursive: false, baseDirectory: directory });
}

function review(...documents: readonly string[]): readonly Review[] {
  const objects = input(...documents).map(({ object }) => object);
  return reviewObjects(objects, DEFAULTS, NOW_MS);
}

function messages(reviews: readonly Review[]): readonly string[] {
  return reviews.map(({ result, message }) => `${result.kind} ${message.split("\n")[1] ?? "allowed"}`);
}

const SERVICE = "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {ports: [{port: 80}]}}";

function ruleText(name: string, spec: string, resource = "services"): string {
  return `apiVersion: fairlead.dev/v1alpha1
kind: AdmissionRule
metadata: {name: ${name}}
spec:
  matchConstraints: {resourceRules: [{apiGroups: ["*"], apiVersions: ["*"], operations: ["*"], resources: [${resource}]}]}
${spec}`;
}

const TIMEOUT = `
  exceptionsAllowed: true
  validations:
  - expression: effective.?timeout.?request.orValue(duration("1h")) <= duration("30s")
    message: wait no longer than 30s
`;

function policy(timeout: string): string {
  return `{apiVersion: fairlead.dev/v1alpha1, kind: ResiliencePolicy, metadata: {name: web, namespace: shop}, spec: {targetRefs: [{kind: Service, name: web}], timeout: {request: ${timeout}}}}`;
}

function exception(expiresAt: string, rules = "[timeouts]"): string {
  return `{apiVersion: fairlead.dev/v1alpha1, kind: RuleException, metadata: {name: e, namespace: shop}, spec: {rules: ${rules}, objectNames: [web], owner: a, reason: b, expiresAt: "${expiresAt}"}}`;
}

const DAY_MS = 24 * 60 * 60 * 1000;

function inDays(days: number): string {
  return new Date(NOW_MS + days * DAY_MS).toISOString();
}

describe("review with rules", () => {
  const rule = ruleText("timeouts", TIMEOUT);

  test("rules and exceptions are no subjects, and judge by what a policy of the input puts into force", () => {
    expect(messages(review(rule, SERVICE))).toEqual([
      "Service - rule timeouts: wait no longer than 30s; found effective.timeout.request is not set (FL720)",
    ]);
    expect(messages(review(rule, SERVICE, policy("2s"), exception(inDays(30))))).toEqual([
      "Service allowed",
      "ResiliencePolicy allowed",
    ]);
  });

  test("a policy is denied for what it would do to its targets, and then is not part of the world", () => {
    const reviews = review(
      rule,
      SERVICE.replace("{name: web", "{annotations: {timeout.linkerd.io/request: 5s}, name: web"),
      policy("2m").replace("timeout:", "conflictResolution: Override, timeout:"),
    );
    expect(messages(reviews)[0]).toBe("Service allowed");
    expect(messages(reviews)[1]).toContain("Service shop/web: rule timeouts: wait no longer than 30s");
  });

  test("suites of tests, which lie beside the policies, are no subjects either", () => {
    const suite = "{apiVersion: cli.fairlead.dev/v1alpha1, kind: Test, cases: [{name: a, object: web.yaml}]}";
    expect(messages(review(suite, SERVICE))).toEqual(["Service allowed"]);
    expect(explainObjects(input(rule, suite, SERVICE), { defaults: DEFAULTS, nowMs: NOW_MS, names: [] })).toHaveLength(
      1,
    );
  });

  test("an exception lets it pass while it lasts", () => {
    expect(messages(review(rule, SERVICE, exception(inDays(1))))).toEqual(["Service allowed"]);
    expect(messages(review(rule, SERVICE, exception(inDays(0))))[0]).toContain("rule timeouts");
  });

  test("a ValidatingAdmissionPolicy is a rule", () => {
    const vap = rule
      .replace("fairlead.dev/v1alpha1", "admissionregistration.k8s.io/v1")
      .replace("AdmissionRule", "ValidatingAdmissionPolicy")
      .replace("exceptionsAllowed: true", "failurePolicy: Fail")
      .replace(/expression: .*/, "expression: object.spec.ports.all(port, port.port > 1024)");
    expect(messages(review(vap, SERVICE))[0]).toMatch(/^Service - spec\.ports: rule timeouts: wait no longer/);
  });

  test("params come from a ConfigMap in Fairlead's namespace", () => {
    const withParams = ruleText(
      "ports",
      "  paramRef: {name: limits}\n  validations: [{expression: 'object.spec.ports.size() <= int(params.data.most)'}]",
    );
    const limits = (most: number): string =>
      `{apiVersion: v1, kind: ConfigMap, metadata: {name: limits, namespace: fairlead}, data: {most: "${most}"}}`;
    expect(messages(review(withParams, SERVICE, limits(1)))[0]).toBe("Service allowed");
    expect(messages(review(withParams, SERVICE, limits(0)))[0]).toContain("rule ports: failed expression");
    expect(messages(review(withParams, SERVICE))[0]).toContain("ConfigMap limits does not exist");
  });

  test("a namespace that is not in the input has the label of the mode, and no other", () => {
    const labels = ruleText(
      "labels",
      '  validations: [{expression: \'namespaceObject.metadata.labels == {"fairlead.dev/mode": "enforce", "kubernetes.io/metadata.name": "shop"}\'}]',
    );
    expect(messages(review(labels, SERVICE))).toEqual(["Service allowed"]);
  });
});

describe("rules of the input are checked", () => {
  const check = (...documents: readonly string[]): readonly string[] =>
    checkRules(input(...documents), DEFAULTS, NOW_MS);

  test("what a cluster would refuse ends it, all problems at once, with file and line", () => {
    const validations = "  validations:\n  - {expression: 'object.spec.prots == 1'}\n  - {expression: '1'}";
    const wrong = ruleText("wrong", validations).replace('apiGroups: ["*"]', 'apiGroups: [""]');
    expect(() => check(wrong, exception(inDays(91), "[other]"))).toThrow(
      new RegExp(
        [
          "^f\\.yaml:7: AdmissionRule wrong: spec\\.validations\\[0\\]\\.expression: .*undefined field 'prots'.*\n \\| .*\n \\| \\.+\\^",
          "f\\.yaml:8: AdmissionRule wrong: spec\\.validations\\[1\\]\\.expression: Found an expression of type int, wanted bool; .*",
          "f\\.yaml:10: RuleException e: spec\\.expiresAt: .*within the next 90 days.*",
        ].join("\n"),
      ),
    );
  });

  test("an exception that has ended, a rule that is not there and a kind that is not known are warnings", () => {
    const rule = ruleText("timeouts", TIMEOUT).replace('apiGroups: ["*"]', 'apiGroups: [""]');
    const widgets = ruleText("widgets", "  validations: [{expression: object.spec.size > 1}]", "widgets");
    expect(check(rule, exception(inDays(-1)))).toEqual([
      expect.stringMatching(/^f\.yaml:\d+: RuleException e: spec\.expiresAt: The exception has ended/),
    ]);
    expect(check(rule, exception(inDays(30), "[timeout]"))).toEqual([
      expect.stringContaining("did you mean timeouts?"),
    ]);
    expect(check(widgets)).toEqual([expect.stringContaining('Found "widgets"')]);
  });

  test("a ValidatingAdmissionPolicy that asks authorizer is a warning, and the rest is reviewed", () => {
    const guard = ruleText("guard", "  validations: [{expression: \"authorizer.path('/').check('get').allowed()\"}]")
      .replace("fairlead.dev/v1alpha1", "admissionregistration.k8s.io/v1")
      .replace("AdmissionRule", "ValidatingAdmissionPolicy");
    const rule = ruleText("timeouts", TIMEOUT).replace('apiGroups: ["*"]', 'apiGroups: [""]');
    expect(check(rule, guard)).toContainEqual(
      expect.stringMatching(
        /^f\.yaml:\d+: ValidatingAdmissionPolicy guard: .*: Found authorizer, which only the API server/,
      ),
    );
    expect(messages(review(rule, guard, SERVICE))[0]).toContain("rule timeouts: wait no longer than 30s");
    expect(messages(review(guard, SERVICE))).toEqual(["Service allowed"]);
  });

  test("the tenth of many mistakes is told after the second", () => {
    const wrong = ruleText("wrong", `  validations: [${Array(11).fill("{expression: nothing}").join(", ")}]`);
    expect(() => check(wrong)).toThrow(/validations\[2\][\s\S]*validations\[10\]/);
  });

  test("a kind whose definition is in the input is known", () => {
    const definition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  names: {plural: widgets, kind: Widget}
  scope: Namespaced
  versions:
  - name: v1
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}
`;
    const about = (expression: string): string =>
      ruleText("widgets", `  validations: [{expression: "${expression}"}]`, "widgets").replace(
        'apiGroups: ["*"]',
        "apiGroups: [example.com]",
      );
    expect(check(definition, about("object.spec.size > 1 && object.metadata.name != ''"))).toEqual([]);
    expect(() => check(definition, about("object.spec.sise > 1"))).toThrow("did you mean size?");
  });
});

describe("explain", () => {
  const rule = ruleText(
    "timeouts",
    "  matchConditions: [{name: has-ports, expression: object.spec.ports.size() > 0}]\n  variables: [{name: longest, expression: 'effective.?timeout.?request.orValue(duration(\"1h\"))'}]" +
      "\n  validations: [{expression: 'variables.longest <= duration(\"30s\")', message: too long, fix: shorten it}]",
  );
  const routes = ruleText("routes", "  validations: [{expression: has(object.spec.rules)}]", "httproutes");
  const explain = (documents: readonly string[], names: readonly string[] = []) =>
    explainObjects(input(...documents), { defaults: DEFAULTS, nowMs: NOW_MS, names });

  test("each rule: why it applies or not, each part, the outcome, the cost", () => {
    expect(renderExplain(explain([rule, routes, SERVICE]), "table", false)).toBe(`Service shop/web
  routes: does not apply (resourceRules name other resources or operations)
  timeouts: VIOLATED (cost 11)
    condition has-ports = true (bool, cost 5)
    variable longest = "3600s" (duration, cost 3)
    validation variables.longest <= duration("30s") = false (bool, cost 3)
    -> rule timeouts: too long; found variables.longest = 3600s (FL720)
       fix: shorten it
`);
  });

  test("a condition that says no is named, and everything else is shown all the same", () => {
    const [object] = explain([rule.replace("size() > 0", "size() > 1"), SERVICE, policy("2s")]);
    expect(object?.rules[0]).toMatchObject({
      outcome: "unmatched",
      because: "matchCondition has-ports is false",
      variables: [{ name: "longest", type: "duration", value: "2s", error: null }],
      validations: [{ value: true }],
      findings: [],
    });
  });

  test("an error is told where it happens", () => {
    const [object] = explain([
      rule.replace("object.spec.ports.size() > 0", "object.spec.selector.size() > 0"),
      SERVICE,
    ]);
    expect(object?.rules[0]?.outcome).toBe("error");
    expect(object?.rules[0]?.conditions[0]?.error).toBe("no such key: selector");
  });

  test("a namespace without a mode is why nothing applies", () => {
    const namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}";
    expect(explain([rule, SERVICE, namespace])[0]?.rules[0]?.because).toBe("namespace shop is not opted in");
  });

  test("only the rules that are wanted, which must be there", () => {
    expect(explain([rule, routes, SERVICE], ["routes"])[0]?.rules.map((one) => one.rule)).toEqual(["routes"]);
    expect(() => explain([rule, SERVICE], ["timeout"])).toThrow(
      "Found no rule timeout in the input, wanted one of timeouts",
    );
    expect(() => explain([SERVICE])).toThrow("Found no rule in the input, wanted an AdmissionRule beside the objects");
  });

  test("json has every field", () => {
    const [object] = JSON.parse(renderExplain(explain([rule, SERVICE]), "json", true)) as [{ rules: object[] }];
    expect(Object.keys(object)).toEqual(["apiVersion", "kind", "namespace", "name", "rules"]);
    expect(Object.keys(object.rules[0] ?? {})).toEqual([
      "rule",
      "outcome",
      "because",
      "exception",
      "cost",
      "conditions",
      "variables",
      "validations",
      "findings",
    ]);
  });
});
