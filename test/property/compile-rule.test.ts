import * as fc from "fast-check";
import { expect, test } from "vitest";
import { compileException } from "../../src/core/rules/compile-exception.ts";
import { compileRule, compileStoredRule, type RuleOptions } from "../../src/core/rules/compile-rule.ts";
import { compileVap } from "../../src/core/rules/compile-vap.ts";
import type { Shape } from "../../src/core/rules/schema-shape.ts";
import { matching, OPTIONS, ruleObject } from "../rules/rule-objects.ts";

const EXPRESSIONS = [
  "true",
  "object.spec.type == 'ClusterIP'",
  "object.spec.hostNetwork",
  "object.spec.ports.all(p, p.port > 1)",
  "has(effective.timeout)",
  "params.most > 1",
  "variables.a == 1",
  "object.spec.typo",
  "'text'",
  "1 +",
  "((((((",
  "object.__proto__",
  "object.spec.ports.map(a, object.spec.ports.map(b, object.spec.ports.map(c, [a, b, c])))",
];
const NAMES = ["a", "", "constructor", "__proto__", "a b", "x".repeat(400)];
const RESOURCES = ["services", "pods", "nodes", "*", "pods/status", "deployments", "httproutes"];

const expression = fc.oneof(fc.constantFrom(...EXPRESSIONS), fc.string());
const name = fc.oneof(fc.constantFrom(...NAMES), fc.string());
/** Anything that a file or a webhook may bring, integers that no number holds too. */
const junk = fc.oneof(fc.jsonValue(), fc.bigInt(), fc.constant(undefined));
const constraints = fc
  .tuple(fc.constantFrom(...RESOURCES), fc.constantFrom("", "apps", "*", "gateway.networking.k8s.io"))
  .map(([resource, group]) => matching(resource, group));

function sometimes<T>(good: fc.Arbitrary<T>): fc.Arbitrary<unknown> {
  return fc.oneof({ arbitrary: good, weight: 9 }, { arbitrary: junk, weight: 1 });
}

const spec = fc.record(
  {
    matchConstraints: sometimes(constraints),
    matchConditions: sometimes(fc.array(fc.record({ name, expression }), { maxLength: 2 })),
    variables: sometimes(fc.array(fc.record({ name, expression }), { maxLength: 2 })),
    validations: sometimes(
      fc.array(fc.record({ expression, messageExpression: expression }, { requiredKeys: ["expression"] }), {
        maxLength: 3,
      }),
    ),
    auditAnnotations: sometimes(fc.array(fc.record({ key: name, valueExpression: expression }), { maxLength: 1 })),
    params: sometimes(fc.dictionary(name, junk)),
    actions: sometimes(fc.constant(["Deny"])),
  },
  { requiredKeys: ["matchConstraints", "validations"] },
);

const PODS: Shape = { spec: { hostNetwork: "bool", ports: [{ port: "int" }, 9] } };
const KNOWN: RuleOptions = {
  ...OPTIONS,
  kinds: { ruleKind: () => ({ kind: "Pod", namespaced: true, shape: PODS }) },
};

/** Mostly right, and about what depends on how much is known of the kind. */
const plausible = fc.record({
  matchConstraints: fc.constantFrom("services", "pods").map((resource) => matching(resource)),
  variables: fc.constantFrom([], [{ name: "a", expression: "object.spec.hostNetwork" }]),
  params: fc.record({ most: fc.oneof(fc.integer(), fc.string(), fc.double()) }),
  validations: fc.array(fc.record({ expression: fc.constantFrom(...EXPRESSIONS, "variables.a", "params.most == 3") }), {
    minLength: 1,
    maxLength: 2,
  }),
});

test("what the parser of rules accepts can be compiled again when it comes from the API server, whatever is known then", () => {
  let accepted = 0;
  fc.assert(
    fc.property(fc.oneof(plausible, spec), fc.constantFrom(OPTIONS, KNOWN), (fields, options) => {
      const { rule, findings } = compileRule(ruleObject(fields), options);
      expect(rule === undefined).toBe(findings.some(({ severity }) => severity === "deny"));
      if (rule === undefined) return;
      accepted += 1;
      const stored = compileStoredRule(ruleObject(fields), options.excludedNamespaces);
      expect(stored.findings.filter(({ severity }) => severity === "deny")).toEqual([]);
      expect(stored.rule?.validations.map(({ program }) => program.text)).toEqual(
        rule.validations.map(({ program }) => program.text),
      );
    }),
    { numRuns: 600 },
  );
  expect(accepted).toBeGreaterThan(30);
});

test.each([
  ["rules", (object: unknown) => compileRule(object, OPTIONS).findings],
  ["policies of Kubernetes", (object: unknown) => compileVap(object, OPTIONS).findings],
  ["exceptions", (object: unknown) => compileException(object).findings],
] as const)("no object makes the parser of %s fail: what is wrong becomes one line each", (_, parse) => {
  const object = fc.oneof(
    junk,
    fc.record({ apiVersion: junk, kind: junk, metadata: junk, spec: fc.oneof(junk, spec) }),
    spec.map(ruleObject),
  );
  fc.assert(
    fc.property(object, (input) => {
      for (const { message, fix } of parse(input)) expect(`${message}${fix}`).not.toContain("[object Object]");
    }),
    { numRuns: 600 },
  );
});
