import { FAIRLEAD_GROUP, SERVICE_KIND, TARGET_KINDS, type TargetKind } from "../names.ts";
import { ROUTE_KINDS } from "../rules/affected.ts";
import { readsEffect } from "../rules/judge-effect.ts";
import { whyForbidden } from "../rules/kinds.ts";
import type { CompiledRule, FailurePolicy, MatchConstraints, Selector, SelectorRequirement } from "../rules/rule.ts";
import { namespaceSelector, TIMEOUT_SECONDS, type Webhook, type WebhookRule } from "./registration.ts";
import type { Phase } from "./review.ts";

/** The entry of the rules with each failure policy, and the door that it asks. */
export const RULE_WEBHOOKS = [
  { name: "rules-fail.fairlead.dev", failurePolicy: "Fail", door: "rules-fail" },
  { name: "rules-ignore.fairlead.dev", failurePolicy: "Ignore", door: "rules-ignore" },
] as const satisfies readonly { name: string; failurePolicy: FailurePolicy; door: Phase }[];

/** What an entry of rules matches; where it is sent follows from the entries beside it. */
export type RuleWebhook = Omit<Webhook, "clientConfig">;

/** With the webhook dead an object that is being deleted can still lose its finalizers; Fairlead lets it pass anyway. */
const NOT_BEING_DELETED = "!(has(object.metadata) && has(object.metadata.deletionTimestamp))";
const POLICIES = { group: FAIRLEAD_GROUP, resource: "resiliencepolicies" } as const;
const SERVICE_RULE = {
  apiGroups: [SERVICE_KIND.group],
  apiVersions: ["v1"],
  resources: [SERVICE_KIND.resource],
} as const;
const POLICY_RULE = { apiGroups: [POLICIES.group], apiVersions: ["v1alpha1"], resources: [POLICIES.resource] } as const;

/** As {@link NOT_BEING_DELETED} for the finalizers of a policy: only its spec has an effect. No part of it can fail. */
const POLICY_SPEC_CHANGES =
  `request.resource.group != "${POLICIES.group}" || request.resource.resource != "${POLICIES.resource}" || ` +
  'request.operation == "CREATE" || !has(object.spec) || !has(oldObject.spec) || object.spec != oldObject.spec';

/**
 * What the API server has to ask about so that these rules hold, and no more: an entry for each failure policy that
 * has rules. The same rules in any order give the same entries. Conditions of rules stay in Fairlead: in a webhook one
 * that cannot be evaluated skips the webhook, or refuses the write in words that are not the rule's.
 */
export function ruleWebhooks(rules: readonly CompiledRule[], never: Iterable<string>): readonly RuleWebhook[] {
  const excluded = [...never];
  return RULE_WEBHOOKS.flatMap(({ name, failurePolicy }) => {
    const asked = rules.filter((rule) => rule.failurePolicy === failurePolicy);
    const matched = asked.map(({ match }) => match);
    const sent = mergedRules(asked);
    if (sent.length === 0) return [];
    const asksPolicies = sent.some((each) => names(each, POLICIES));
    // A rule that names policies itself judges their labels as well, not only what they do.
    const onlyByEffect = !matched.some(({ resourceRules }) => resourceRules.some((each) => names(each, POLICIES)));
    return [
      {
        name,
        rules: sent,
        namespaceSelector: {
          matchExpressions: [...namespaceSelector(excluded), ...requirementsOf(shared(matched, "namespaceSelector"))],
        },
        // The labels of a policy say nothing about those of its targets.
        objectSelector: asksPolicies ? {} : selectorOf(shared(matched, "objectSelector")),
        matchConditions: [
          { name: "not-being-deleted", expression: NOT_BEING_DELETED },
          ...(asksPolicies && onlyByEffect ? [{ name: "policy-spec-changes", expression: POLICY_SPEC_CHANGES }] : []),
        ],
        failurePolicy,
        matchPolicy: "Equivalent",
        sideEffects: "None",
        timeoutSeconds: TIMEOUT_SECONDS,
        admissionReviewVersions: ["v1"],
      },
    ];
  });
}

type SelectorField = "namespaceSelector" | "objectSelector";

/** The requirements that every rule makes: what fails one of them is matched by none. */
function shared(matched: readonly MatchConstraints[], field: SelectorField): Selector {
  const [first, ...others] = matched.map((match) => new Map(match[field].map((each) => [keyOf(each), each])));
  const common = [...(first ?? [])].filter(([key]) => others.every((other) => other.has(key)));
  return common.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, requirement]) => requirement);
}

