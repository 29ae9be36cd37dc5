import { type RuleCompilation, type RuleOptions, compileRule } from "../../src/core/rules/compile-rule.ts";
import { EXCLUDED_NAMESPACES } from "../../src/core/names.ts";

export const OPTIONS: RuleOptions = {
  kinds: { ruleKind: () => undefined },
  excludedNamespaces: new Set(EXCLUDED_NAMESPACES),
};

/** Matches every write of one resource. */
export function matching(resource: string, group = ""): object {
  return {
    resourceRules: [
      { apiGroups: [group], apiVersions: ["v1"], operations: ["CREATE", "UPDATE"], resources: [resource] },
    ],
  };
}

/** An AdmissionRule about Services, with these fields of its spec. */
export function ruleObject(spec: object): object {
  return {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "AdmissionRule",
    metadata: { name: "timeout-required" },
    spec: { matchConstraints: matching("services"), ...spec },
  };
}

/** Compiles a rule about Services with one validation and these further fields. */
export function compileOne(expression: string, spec: object = {}, options: Partial<RuleOptions> = {}): RuleCompilation {
  return compileRule(ruleObject({ validations: [{ expression }], ...spec }), { ...OPTIONS, ...options });
}

/** `FL702 spec.validations[0].expression: message; fix`, each. */
export function texts({ findings }: Pick<RuleCompilation, "findings">): readonly string[] {
  return findings.map(({ code, path, message, fix }) => `${code} ${path}: ${message}; ${fix}`);
}
