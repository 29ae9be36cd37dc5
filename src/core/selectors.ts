import { isRecord } from "../api/problem.ts";
import { recordsIn, type StringMap } from "./kubernetes.ts";

/**
 * How the Pods of a label selector relate to those of a Service: `covers` all of them, has them `within` and no others,
 * has none (`apart`), or nobody can tell from the labels that are named (`may overlap`).
 */
export type SelectorRelation = "covers" | "within" | "apart" | "may overlap";

interface Requirement {
  readonly key?: unknown;
  readonly operator?: unknown;
  readonly values?: unknown;
}

/** `labels`: the selector of the Service. An absent or empty selector has every Pod of the namespace. */
export function selectorRelation(selector: unknown, labels: StringMap): SelectorRelation {
  const requirements = requirementsOf(selector);
  const verdicts = requirements.map((requirement) => holds(requirement, labels));
  if (verdicts.includes(false)) return "apart";
  if (!verdicts.includes(undefined)) return "covers";
  const isWithin = Object.entries(labels).every(([key, value]) => requirements.some((it) => demands(it, key, value)));
  return isWithin ? "within" : "may overlap";
}

/** Whether a label selector chooses an object that has these labels and no others; an empty one chooses every object. */
export function chooses(selector: unknown, labels: StringMap): boolean {
  return requirementsOf(selector).every((it) => holds(it, labels) ?? HOLD_WITHOUT_LABEL.has(it.operator));
}

const HOLD_WITHOUT_LABEL: ReadonlySet<unknown> = new Set(["NotIn", "DoesNotExist"]);

function requirementsOf(selector: unknown): readonly Requirement[] {
  const { matchLabels, matchExpressions } = isRecord(selector) ? selector : {};
  const wanted = isRecord(matchLabels) ? matchLabels : {};
  return [
    ...Object.entries(wanted).map(([key, value]) => ({ key, operator: "In", values: [value] })),
    ...(Array.isArray(matchExpressions) ? recordsIn(matchExpressions as readonly Requirement[]) : []),
  ];
}

/** Whether it holds for every Pod with these labels (true), for none (false), or depends on their other labels. */
function holds({ key, operator, values }: Requirement, labels: StringMap): boolean | undefined {
  const found = Object.hasOwn(labels, String(key)) ? labels[String(key)] : undefined;
  if (found === undefined) return undefined;
  const isListed = Array.isArray(values) && values.includes(found);
  switch (operator) {
    case "In":
      return isListed;
    case "NotIn":
      return !isListed;
    case "Exists":
      return true;
    case "DoesNotExist":
      return false;
    default:
      return undefined;
  }
}

function demands({ key, operator, values }: Requirement, wantedKey: string, value: string): boolean {
  return key === wantedKey && operator === "In" && Array.isArray(values) && values.length === 1 && values[0] === value;
}
