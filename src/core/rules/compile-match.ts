import type { AdmissionRuleSpec } from "../../api/v1alpha1/admission-rule.ts";
import type { LabelSelector } from "../../api/v1alpha1/selector.ts";
import { type Finding, finding } from "../finding.ts";
import { NAMESPACE_NAME_LABEL } from "../names.ts";
import { quote } from "../text.ts";
import { KNOWN_KINDS, type ResourceName, type RuleKind, type RuleKinds, whyForbidden } from "./kinds.ts";
import type { MatchConstraints, ResourceRule, Selector } from "./rule.ts";

type Constraints = AdmissionRuleSpec["matchConstraints"];

export function lowerSelector({ matchLabels = {}, matchExpressions = [] }: LabelSelector = {}): Selector {
  const labels = Object.entries(matchLabels).map(([key, value]) => ({ key, operator: "In" as const, values: [value] }));
  return [...labels, ...matchExpressions.map(({ key, operator, values = [] }) => ({ key, operator, values }))];
}

export function lowerMatch(constraints: Constraints): MatchConstraints {
  return {
    namespaceSelector: lowerSelector(constraints.namespaceSelector),
    objectSelector: lowerSelector(constraints.objectSelector),
    resourceRules: constraints.resourceRules.map(lowerResources),
    excludeResourceRules: (constraints.excludeResourceRules ?? []).map(lowerResources),
  };
}

function lowerResources({ resourceNames = [], ...rule }: Constraints["resourceRules"][number]): ResourceRule {
  return { ...rule, resourceNames };
}

/** A resource that a rule names, and what is known of it. */
interface Matched extends ResourceName {
  readonly path: string;
  readonly known: RuleKind | undefined;
}

export interface MatchedKinds {
  /** Each kind once. Undefined stands for objects of which nothing is known. */
  readonly kinds: readonly (RuleKind | undefined)[];
  readonly findings: readonly Finding[];
}

/** The kinds that a rule matches, and what it must not ask for. */
export function matchedKinds(
  constraints: Constraints,
  { world, excludedNamespaces }: { readonly world: RuleKinds; readonly excludedNamespaces: ReadonlySet<string> },
): MatchedKinds {
  const matched = constraints.resourceRules.flatMap((rule, index) => resourcesOf(rule, index, world));
  const allowed: Matched[] = [];
  const findings: Finding[] = [];
  for (const item of matched) {
    const why = whyForbidden(item, item.known?.namespaced === false);
    if (why === undefined) allowed.push(item);
    else findings.push(forbidden(item, why));
  }
  const unknown = allowed.filter(({ known }) => known === undefined);
  return {
    kinds: [...new Set(allowed.map(({ known }) => known))],
    findings: [...findings, ...unknown.map(uncheckedFinding), ...namespaceFindings(constraints, excludedNamespaces)],
  };
}

function resourcesOf(rule: Constraints["resourceRules"][number], index: number, world: RuleKinds): readonly Matched[] {
  const [version = "*"] = rule.apiVersions;
  return rule.resources.flatMap((resource, at) => {
    const path = `spec.matchConstraints.resourceRules[${index}].resources[${at}]`;
    const all = rule.apiGroups.map((group) => {
      const name = { group, version, resource };
      return { ...name, path, known: knownKind(name) ?? world.ruleKind(name) };
    });
    // Where several groups and resources stand together, each resource is meant in the groups that have it.
    return all.filter(({ known }) => known !== undefined || all.every((other) => other.known === undefined));
  });
}

function knownKind({ group, resource }: ResourceName): RuleKind | undefined {
  return KNOWN_KINDS.find((kind) => kind.group === group && kind.resource === resource);
}

function forbidden({ group, resource, path }: Matched, why: string): Finding {
  return finding("FL705", path, {
    message: `Found ${nameOf(group, resource)}, wanted resources that rules may judge: ${why}`,
    fix: resource === "*" || group === "*" ? "name the resources, such as services" : "remove it",
  });
}

function uncheckedFinding({ group, resource, path }: Matched): Finding {
  const isStar = group === "*" || resource === "*";
  return finding("FL706", path, {
    message: `Found ${nameOf(group, resource)}, whose fields are not known${isStar ? "" : " here"}, so object is not checked`,
    fix: isStar
      ? "name the resources, then expressions are checked"
      : "try the rule on an object: fairlead review, or fairlead test",
  });
}

function nameOf(group: string, resource: string): string {
  return group === "" ? quote(resource) : `${quote(resource)} of the group ${group}`;
}

/** A selector that fits only namespaces that are never judged. */
function namespaceFindings({ namespaceSelector }: Constraints, excluded: ReadonlySet<string>): readonly Finding[] {
  const names = lowerSelector(namespaceSelector).find(
    ({ key, operator, values }) =>
      key === NAMESPACE_NAME_LABEL && operator === "In" && values.every((value) => excluded.has(value)),
  );
  if (names === undefined) return [];
  const message = `Found the namespaces ${names.values.join(", ")} only, which are never judged`;
  return [
    finding("FL705", "spec.matchConstraints.namespaceSelector", { message, fix: "select namespaces of your own" }),
  ];
}
