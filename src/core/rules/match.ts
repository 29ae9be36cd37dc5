import type { AdmissionRequest } from "../admission/review.ts";
import { type GroupKind, type KubernetesObject, labelsOf, type StringMap } from "../kubernetes.ts";
import { NAMESPACE_NAME_LABEL, targetKindOf } from "../names.ts";
import type { World } from "../world.ts";
import type { MatchConstraints, ResourceRule, Selector, SelectorRequirement } from "./rule.ts";

/** Whether a rule applies to a request, as far as `matchConstraints` say. */
export type Match =
  | { readonly matches: true }
  /** `because`: which part of the rule said no. */
  | { readonly matches: false; readonly because: string }
  /** It cannot be told, which is the failure policy and never "no". */
  | { readonly matches: undefined; readonly problem: string };

export interface Resource {
  readonly group: string;
  readonly resource: string;
}

const MATCHES: Match = Object.freeze({ matches: true });
const OTHER_RESOURCE = no("resourceRules name other resources or operations");
const EXCLUDED = no("excludeResourceRules name it");
const OTHER_OBJECT = no("objectSelector selects neither the object nor the old one");
const OTHER_NAMESPACE = no("namespaceSelector does not select the namespace");

function no(because: string): Match {
  return Object.freeze({ matches: false, because });
}

/** What a request is about: what the API server says, else what its kind is usually called. */
export function resourceOf({ attributes, kind }: AdmissionRequest): Resource {
  const stated = attributes?.["resource"];
  if (typeof stated === "object" && stated !== null) {
    const { group = "", resource } = stated as { readonly group?: unknown; readonly resource?: unknown };
    if (typeof group === "string" && typeof resource === "string") return { group, resource };
  }
  return { group: kind.group, resource: resourceOfKind(kind) };
}

/** The plural in lower case, as UnsafeGuessKindToResource of k8s.io/apimachinery has it, but `gateways`. */
export function resourceOfKind({ group, kind }: GroupKind): string {
  const known = targetKindOf(group, kind);
  if (known !== undefined) return known.resource;
  const singular = kind.toLowerCase();
  if (singular.endsWith("endpoints")) return singular;
  if (singular.endsWith("s")) return `${singular}es`;
  return /[^aeiou]y$/.test(singular) ? `${singular.slice(0, -1)}ies` : `${singular}s`;
}

/**
 * Whether one of the rules names this resource. The version is not looked at: with matchPolicy Equivalent it says which
 * one the API server converts to, not what is matched.
 */
export function namesResource(rules: readonly ResourceRule[], resource: Resource): boolean {
  return rules.some((rule) => names(rule, resource));
}

/** Whether one of the rules names this resource with this operation. */
export function namesOperation(rules: readonly ResourceRule[], resource: Resource, operation: string): boolean {
  return rules.some((rule) => has(rule.operations, operation) && names(rule, resource));
}

function names({ apiGroups, resources }: ResourceRule, { group, resource }: Resource): boolean {
  return has(apiGroups, group) && (resources.includes("*/*") || has(resources, resource));
}

/** What a rule is held against; `resource` is that of the request. */
export interface Matchable {
  readonly request: AdmissionRequest;
  readonly resource: Resource;
  readonly world: World;
}

/** Of a rule whose resourceRules name the resource of the request, what is left to look at. */
export function matchOf(constraints: MatchConstraints, { request, resource, world }: Matchable): Match {
  const { objectSelector, namespaceSelector, resourceRules, excludeResourceRules } = constraints;
  if (!applies(resourceRules, resource, request)) return OTHER_RESOURCE;
  if (applies(excludeResourceRules, resource, request)) return EXCLUDED;
  if (objectSelector.length > 0 && !selectsEither(objectSelector, request)) return OTHER_OBJECT;
  return namespaceSelector.length === 0 ? MATCHES : namespaceMatch(namespaceSelector, request.namespace, world);
}

function applies(rules: readonly ResourceRule[], resource: Resource, request: AdmissionRequest): boolean {
  for (const rule of rules) {
    const { operations, resourceNames } = rule;
    if (!has(operations, request.operation)) continue;
    if (resourceNames.length > 0 && !resourceNames.includes(request.name)) continue;
    if (names(rule, resource)) return true;
  }
  return false;
}

function has(list: readonly string[], item: string): boolean {
  return list.includes(item) || list.includes("*");
}

/** As the API server: one of the two objects is enough, so that taking a label off does not take the rule off. */
function selectsEither(selector: Selector, { object, oldObject }: AdmissionRequest): boolean {
  return selectsObject(selector, object) || selectsObject(selector, oldObject);
}

export function selectsObject(selector: Selector, object: KubernetesObject | undefined): boolean {
  return object !== undefined && selects(selector, labelsOf(object));
}

function selects(selector: Selector, labels: StringMap): boolean {
  return selector.every((requirement) => holds(requirement, labels));
}

function holds({ key, operator, values }: SelectorRequirement, labels: StringMap): boolean {
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
  switch (operator) {
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      break;
  }
  return value === undefined || !values.includes(value);
}

/** Of a namespace that the world does not know only its name can be told. */
function namespaceMatch(selector: Selector, name: string, world: World): Match {
  const info = world.namespace(name);
  const named = { [NAMESPACE_NAME_LABEL]: name };
  if (info === undefined && selector.some(({ key }) => key !== NAMESPACE_NAME_LABEL)) {
    return { matches: undefined, problem: `namespace ${name} is not known, so namespaceSelector cannot be asked` };
  }
  return selects(selector, { ...info?.labels, ...named }) ? MATCHES : OTHER_NAMESPACE;
}
