import { groupOf, type KubernetesObject } from "../kubernetes.ts";
import { attributesOf, type Subject } from "../rules/activation.ts";
import { judgeAll, type Judged } from "../rules/judge.ts";
import { namesOperation, type Resource, resourceOfKind } from "../rules/match.ts";
import { rulesFor } from "../rules/rule-index.ts";
import type { CompiledRule } from "../rules/rule.ts";
import type { World } from "../world.ts";

/** What a rule makes of an object that exists. */
export interface AuditResult {
  readonly rule: string;
  /** `error`: the rule cannot be evaluated on the object. */
  readonly result: "fail" | "error";
  /** What the rule does to a write: Deny is high, Warn is medium, Audit alone is low. */
  readonly severity: Severity;
  readonly message: string;
  readonly fix: string;
  readonly object: AuditedObject;
}

export const SEVERITIES = ["high", "medium", "low"] as const;
type Severity = (typeof SEVERITIES)[number];

/** A reference, as reports hold it. */
export interface AuditedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid?: string;
}

export interface AuditOptions {
  readonly world: World;
  /** When it is asked: exceptions end by it. */
  readonly nowMs: number;
  /** Where the kind alone does not tell it. */
  readonly resource?: Resource;
}

/**
 * What the rules say of an object that exists, whatever the mode of its namespace: as if it were created now, or, of rules
 * that are about updates only, as if an update changed nothing of it. Nothing is tolerated because it was so before. One
 * rule a step, so that the caller can let others run between.
 */
export function* auditObject(object: KubernetesObject, options: AuditOptions): Generator<readonly AuditResult[]> {
  const { world, nowMs } = options;
  const { apiVersion = "v1", kind = "", metadata } = object;
  const { namespace = "", name = "", uid, deletionTimestamp } = metadata ?? {};
  if (deletionTimestamp) return;
  const groupKind = { group: groupOf(apiVersion), kind };
  const resource = options.resource ?? { group: groupKind.group, resource: resourceOfKind(groupKind) };
  const audited = { apiVersion, kind, namespace, name, ...(uid !== undefined && { uid }) };
  const write = { nowMs, uid: "", kind: groupKind, namespace, name, object } as const;
  for (const [phase, failurePolicy] of [["rules-fail", "Fail"] as const, ["rules-ignore", "Ignore"] as const]) {
    const subjectOf = (operation: "CREATE" | "UPDATE"): Subject => {
      const oldObject = operation === "CREATE" ? undefined : object;
      const asked = { ...write, phase, operation, oldObject, attributes: { resource } } as const;
      return { request: { ...asked, attributes: attributesOf(asked) }, object, oldObject, world };
    };
    const created = subjectOf("CREATE");
    for (const rule of rulesFor(world.rules(), resource, failurePolicy)) {
      const isCreated = namesOperation(rule.match.resourceRules, resource, "CREATE");
      const [judged] = isCreated ? judgeAll([rule], created) : judgeAll([intolerant(rule)], subjectOf("UPDATE"));
      yield judged === undefined ? NOTHING : resultsOf(judged, audited);
    }
  }
}

/** What was so before is what an audit is about. */
function intolerant(rule: CompiledRule): CompiledRule {
  return { ...rule, existingViolations: "Deny" };
}

const NOTHING: readonly never[] = [];

function resultsOf({ rule, result: { outcome }, findings }: Judged, object: AuditedObject): readonly AuditResult[] {
  if (outcome !== "violated" && outcome !== "error") return [];
  const result = outcome === "error" ? "error" : "fail";
  return findings.map(({ message, fix }) => ({
    rule: rule.name,
    result,
    severity: severityOf(rule),
    message,
    fix,
    object,
  }));
}

function severityOf({ actions }: CompiledRule): Severity {
  if (actions.has("Deny")) return "high";
  return actions.has("Warn") ? "medium" : "low";
}
