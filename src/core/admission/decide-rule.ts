import { nearest } from "../../api/nearest.ts";
import { type Finding, finding } from "../finding.ts";
import type { KubernetesObject } from "../kubernetes.ts";
import { compileException } from "../rules/compile-exception.ts";
import { compileRule } from "../rules/compile-rule.ts";
import { EXCEPTION_MAX_MS, EXCEPTION_WARNING_MS, SERVE_LIMITS } from "../rules/limits.ts";
import type { CompiledException, CompiledRule } from "../rules/rule.ts";
import { timeText } from "../rules/time-text.ts";
import type { World } from "../world.ts";
import { judgeOwn, withNamespace } from "./own-kind.ts";
import type { AdmissionRequest, Verdict } from "./review.ts";

/** A write of an AdmissionRule: it must compile. */
export function decideRule(request: AdmissionRequest, object: KubernetesObject, world: World): Verdict {
  const { excludedNamespaces, ruleLimits = SERVE_LIMITS } = world.defaults;
  const { rule, findings } = compileRule(object, { kinds: world, excludedNamespaces, costMax: ruleLimits.rule });
  return judgeOwn(request, rule ? [...findings, ...paramsFindings(rule, world)] : findings, world);
}

function paramsFindings({ params }: CompiledRule, world: World): readonly Finding[] {
  if (params.kind !== "configMap" || world.paramsConfigMap(params.name) !== undefined) return [];
  return [
    finding("FL708", "spec.paramRef.name", {
      message: `ConfigMap ${params.name} does not exist in the namespace of Fairlead`,
      fix: "create it there, not in the namespaces of the objects",
    }),
  ];
}

/**
 * A write of a RuleException. Who may write one for which rule is not asked here: a ValidatingAdmissionPolicy of the chart
 * asks it in the API server, where it holds also while Fairlead is down.
 */
export function decideException(request: AdmissionRequest, object: KubernetesObject, world: World): Verdict {
  const { exception, findings } = compileException(withNamespace(object, request.namespace));
  const more =
    exception === undefined ? [] : [...ruleFindings(exception, world), ...endFindings(exception, request.nowMs)];
  return judgeOwn(request, [...findings, ...more], world);
}

function ruleFindings({ rules }: CompiledException, world: World): readonly Finding[] {
  const known = new Map(world.rules().map((rule) => [rule.name, rule]));
  return rules.flatMap((name, index) => {
    const path = `spec.rules[${index}]`;
    const rule = known.get(name);
    if (rule === undefined) return [unknownRule(path, name, [...known.keys()])];
    if (rule.exceptionsAllowed) return [];
    const message = `AdmissionRule ${name} allows no exceptions`;
    const fix = "keep the rule, or ask its owner to set exceptionsAllowed: true";
    return [finding("FL710", path, { message, fix })];
  });
}

function unknownRule(path: string, name: string, known: readonly string[]): Finding {
  const near = nearest(name, known);
  return finding("FL711", path, {
    message: `There is no AdmissionRule ${name} that could be excepted from`,
    fix: near === undefined ? "check the name: kubectl get admissionrules" : `did you mean ${near}?`,
  });
}

function endFindings({ expiresAtMs }: CompiledException, nowMs: number): readonly Finding[] {
  const path = "spec.expiresAt";
  const latest = timeText(nowMs + EXCEPTION_MAX_MS);
  const fix = `write a time until ${latest}`;
  if (expiresAtMs <= nowMs) {
    const message = `Found ${timeText(expiresAtMs)}, which is past, wanted a time within the next 90 days`;
    return [finding("FL712", path, { message, fix })];
  }
  if (expiresAtMs > nowMs + EXCEPTION_MAX_MS) {
    const message = `Found ${timeText(expiresAtMs)}, wanted a time within the next 90 days`;
    return [finding("FL712", path, { message, fix: `${fix}, and renew the exception if it is still needed then` })];
  }
  if (expiresAtMs > nowMs + EXCEPTION_WARNING_MS) return [];
  const message = `The exception ends at ${timeText(expiresAtMs)}, within seven days`;
  return [finding("FL713", path, { message, fix: "keep the rules by then, or write a later time" })];
}
