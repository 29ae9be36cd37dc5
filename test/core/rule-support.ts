import type { Verdict } from "../../src/core/admission/review.ts";
import { decide } from "../../src/core/admission/decide.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { compile, type Program } from "../../src/core/rules/cel/cel.ts";
import type { Type } from "../../src/core/rules/cel/types.ts";
import { kubernetesLibraries } from "../../src/core/rules/library/all.ts";
import type {
  CompiledException,
  CompiledRule,
  CompiledValidation,
  MatchConstraints,
  ResourceRule,
  RuleParams,
  Selector,
} from "../../src/core/rules/rule.ts";
import type { World, WorldDefaults } from "../../src/core/world.ts";
import { NOW_MS, requestOf, worldOf } from "./worlds.ts";

const DYN: Type = { kind: "dyn" };
const NAMES = "object oldObject request namespaceObject params variables effective policies mesh".split(" ");
const ENVIRONMENT = {
  variables: Object.fromEntries(NAMES.map((name) => [name, DYN])),
  libraries: kubernetesLibraries("1.36"),
  typed: false,
};

export function programOf(text: string): Program {
  const compiled = compile(text, ENVIRONMENT);
  if (!compiled.ok) throw new Error(`${text}: ${compiled.problems.map(({ message }) => message).join(", ")}`);
  return compiled.program;
}

export function resources(change: Partial<ResourceRule> = {}): ResourceRule {
  return {
    apiGroups: [""],
    apiVersions: ["*"],
    operations: ["CREATE", "UPDATE"],
    resources: ["services"],
    resourceNames: [],
    ...change,
  };
}

export const EVERYTHING: Selector = [];

export interface RuleText {
  readonly name?: string;
  readonly match?: Partial<MatchConstraints>;
  readonly conditions?: readonly string[];
  readonly params?: RuleParams;
  readonly variables?: Readonly<Record<string, string>>;
  /** An expression, or more of a validation. */
  readonly validations: readonly (string | ValidationText)[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly actions?: readonly ("Deny" | "Warn" | "Audit")[];
  readonly failurePolicy?: "Fail" | "Ignore";
  readonly exceptionsAllowed?: boolean;
  readonly existingViolations?: "Allow" | "Deny";
}

export interface ValidationText extends Partial<Pick<CompiledValidation, "message" | "reason" | "fix">> {
  readonly expression: string;
  readonly messageExpression?: string;
}

function named(texts: Readonly<Record<string, string>>): CompiledRule["variables"] {
  return Object.entries(texts).map(([name, text]) => ({ name, program: programOf(text) }));
}

/** A rule for Services that denies. */
export function rule(text: RuleText): CompiledRule {
  const { name = "a-rule", match = {}, conditions = [], params = { kind: "none" }, failurePolicy = "Fail" } = text;
  return {
    name,
    match: {
      namespaceSelector: EVERYTHING,
      objectSelector: EVERYTHING,
      resourceRules: [resources()],
      excludeResourceRules: [],
      ...match,
    },
    matchConditions: conditions.map((condition, index) => ({ name: `c${index}`, program: programOf(condition) })),
    params,
    variables: named(text.variables ?? {}),
    validations: text.validations.map((validation) => {
      const {
        expression,
        messageExpression,
        message = "",
        reason = "Invalid",
        fix = "",
      } = typeof validation === "string" ? { expression: validation } : validation;
      const dynamic = messageExpression === undefined ? undefined : programOf(messageExpression);
      return { program: programOf(expression), message, messageExpression: dynamic, reason, fix };
    }),
    auditAnnotations: named(text.annotations ?? {}),
    actions: new Set(text.actions ?? ["Deny"]),
    failurePolicy,
    exceptionsAllowed: text.exceptionsAllowed ?? false,
    existingViolations: text.existingViolations ?? "Allow",
  };
}

export function exception(change: Partial<CompiledException> = {}): CompiledException {
  return {
    namespace: "iam",
    name: "for-now",
    rules: ["a-rule"],
    objectNames: ["user-service"],
    selector: undefined,
    owner: "team-iam",
    reason: "a migration",
    expiresAtMs: NOW_MS + 30 * 24 * 3_600_000,
    ...change,
  };
}

export interface RuleParts {
  readonly rules: readonly CompiledRule[];
  readonly exceptions?: readonly CompiledException[];
  readonly configMaps?: readonly KubernetesObject[];
  readonly defaults?: Partial<WorldDefaults>;
}

/** A world of these objects and rules. */
export function ruledWorld(objects: readonly KubernetesObject[], parts: RuleParts): World {
  const { rules, exceptions = [], configMaps = [], defaults = {} } = parts;
  return Object.assign(worldOf(objects, defaults), {
    rules: () => rules,
    exceptionsIn: (namespace: string) => exceptions.filter((one) => one.namespace === namespace),
    paramsConfigMap: (name: string) => configMaps.find(({ metadata }) => metadata?.name === name),
    namespaceObject: (name: string) =>
      objects.find(({ kind, metadata }) => kind === "Namespace" && metadata?.name === name),
  });
}

/** What the rules of one door say. */
export function judgedBy(
  world: World,
  object: KubernetesObject,
  { oldObject, phase = "rules-fail" }: { oldObject?: KubernetesObject; phase?: "rules-fail" | "rules-ignore" } = {},
): Verdict {
  return decide(requestOf(phase, object, oldObject), world);
}
