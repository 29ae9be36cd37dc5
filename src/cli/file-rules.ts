import { compareStrings } from "../core/finding.ts";
import { groupOf, type KubernetesObject } from "../core/kubernetes.ts";
import { FAIRLEAD_GROUP } from "../core/names.ts";
import { compileException } from "../core/rules/compile-exception.ts";
import { compileRule, type RuleCompilation, type RuleOptions } from "../core/rules/compile-rule.ts";
import { compileVap, isValidatingAdmissionPolicy } from "../core/rules/compile-vap.ts";
import type { CompiledException, CompiledRule } from "../core/rules/rule.ts";

export function isRule(object: KubernetesObject): boolean {
  return isOurs(object, "AdmissionRule") || isValidatingAdmissionPolicy(object);
}

export function isException(object: KubernetesObject): boolean {
  return isOurs(object, "RuleException");
}

function isOurs({ apiVersion = "", kind }: KubernetesObject, wanted: string): boolean {
  return kind === wanted && groupOf(apiVersion) === FAIRLEAD_GROUP;
}

/** A ValidatingAdmissionPolicy counts as a rule. */
export function compileAnyRule(object: KubernetesObject, options: RuleOptions): RuleCompilation {
  return isValidatingAdmissionPolicy(object) ? compileVap(object, options) : compileRule(object, options);
}

/** Rules and exceptions of files, as far as they compile. Of two with one name the later one counts. */
export class FileRules {
  readonly all: readonly CompiledRule[];
  readonly #exceptions: ReadonlyMap<string, readonly CompiledException[]>;

  constructor(objects: readonly KubernetesObject[], options: RuleOptions) {
    const rules = objects.filter(isRule).flatMap((object) => compileAnyRule(object, options).rule ?? []);
    const byName = new Map(rules.map((rule) => [rule.name, rule]));
    this.all = [...byName.values()].sort((a, b) => compareStrings(a.name, b.name));
    const exceptions = objects.filter(isException).flatMap((object) => compileException(object).exception ?? []);
    const latest = new Map(exceptions.map((item) => [`${item.namespace}/${item.name}`, item]));
    this.#exceptions = Map.groupBy(latest.values(), ({ namespace }) => namespace);
  }

  exceptionsIn(namespace: string): readonly CompiledException[] {
    return this.#exceptions.get(namespace) ?? [];
  }
}