function keyOf({ key, operator, values }: SelectorRequirement): string {
  return JSON.stringify([key, operator, ...values.toSorted()]);
}

function selectorOf(selector: Selector): NonNullable<Webhook["objectSelector"]> {
  return selector.length === 0 ? {} : { matchExpressions: requirementsOf(selector) };
}

function requirementsOf(selector: Selector): Webhook["namespaceSelector"]["matchExpressions"] {
  return selector.map(({ key, operator, values }) => ({
    key,
    operator,
    ...(values.length > 0 && { values: values.toSorted() }),
  }));
}

/** One resource in one version, `*` for any, with the operations on it. */
interface Cell {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly operations: ReadonlySet<string>;
}

const OPERATIONS = ["CREATE", "UPDATE"] as const;

function mergedRules(matched: readonly CompiledRule[]): readonly WebhookRule[] {
  const cells = new Map<string, Cell>();
  for (const each of matched) {
    for (const rule of [...each.match.resourceRules, ...writesWithEffect(each)]) {
      const operations = OPERATIONS.filter((each) => rule.operations.some((found) => found === each || found === "*"));
      for (const group of rule.apiGroups)
        for (const version of rule.apiVersions)
          for (const resource of rule.resources) addCell(cells, { group, version, resource, operations });
    }
  }
  const needed = [...cells.values()].filter((cell) => !isCovered(cell, cells));
  return folded(needed);
}

/** The writes that change what is in force on objects that the rule is about (rules/affected.ts). */
function writesWithEffect(rule: CompiledRule): readonly Omit<WebhookRule, "scope">[] {
  const isAbout = (kinds: readonly TargetKind[]): boolean =>
    kinds.some((kind) => rule.match.resourceRules.some((each) => names(each, kind)));
  return [
    ...(isAbout(TARGET_KINDS) ? [{ ...POLICY_RULE, operations: OPERATIONS }] : []),
    ...(isAbout(ROUTE_KINDS) && readsEffect(rule) ? [{ ...SERVICE_RULE, operations: OPERATIONS }] : []),
  ];
}

function names(
  { apiGroups, resources }: Pick<WebhookRule, "apiGroups" | "resources">,
  { group, resource }: { readonly group: string; readonly resource: string },
): boolean {
  return (
    [group, "*"].some((each) => apiGroups.includes(each)) && [resource, "*"].some((each) => resources.includes(each))
  );
}

/** A rule that asks for what is never matched is refused when it is written; here it is dropped once more. */
function addCell(cells: Map<string, Cell>, cell: Omit<Cell, "operations"> & { operations: readonly string[] }): void {
  const { group, version, resource } = cell;
  if (whyForbidden({ group, resource }) !== undefined || cell.operations.length === 0) return;
  const key = cellKey(group, version, resource);
  const operations = new Set([...(cells.get(key)?.operations ?? []), ...cell.operations]);
  cells.set(key, { group, version, resource, operations });
}

function cellKey(group: string, version: string, resource: string): string {
  return `${group}/${version}/${resource}`;
}

/** Whether a wider cell asks for all of this one. */
function isCovered(cell: Cell, cells: ReadonlyMap<string, Cell>): boolean {
  const { group, version, resource, operations } = cell;
  for (const g of new Set([group, "*"]))
    for (const v of new Set([version, "*"]))
      for (const r of new Set([resource, "*"])) {
        const wider = cells.get(cellKey(g, v, r));
        if (wider !== undefined && wider !== cell && [...operations].every((each) => wider.operations.has(each)))
          return true;
      }
  return false;
}

/** Cells that differ in one thing only become one rule: first versions, then resources, then groups. */
function folded(cells: readonly Cell[]): readonly WebhookRule[] {
  const single = cells.map(({ group, version, resource, operations }) => ({
    apiGroups: [group],
    apiVersions: [version],
    operations: OPERATIONS.filter((each) => operations.has(each)),
    resources: [resource],
    scope: "Namespaced" as const,
  }));
  const fields = ["apiVersions", "resources", "apiGroups"] as const;
  const rules = fields.reduce<readonly WebhookRule[]>(foldBy, single);
  return rules.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

function foldBy(
  rules: readonly WebhookRule[],
  field: "apiVersions" | "resources" | "apiGroups",
): readonly WebhookRule[] {
  const byRest = Map.groupBy(rules, (rule) => JSON.stringify({ ...rule, [field]: [] }));
  return [...byRest.values()].flatMap(([first, ...others]) => {
    if (first === undefined) return [];
    const values = [first, ...others].flatMap((rule) => rule[field]);
    return [{ ...first, [field]: [...new Set(values)].sort() }];
  });
}
