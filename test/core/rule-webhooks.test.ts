import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { planRuleWebhooks } from "../../src/core/admission/plan-rule-webhooks.ts";
import { ruleWebhooks } from "../../src/core/admission/rule-webhooks.ts";
import { EXCLUDED_NAMESPACES } from "../../src/core/names.ts";
import { whyForbidden } from "../../src/core/rules/kinds.ts";
import type { CompiledRule, MatchConstraints, ResourceRule } from "../../src/core/rules/rule.ts";
import { programOf } from "./rule-support.ts";

const NEVER = [...EXCLUDED_NAMESPACES, "mesh-ops"];

function resources(group: string, names: readonly string[], rest: Partial<ResourceRule> = {}): ResourceRule {
  return { apiGroups: [group], apiVersions: ["v1"], operations: ["*"], resources: names, resourceNames: [], ...rest };
}

function rule(
  match: Partial<MatchConstraints> & Pick<MatchConstraints, "resourceRules">,
  rest: Partial<CompiledRule> = {},
): CompiledRule {
  return {
    name: "rule",
    match: { namespaceSelector: [], objectSelector: [], excludeResourceRules: [], ...match },
    matchConditions: [],
    params: { kind: "none" },
    variables: [],
    validations: [],
    auditAnnotations: [],
    actions: new Set(["Deny"]),
    failurePolicy: "Fail",
    exceptionsAllowed: false,
    existingViolations: "Allow",
    ...rest,
  };
}

/** The rules of each entry, in short. */
function scope(rules: readonly CompiledRule[]): Record<string, readonly string[]> {
  const text = (each: { apiGroups: readonly string[]; apiVersions: readonly string[]; resources: readonly string[] }) =>
    `${each.apiGroups.map((group) => group || "core").join(",")}/${each.apiVersions.join(",")} ${each.resources.join(",")}`;
  return Object.fromEntries(ruleWebhooks(rules, NEVER).map((entry) => [entry.name, entry.rules.map(text)]));
}

const deployments = rule({ resourceRules: [resources("apps", ["deployments"])] });
const services = rule({ resourceRules: [resources("", ["services"])] });
const production = { key: "tier", operator: "In", values: ["production"] } as const;

