import type { KubernetesObject } from "../kubernetes.ts";
import type { Mode } from "../names.ts";
import { type Finding, sortFindings } from "../finding.ts";
import { judgeAll, type Judged } from "../rules/judge.ts";
import { judgeEffect } from "../rules/judge-effect.ts";
import { resourceOf, type Resource } from "../rules/match.ts";
import type { CompiledRule } from "../rules/rule.ts";
import { rulesFor } from "../rules/rule-index.ts";
import type { World } from "../world.ts";
import { modeOf } from "./mode.ts";
import { ALLOWED, type AdmissionRequest, type Verdict } from "./review.ts";
import { denialText, warningTexts } from "./text.ts";

/**
 * What the rules with the failure policy of the door say of a write, in namespaces that opted in. Every rule is asked,
 * so that all that is wrong is told at once.
 */
export function decideRules(request: AdmissionRequest, object: KubernetesObject, world: World): Verdict {
  const rules = world.rules();
  // No rule is about what lies in no namespace, nor about a part of an object (compile-match.ts refuses those that are).
  if (rules.length === 0 || request.namespace === "" || request.attributes?.["subResource"]) return ALLOWED;
  const { mode } = modeOf(request.namespace, world);
  if (mode === undefined) return ALLOWED;
  const failurePolicy = request.phase === "rules-fail" ? "Fail" : "Ignore";
  const rulesOf = (resource: Resource): readonly CompiledRule[] => rulesFor(rules, resource, failurePolicy);
  const subject = { request, object, oldObject: request.operation === "UPDATE" ? request.oldObject : undefined, world };
  const judged = judgeAll(rulesOf(resourceOf(request)), subject);
  const isRefusing = mode === "enforce" && !isByController(request, world);
  const spent = judged.reduce((sum, { result }) => sum + result.cost, 0);
  const effect = judgeEffect(subject, { rulesOf, spent });
  const all = effect.judged.length === 0 ? judged : [...judged, ...effect.judged];
  return verdictOf(request, all, { mode, isRefusing, beside: effect.findings });
}

/**
 * The controller makes true on targets what policies say, and a policy was judged by its effect when it was written. To
 * refuse this write would leave on a target what a policy that is gone has put there.
 */
function isByController({ attributes }: AdmissionRequest, { defaults }: World): boolean {
  const userInfo = attributes?.["userInfo"] as { readonly username?: unknown } | undefined;
  return defaults.controllerUser !== undefined && userInfo?.username === defaults.controllerUser;
}

interface Speaking {
  readonly mode: Mode;
  readonly isRefusing: boolean;
  /** Findings that are of no rule. */
  readonly beside: readonly Finding[];
}

function verdictOf(request: AdmissionRequest, judged: readonly Judged[], speaking: Speaking): Verdict {
  const { mode, isRefusing, beside } = speaking;
  const rules = judged.map(({ result }) => result);
  if (beside.length === 0 && judged.every(saysNothing)) return { ...ALLOWED, mode, rules };
  const auditAnnotations = auditAnnotationsOf(judged, mode);
  const findings = sortFindings([...judged.flatMap((one) => one.findings), ...beside]);
  const base = { ...ALLOWED, mode, rules, ...(auditAnnotations !== undefined && { auditAnnotations }) };
  if (findings.length === 0) return base;
  const denied = isRefusing && findings.some((item) => item.severity === "deny");
  const { kind, namespace, name, object } = request;
  const subject = `${kind.kind} ${namespace}/${name || `${object?.metadata?.generateName ?? ""}*`}`;
  // What is only recorded warns nobody.
  const shown = findings.filter(({ code }) => code !== "FL722");
  return {
    ...base,
    allowed: !denied,
    findings,
    warnings: mode === "audit" ? [] : warningTexts(shown, mode),
    ...(denied && {
      message: denialText(subject, findings),
      reason: judged.find(({ reason }) => reason !== "")?.reason ?? "Invalid",
    }),
  };
}

function saysNothing({ findings, messages, annotations }: Judged): boolean {
  return findings.length === 0 && messages.length === 0 && annotations.length === 0;
}

/** As in a ValidatingAdmissionPolicy; its key for violations is its own word. */
const VIOLATIONS_KEY = "validation_failure";

/** What rules say for the audit log, and the violations that are recorded only: by the action Audit, or in audit mode. */
function auditAnnotationsOf(judged: readonly Judged[], mode: Mode): Readonly<Record<string, string>> | undefined {
  const entries = judged.flatMap(({ rule, annotations, messages }) => {
    const isRecorded = messages.length > 0 && (mode === "audit" || rule.actions.has("Audit"));
    const all = isRecorded ? [...annotations, [VIOLATIONS_KEY, messages.join("; ")] as const] : annotations;
    return all.map(([key, value]) => [annotationKey(rule.name, key), value] as const);
  });
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

/** The part behind the slash of a qualified name (k8s.io/apimachinery IsQualifiedName); longer ones the API server drops. */
const KEY_LENGTH_MAX = 63;

/** `<rule>.<key>`; a long name of a rule loses its end. */
function annotationKey(rule: string, key: string): string {
  const name = rule.slice(0, Math.max(0, KEY_LENGTH_MAX - key.length - 1)).replace(/[-.]+$/, "");
  return name === "" ? key : `${name}.${key}`;
}
