import type { KubernetesObject } from "../../src/core/kubernetes.ts";

/** What a rule of the benchmark is: one or more things that must hold, and the names that they share. */
interface RuleText {
  readonly validations: readonly string[];
  readonly variables?: Readonly<Record<string, string>>;
  readonly matchConditions?: Readonly<Record<string, string>>;
}

/**
 * Ten rules such as platform teams have for Services: ports, types, labels, annotations, and three that read what will be
 * in force in the mesh. All of them hold for the Services of the benchmark, so that each expression runs to its end.
 */
export const TYPICAL_RULES: Readonly<Record<string, RuleText>> = {
  "ports-named": { validations: ["object.spec.ports.all(p, has(p.name) && p.name != '')"] },
  "ports-allowed": {
    validations: [
      "object.spec.ports.all(p, p.port in [80, 443] || p.port >= 1024)",
      "object.spec.ports.all(a, object.spec.ports.exists_one(b, a.port == b.port))",
    ],
  },
  "no-external-ips": { validations: ["!has(object.spec.externalIPs) || size(object.spec.externalIPs) == 0"] },
  "no-external-name": { validations: ["!has(object.spec.type) || object.spec.type in ['ClusterIP', 'NodePort']"] },
  "name-format": { validations: ["object.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')"] },
  "team-label": {
    variables: { labels: "has(object.metadata.labels) ? object.metadata.labels : {}" },
    validations: [
      "'team' in variables.labels && variables.labels['team'].size() > 0",
      "'app.kubernetes.io/name' in variables.labels",
    ],
  },
  "no-handwritten-settings": {
    variables: { keys: "has(object.metadata.annotations) ? object.metadata.annotations.map(k, k) : []" },
    validations: ["variables.keys.all(k, !k.startsWith('retry.linkerd.io/') && !k.startsWith('timeout.linkerd.io/'))"],
  },
  "breaker-required": {
    matchConditions: { "not-headless": "!has(object.spec.clusterIP) || object.spec.clusterIP != 'None'" },
    validations: ["has(effective.circuitBreaker) && effective.circuitBreaker.consecutiveFailures <= 20"],
  },
  "retries-bounded": {
    validations: [
      "!has(effective.retry) || effective.retry.maxAttempts <= 3",
      "!has(effective.retry) || has(effective.timeout)",
    ],
  },
  "timeout-bounded": {
    validations: ["!has(effective.timeout) || effective.timeout.request <= duration('30s')"],
  },
};

/** Walks over the ports within the ports within the ports: what the API server allows, and a review must not wait for. */
export const NESTED_LOOP = {
  validations: [
    "object.spec.ports.all(a, object.spec.ports.all(b, object.spec.ports.all(c, a != b || b != c || true)))",
  ],
};

/** An AdmissionRule about Services. */
export function ruleObject(
  name: string,
  { validations, variables = {}, matchConditions = {} }: RuleText,
): KubernetesObject {
  const rules = [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE", "UPDATE"], resources: ["services"] }];
  const named = (texts: Readonly<Record<string, string>>): readonly object[] =>
    Object.entries(texts).map(([key, expression]) => ({ name: key, expression }));
  return {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "AdmissionRule",
    metadata: { name },
    spec: {
      matchConstraints: { resourceRules: rules },
      ...(Object.keys(matchConditions).length > 0 && { matchConditions: named(matchConditions) }),
      ...(Object.keys(variables).length > 0 && { variables: named(variables) }),
      validations: validations.map((expression) => ({ expression })),
    },
  };
}

/** So many rules, the typical ones again and again under other names. */
export function manyRules(count: number): readonly KubernetesObject[] {
  const texts = Object.entries(TYPICAL_RULES);
  return Array.from({ length: count }, (_, index) => {
    const [name, text] = texts[index % texts.length] as (typeof texts)[number];
    return ruleObject(`${name}-${Math.floor(index / texts.length)}`, text);
  });
}
