import { ADMISSION_RULE_KIND, parseAdmissionRule } from "../../api/v1alpha1/admission-rule.ts";
import { API_VERSION } from "../../api/envelope.ts";
import { isRecord, own, show } from "../../api/problem.ts";
import { type Finding, finding, sortFindings } from "../finding.ts";
import { groupOf, type KubernetesObject } from "../kubernetes.ts";
import { compileSpec, type RuleCompilation, type RuleOptions } from "./compile-rule.ts";
import { CONFIG_MAP } from "./params-shape.ts";
import type { Shape } from "./schema-shape.ts";

const GROUP = "admissionregistration.k8s.io";
/** What Fairlead is asked about. */
const OPERATIONS: ReadonlySet<unknown> = new Set(["CREATE", "UPDATE", "*"]);

export function isValidatingAdmissionPolicy({ apiVersion = "", kind }: KubernetesObject): boolean {
  return kind === "ValidatingAdmissionPolicy" && groupOf(apiVersion) === GROUP;
}

/**
 * A ValidatingAdmissionPolicy as a rule, for files: what it can say in Kubernetes it says here, under the same checks and
 * without tolerance for violations that are there already. Each part that has no effect here is a warning. What stands in its
 * binding (params, namespaces, actions) is not read: it denies. One that asks `authorizer` is no rule here, and no mistake.
 */
export function compileVap(object: unknown, options: RuleOptions): RuleCompilation {
  const spec = asRecord(own(object, "spec"));
  const { rules, places, findings } = judgedRules(asRecord(own(spec, "matchConstraints")));
  const rule = {
    apiVersion: API_VERSION,
    kind: ADMISSION_RULE_KIND,
    metadata: own(object, "metadata"),
    spec: ruleSpec(spec, rules),
  };
  const all = [...findings, ...specFindings(spec)];
  // Nothing that Fairlead is asked about is left of it: no rule, and no mistake either.
  if (rules.length === 0 && places.length === 0 && findings.length > 0) return { rule: undefined, findings: all };
  const parsed = parseAdmissionRule(rule);
  const compiled: RuleCompilation = parsed.ok
    ? compileSpec(parsed.value, { ...options, dialect: { params: paramsShapeOf(spec) } })
    : { rule: undefined, findings: parsed.problems.map((problem) => finding("FL701", problem.path, problem)) };
  const placed = compiled.findings.map((item) => ({ ...item, path: originalPath(item.path, places) }));
  return { rule: compiled.rule, findings: sortFindings([...all, ...withoutQuestions(placed)]) };
}

/** Only the API server knows who may do what. The policy holds there as it is, which is told once and not for each question. */
function withoutQuestions(findings: readonly Finding[]): readonly Finding[] {
  const first = findings.find(({ code }) => code === "FL709");
  if (first === undefined) return findings;
  const told = finding("FL707", first.path, {
    message: "Found authorizer, which only the API server has: the policy is not evaluated here",
    fix: "nothing to do: on a cluster it holds as it is",
  });
  return [told, ...findings.filter(({ code }) => code !== "FL709")];
}

type Json = Readonly<Record<string, unknown>>;

function asRecord(value: unknown): Json {
  return isRecord(value) ? value : {};
}

function ruleSpec(spec: Json, resourceRules: readonly unknown[]): Json {
  const { paramKind: _paramKind, matchConstraints, ...rest } = spec;
  const { matchPolicy: _matchPolicy, excludeResourceRules, ...constraints } = asRecord(matchConstraints);
  const excluded = Array.isArray(excludeResourceRules)
    ? { excludeResourceRules: judgedParts(excludeResourceRules) }
    : {};
  return {
    ...rest,
    matchConstraints: { ...constraints, ...excluded, resourceRules },
    existingViolations: "Deny",
  };
}

interface JudgedRules {
  /** Rules with the operations that Fairlead is asked about; those without any are left out. */
  readonly rules: readonly unknown[];
  /** Where each of them stood. */
  readonly places: readonly number[];
  readonly findings: readonly Finding[];
}

function judgedRules({ resourceRules }: Json): JudgedRules {
  const all: readonly unknown[] = Array.isArray(resourceRules) ? resourceRules : [];
  const findings: Finding[] = [];
  const kept: { readonly rule: unknown; readonly place: number }[] = [];
  for (const [place, rule] of all.entries()) {
    const { operations } = asRecord(rule);
    const others = Array.isArray(operations) ? operations.filter((item) => !OPERATIONS.has(item)) : [];
    const path = `spec.matchConstraints.resourceRules[${place}]`;
    if (others.length > 0) findings.push(operationsFinding(path, others));
    if (own(rule, "scope") === "Cluster") findings.push(clusterFinding(path));
    else if (others.length === 0 || others.length < (operations as unknown[]).length)
      kept.push({ rule: judged(rule), place });
  }
  return { rules: kept.map(({ rule }) => rule), places: kept.map(({ place }) => place), findings };
}

function judgedParts(rules: readonly unknown[]): readonly unknown[] {
  return rules.map(judged).filter((rule) => {
    const operations = own(rule, "operations");
    return !Array.isArray(operations) || operations.length > 0;
  });
}

/** The rule without its scope and without operations that Fairlead is not asked about. */
function judged(rule: unknown): unknown {
  if (!isRecord(rule)) return rule;
  const { scope: _scope, ...kept } = rule;
  const { operations } = rule;
  return Array.isArray(operations) ? { ...kept, operations: operations.filter((item) => OPERATIONS.has(item)) } : kept;
}

function operationsFinding(path: string, others: readonly unknown[]): Finding {
  return finding("FL707", `${path}.operations`, {
    message: `Found ${others.join(", ")}, which Fairlead is never asked about`,
    fix: "leave these to the API server; creations and updates are judged here",
  });
}

function clusterFinding(path: string): Finding {
  const fix = "leave these to the API server; objects in namespaces are judged here";
  return finding("FL707", `${path}.scope`, { message: 'Found "Cluster": such objects are not judged here', fix });
}

function specFindings({ paramKind, matchConstraints }: Json): readonly Finding[] {
  const findings: Finding[] = [];
  if (isRecord(paramKind)) {
    const message = `Found params of kind ${show(paramKind["kind"])}: their binding is not read, so params is null`;
    findings.push(finding("FL707", "spec.paramKind", { message, fix: "write an AdmissionRule with params to try it" }));
  }
  const matchPolicy = own(matchConstraints, "matchPolicy") ?? "Equivalent";
  if (matchPolicy !== "Equivalent") {
    const message = `Found ${show(matchPolicy)}: an object counts in whatever version it is written`;
    findings.push(
      finding("FL707", "spec.matchConstraints.matchPolicy", { message, fix: "nothing, or write Equivalent" }),
    );
  }
  return findings;
}

function paramsShapeOf({ paramKind }: Json): Shape | undefined {
  if (!isRecord(paramKind)) return undefined;
  return paramKind["apiVersion"] === "v1" && paramKind["kind"] === "ConfigMap" ? CONFIG_MAP : "dyn";
}

function originalPath(path: string, places: readonly number[]): string {
  return path.replace(
    /^(spec\.matchConstraints\.resourceRules\[)(\d+)\]/,
    (_, start: string, index: string) => `${start}${places[Number(index)] ?? index}]`,
  );
}