describe("what the API server asks about", () => {
  test("nothing without rules", () => {
    expect(ruleWebhooks([], NEVER)).toEqual([]);
  });

  test("an entry for each failure policy that has rules", () => {
    expect(scope([deployments])).toEqual({ "rules-fail.fairlead.dev": ["apps/v1 deployments"] });
    expect(scope([deployments, { ...deployments, failurePolicy: "Ignore" }])).toEqual({
      "rules-fail.fairlead.dev": ["apps/v1 deployments"],
      "rules-ignore.fairlead.dev": ["apps/v1 deployments"],
    });
  });

  test("policies beside Services and routes, because a policy is judged by what it does to them", () => {
    expect(scope([services])["rules-fail.fairlead.dev"]).toEqual([
      "core/v1 services",
      "fairlead.dev/v1alpha1 resiliencepolicies",
    ]);
    expect(scope([rule({ resourceRules: [resources("policy.linkerd.io", ["httproutes"])] })])).toEqual({
      "rules-fail.fairlead.dev": ["fairlead.dev/v1alpha1 resiliencepolicies", "policy.linkerd.io/v1 httproutes"],
    });
  });

  test("Services beside routes, where a rule reads what routes take from them", () => {
    const routes = { resourceRules: [resources("gateway.networking.k8s.io", ["httproutes"])] };
    const byEffect = { program: programOf("has(effective.timeout)"), name: "timeout" };
    expect(scope([rule(routes, { variables: [byEffect] })])["rules-fail.fairlead.dev"]).toEqual([
      "core/v1 services",
      "fairlead.dev/v1alpha1 resiliencepolicies",
      "gateway.networking.k8s.io/v1 httproutes",
    ]);
    expect(scope([rule(routes)])["rules-fail.fairlead.dev"]).not.toContain("core/v1 services");
  });

  test("what several rules ask for, once and folded", () => {
    const more = rule({ resourceRules: [resources("apps", ["statefulsets", "deployments"])] });
    const beta = rule({ resourceRules: [resources("apps", ["deployments"], { apiVersions: ["v1beta1"] })] });
    expect(scope([deployments, more])["rules-fail.fairlead.dev"]).toEqual(["apps/v1 deployments,statefulsets"]);
    expect(scope([more, beta])["rules-fail.fairlead.dev"]).toEqual([
      "apps/v1,v1beta1 deployments",
      "apps/v1 statefulsets",
    ]);
    const every = rule({ resourceRules: [resources("apps", ["*"], { apiVersions: ["*"] })] });
    expect(scope([more, beta, every])["rules-fail.fairlead.dev"]).toEqual(["apps/* *"]);
  });

  test("only the operations that a rule names", () => {
    const created = rule({ resourceRules: [resources("apps", ["deployments"], { operations: ["CREATE"] })] });
    expect(ruleWebhooks([created], NEVER)[0]?.rules[0]?.operations).toEqual(["CREATE"]);
    expect(ruleWebhooks([created, deployments], NEVER)[0]?.rules).toHaveLength(1);
    expect(ruleWebhooks([created, deployments], NEVER)[0]?.rules[0]?.operations).toEqual(["CREATE", "UPDATE"]);
  });

  test("only namespaces that opted in, without the excluded ones", () => {
    expect(ruleWebhooks([deployments], NEVER)[0]?.namespaceSelector.matchExpressions).toEqual([
      { key: "fairlead.dev/mode", operator: "Exists" },
      { key: "kubernetes.io/metadata.name", operator: "NotIn", values: NEVER },
    ]);
  });

  test("only what every rule selects", () => {
    const narrow = { namespaceSelector: [production], objectSelector: [production] };
    const [alone] = ruleWebhooks([rule({ ...deployments.match, ...narrow })], NEVER);
    expect(alone?.namespaceSelector.matchExpressions).toContainEqual(production);
    expect(alone?.objectSelector).toEqual({ matchExpressions: [production] });
    const [both] = ruleWebhooks([rule({ ...deployments.match, ...narrow }), deployments], NEVER);
    expect(both?.namespaceSelector.matchExpressions).toHaveLength(2);
    expect(both?.objectSelector).toEqual({});
  });

  test("every policy, whatever its labels: they are not those of its targets", () => {
    const labelled = rule({ ...services.match, objectSelector: [production] });
    expect(ruleWebhooks([labelled], NEVER)[0]?.objectSelector).toEqual({});
  });

  test("no object that is being deleted, no policy whose spec stays", () => {
    const names = (found: readonly CompiledRule[]) =>
      ruleWebhooks(found, NEVER)[0]?.matchConditions?.map((condition) => condition.name);
    expect(names([deployments])).toEqual(["not-being-deleted"]);
    expect(names([services])).toEqual(["not-being-deleted", "policy-spec-changes"]);
    // A rule that names policies may be about their labels.
    const policies = rule({ resourceRules: [resources("fairlead.dev", ["resiliencepolicies"])] });
    const anything = rule({ resourceRules: [resources("fairlead.dev", ["*"])] });
    for (const each of [policies, anything]) expect(names([services, each])).toEqual(["not-being-deleted"]);
    const exceptions = rule({ resourceRules: [resources("fairlead.dev", ["ruleexceptions"])] });
    const [entry] = ruleWebhooks([services, exceptions], NEVER);
    expect(entry?.matchConditions?.[1]?.expression).toMatch(
      /^request\.resource\.group != "fairlead\.dev" \|\| request\.resource\.resource != "resiliencepolicies" /,
    );
  });
});

/** What a cluster serves. */
const SERVED = [
  ["", "services"],
  ["", "nodes"],
  ["", "events"],
  ["apps", "deployments"],
  ["coordination.k8s.io", "leases"],
  ["fairlead.dev", "resiliencepolicies"],
  ["gateway.networking.k8s.io", "httproutes"],
] as const;
const VERSIONS = ["v1", "v1beta1"];

function some(values: readonly string[]): fc.Arbitrary<string[]> {
  return fc.subarray([...values, "*"], { minLength: 1 });
}

const GROUPS = [...new Set(SERVED.map(([group]) => group))];
const RESOURCES = SERVED.map(([, resource]) => resource);

const anyRule = fc
  .record({
    resourceRules: fc.array(
      fc.record({
        apiGroups: some(GROUPS),
        apiVersions: some(VERSIONS),
        operations: fc.subarray(["CREATE", "UPDATE", "*"] as const, { minLength: 1 }),
        resources: some([...RESOURCES, "deployments/status"]),
        resourceNames: fc.constant([]),
      }),
      { maxLength: 3 },
    ),
    failurePolicy: fc.constantFrom("Fail" as const, "Ignore" as const),
  })
  .map(({ failurePolicy, resourceRules }) => rule({ resourceRules }, { failurePolicy }));

function has(list: readonly string[], item: string): boolean {
  return list.includes(item) || list.includes("*");
}

interface Ask {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly operation: string;
}

type Asked = Pick<ResourceRule, "apiGroups" | "apiVersions" | "resources"> & { readonly operations: readonly string[] };

function asks(found: readonly Asked[], { group, version, resource, operation }: Ask): boolean {
  return found.some(
    (each) =>
      has(each.apiGroups, group) &&
      has(each.apiVersions, version) &&
      has(each.resources, resource) &&
      has(each.operations, operation),
  );
}

