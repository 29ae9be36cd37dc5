import type { KubernetesObject } from "../kubernetes.ts";
import type { Program } from "./cel/cel.ts";
import type { RuleKinds } from "./kinds.ts";

export const RULE_ACTIONS = ["Deny", "Warn", "Audit"] as const;
/** What a violation does in a namespace in `enforce` mode. */
export type RuleAction = (typeof RULE_ACTIONS)[number];

/** What happens when an expression cannot be evaluated: Fail refuses the write, Ignore lets it pass with a warning. */
export type FailurePolicy = "Ignore" | "Fail";

/** One selector requirement of Kubernetes; `matchLabels` are lowered to `In` with one value. */
export interface SelectorRequirement {
  readonly key: string;
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  readonly values: readonly string[];
}

/** All of them must hold; none selects everything. */
export type Selector = readonly SelectorRequirement[];

/** What an AdmissionRule matches, as in a ValidatingAdmissionPolicy (`NamedRuleWithOperations`). `*` is spelt out as it came. */
export interface ResourceRule {
  readonly apiGroups: readonly string[];
  readonly apiVersions: readonly string[];
  readonly operations: readonly ("CREATE" | "UPDATE" | "*")[];
  readonly resources: readonly string[];
  readonly resourceNames: readonly string[];
}

export interface MatchConstraints {
  readonly namespaceSelector: Selector;
  readonly objectSelector: Selector;
  readonly resourceRules: readonly ResourceRule[];
  readonly excludeResourceRules: readonly ResourceRule[];
}

export interface NamedProgram {
  readonly name: string;
  readonly program: Program;
}

export interface CompiledValidation {
  readonly program: Program;
  /** Empty: the text of the expression is shown, as the API server does. */
  readonly message: string;
  readonly messageExpression: Program | undefined;
  /** HTTP reason of the refusal, as in a ValidatingAdmissionPolicy; `Invalid` unless said. */
  readonly reason: string;
  /** What to do about a violation; empty where the author says nothing. */
  readonly fix: string;
}

/** Where `params` comes from. */
export type RuleParams =
  | { readonly kind: "none" }
  | { readonly kind: "inline"; readonly values: Readonly<Record<string, unknown>> }
  /** A ConfigMap in Fairlead's own namespace. */
  | { readonly kind: "configMap"; readonly name: string };

/** A rule that may be applied: it fits the schema, and all that is in it compiles. */
export interface CompiledRule {
  readonly name: string;
  readonly match: MatchConstraints;
  readonly matchConditions: readonly NamedProgram[];
  readonly params: RuleParams;
  /** In the order of the rule: each may read those before it. */
  readonly variables: readonly NamedProgram[];
  readonly validations: readonly CompiledValidation[];
  /** `name` is the key of the annotation. */
  readonly auditAnnotations: readonly NamedProgram[];
  readonly actions: ReadonlySet<RuleAction>;
  readonly failurePolicy: FailurePolicy;
  readonly exceptionsAllowed: boolean;
  /** Whether an update that neither introduces nor touches a violation passes with a warning. */
  readonly existingViolations: "Allow" | "Deny";
}

/** A RuleException that fits its schema. Whether it has expired is asked with the time of each request. */
export interface CompiledException {
  readonly namespace: string;
  readonly name: string;
  readonly rules: readonly string[];
  /** Names of objects; empty where `selector` says which. */
  readonly objectNames: readonly string[];
  readonly selector: Selector | undefined;
  readonly owner: string;
  readonly reason: string;
  /** Milliseconds since 1970. */
  readonly expiresAtMs: number;
}

/** What rules read of the world, and what is read to compile them. */
export interface RuleWorld extends RuleKinds {
  /** Accepted rules, by name in order of code units. */
  rules(): readonly CompiledRule[];
  exceptionsIn(namespace: string): readonly CompiledException[];
  /** A ConfigMap of Fairlead's own namespace; undefined where it does not exist. */
  paramsConfigMap(name: string): KubernetesObject | undefined;
  /** The Namespace as expressions see it, `namespaceObject`; undefined where the world does not know it. */
  namespaceObject(name: string): KubernetesObject | undefined;
}