/** What may be matched of a list in which every combination counts by itself. */
function allowed({ resourceRules }: MatchConstraints): readonly Asked[] {
  return resourceRules.flatMap((each) =>
    each.apiGroups.flatMap((group) =>
      each.resources
        .filter((resource) => whyForbidden({ group, resource }) === undefined)
        .map((resource) => ({ ...each, apiGroups: [group], resources: [resource] })),
    ),
  );
}

const EVERY_ASK: readonly Ask[] = SERVED.flatMap(([group, resource]) =>
  VERSIONS.flatMap((version) => ["CREATE", "UPDATE"].map((operation) => ({ group, version, resource, operation }))),
);

test("whatever the rules: what they match is asked about, nothing else but policies, and never what is forbidden", () => {
  fc.assert(
    fc.property(fc.array(anyRule, { maxLength: 4 }), (rules) => {
      const entries = ruleWebhooks(rules, NEVER);
      for (const ask of EVERY_ASK) {
        for (const failurePolicy of ["Fail", "Ignore"]) {
          const entry = entries.find((each) => each.failurePolicy === failurePolicy);
          const isAsked = entry !== undefined && asks(entry.rules, ask);
          const matching = rules.filter((each) => each.failurePolicy === failurePolicy);
          const isMatched = matching.some(({ match }) => asks(allowed(match), ask));
          if (isMatched) expect(isAsked, JSON.stringify(ask)).toBe(true);
          if (isAsked && ask.group !== "fairlead.dev") expect(isMatched, JSON.stringify(ask)).toBe(true);
          if (whyForbidden(ask) !== undefined) expect(isAsked, JSON.stringify(ask)).toBe(false);
        }
      }
    }),
  );
});

test("the same rules in any order give the same entries", () => {
  fc.assert(
    fc.property(fc.array(anyRule, { maxLength: 4 }), (rules) => {
      expect(ruleWebhooks(rules.toReversed(), NEVER)).toEqual(ruleWebhooks(rules, NEVER));
    }),
  );
});

describe("the entries in the configuration", () => {
  const paths = { mutate: "/m", validate: "/v", "rules-fail": "/f", "rules-ignore": "/i" };
  const service = { name: "fairlead-admission", namespace: "mesh-ops", port: 443, path: "/v" };
  const policies = { name: "policies.fairlead.dev", clientConfig: { service, caBundle: "Q0E=" } };
  const wanted = ruleWebhooks([deployments, { ...deployments, failurePolicy: "Ignore" }], NEVER);
  const [fail, ignore] = wanted.map((entry, index) => ({
    ...entry,
    clientConfig: { service: { ...service, path: index === 0 ? "/f" : "/i" }, caBundle: "Q0E=" },
  }));
  if (fail === undefined || ignore === undefined) throw new Error("two entries wanted");

  test("are added beside the others, sent to the same place under the same CA", () => {
    expect(planRuleWebhooks({ stored: [policies], wanted, paths })).toEqual({
      complete: true,
      operations: [
        { op: "add", path: "/webhooks/-", value: fail },
        { op: "add", path: "/webhooks/-", value: ignore },
      ],
    });
  });

  test("go to the same host where it is named by a URL", () => {
    const stored = [{ ...policies, clientConfig: { url: "https://127.0.0.1:9443/validate/x", caBundle: "Q0E=" } }];
    const [first] = planRuleWebhooks({ stored, wanted, paths }).operations;
    expect(first).toMatchObject({
      value: { clientConfig: { url: "https://127.0.0.1:9443/f", caBundle: "Q0E=" } },
    });
  });

  test("are left alone when they are right, put right when they are not, and go with the rules", () => {
    const stored = [fail, policies, ignore];
    expect(planRuleWebhooks({ stored, wanted, paths }).operations).toEqual([]);
    const drifted = [{ ...fail, failurePolicy: "Ignore" as const }, policies, ignore];
    expect(planRuleWebhooks({ stored: drifted, wanted, paths }).operations).toEqual([
      { op: "replace", path: "/webhooks/0", value: fail },
    ]);
    expect(planRuleWebhooks({ stored, wanted: [], paths }).operations).toEqual([
      { op: "remove", path: "/webhooks/2" },
      { op: "remove", path: "/webhooks/0" },
    ]);
  });

  test("wait for a CA: without one a Fail entry would refuse every write it matches", () => {
    const stored = [{ ...policies, clientConfig: { service } }];
    expect(planRuleWebhooks({ stored, wanted, paths })).toEqual({ complete: false, operations: [] });
    expect(planRuleWebhooks({ stored, wanted: [], paths })).toEqual({ complete: true, operations: [] });
  });
});
