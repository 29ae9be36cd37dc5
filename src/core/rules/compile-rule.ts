import { type AdmissionRule, type AdmissionRuleSpec, parseAdmissionRule } from "../../api/v1alpha1/admission-rule.ts";
import { type Finding, finding, sortFindings } from "../finding.ts";
import type { Program } from "./cel/cel.ts";
import { ExpressionCompiler } from "./compile-expression.ts";
import { lowerMatch, matchedKinds } from "./compile-match.ts";
import type { RuleKinds } from "./kinds.ts";
import { SERVE_RULE_COST_MAX } from "./limits.ts";
import { CONFIG_MAP, paramsShape } from "./params-shape.ts";
import type { CompiledRule, CompiledValidation, NamedProgram, RuleParams } from "./rule.ts";
import { RuleScope } from "./scope.ts";
import type { Shape } from "./schema-shape.ts";

export interface RuleOptions {
  /** Kinds beside those that Fairlead knows by itself. */
  readonly kinds: RuleKinds;
  /** Namespaces in which no rule holds. */
  readonly excludedNamespaces: ReadonlySet<string>;
  /** The most that a rule may cost for one object, estimated, in units of cel-go; absent: what `serve` gives a rule. */
  readonly costMax?: number;
  /** An expression of which the type is not known may stand where a condition or a text is wanted. */
  readonly takesUnknown?: boolean;
}

export interface RuleCompilation {
  /** Undefined when a finding denies it: such a rule is never applied. */
  readonly rule: CompiledRule | undefined;
  /** Sorted. */
  readonly findings: readonly Finding[];
}

/** The one parser of rules, for every door: what it accepts can be applied. */
export function compileRule(object: unknown, options: RuleOptions): RuleCompilation {
  const parsed = parseAdmissionRule(object);
  if (!parsed.ok) {
    return { rule: undefined, findings: parsed.problems.map((problem) => finding("FL701", problem.path, problem)) };
  }
  return compileSpec(parsed.value, options);
}

const NOTHING_KNOWN: RuleKinds = { ruleKind: () => undefined };

/**
 * A rule that the API server has stored, so it was accepted. What it matched was known then; here nothing depends on
 * whether it still is, so that no rule goes out of force because a kind changes or its schema has not been read yet.
 */
export function compileStoredRule(object: unknown, excludedNamespaces: ReadonlySet<string>): RuleCompilation {
  const costMax = Number.POSITIVE_INFINITY;
  return compileRule(object, { kinds: NOTHING_KNOWN, excludedNamespaces, costMax, takesUnknown: true });
}

/** A ValidatingAdmissionPolicy in the form of a rule: what nobody asks of the API server is not asked of it here. */
export interface PolicyDialect {
  /** Of what shape its params are, which stand in a binding; undefined: it has none. */
  readonly params: Shape | undefined;
}

/** A rule whose form holds. */
export function compileSpec(
  { metadata, spec }: AdmissionRule,
  options: RuleOptions & { readonly dialect?: PolicyDialect },
): RuleCompilation {
  const { dialect, costMax = dialect === undefined ? SERVE_RULE_COST_MAX : Number.POSITIVE_INFINITY } = options;
  const { kinds, findings } = matchedKinds(spec.matchConstraints, { ...options, world: options.kinds });
  const params = dialect === undefined ? shapeOfParams(spec) : dialect.params;
  // A rule whose every kind is refused is checked all the same: all problems at once.
  const shapes = kinds.length === 0 ? [undefined] : kinds;
  const isPlain = dialect !== undefined;
  const scopes = shapes.map(
    (kind) => new RuleScope({ kind: kind?.kind ?? "", object: kind?.shape ?? "dyn", params, isPlain }),
  );
  const compiler = new ExpressionCompiler(scopes, options);
  const programs = compilePrograms(spec, compiler);
  const all = sortFindings([
    ...(dialect === undefined ? findings : findings.map(withoutEffect)),
    ...compiler.findings,
    ...costFindings(compiler.costMax, costMax),
  ]);
  if (programs === undefined || all.some((item) => item.severity === "deny")) return { rule: undefined, findings: all };
  const rule: CompiledRule = {
    name: metadata.name ?? metadata.generateName ?? "",
    match: lowerMatch(spec.matchConstraints),
    params: paramsOf(spec),
    ...programs,
    actions: new Set(spec.actions ?? ["Deny"]),
    failurePolicy: spec.failurePolicy ?? "Fail",
    exceptionsAllowed: spec.exceptionsAllowed ?? false,
    existingViolations: spec.existingViolations ?? "Allow",
  };
  return { rule, findings: all };
}

/** The API server judges what no rule of ours may match: of a policy that asks for it, the rest holds. */
function withoutEffect(item: Finding): Finding {
  const { severity, path, message } = item;
  return severity === "deny" ? finding("FL707", path, { message, fix: "leave it to the API server" }) : item;
}

type Programs = Pick<CompiledRule, "matchConditions" | "variables" | "validations" | "auditAnnotations">;

/** In the order in which they may read each other; undefined if one does not compile. */
function compilePrograms(spec: AdmissionRuleSpec, compiler: ExpressionCompiler): Programs | undefined {
  const matchConditions = (spec.matchConditions ?? []).map(({ name, expression: text }, index) => {
    const path = `spec.matchConditions[${index}].expression`;
    return named(name, compiler.compile({ text, path, place: "condition", wanted: ["bool"] }));
  });
  const variables = (spec.variables ?? []).map(({ name, expression: text }, index) =>
    named(name, compiler.variable(name, { text, path: `spec.variables[${index}].expression`, place: "body" })),
  );
  const validations = (spec.validations ?? []).map((item, index) => compileValidation(item, index, compiler));
  const auditAnnotations = (spec.auditAnnotations ?? []).map(({ key, valueExpression: text }, index) => {
    const path = `spec.auditAnnotations[${index}].valueExpression`;
    return named(key, compiler.compile({ text, path, place: "body", wanted: ["string", "null"] }));
  });
  const all = { matchConditions, variables, validations, auditAnnotations };
  return compiler.findings.length > 0 ? undefined : withoutGaps(all);
}

function withoutGaps(
  programs: { readonly [K in keyof Programs]: readonly (Programs[K][number] | undefined)[] },
): Programs {
  return {
    matchConditions: programs.matchConditions.filter((item) => item !== undefined),
    variables: programs.variables.filter((item) => item !== undefined),
    validations: programs.validations.filter((item) => item !== undefined),
    auditAnnotations: programs.auditAnnotations.filter((item) => item !== undefined),
  };
}

function named(name: string, program: Program | undefined): NamedProgram | undefined {
  return program && { name, program };
}

type Validation = NonNullable<AdmissionRuleSpec["validations"]>[number];

function compileValidation(
  { expression, message = "", messageExpression, reason = "Invalid", fix = "" }: Validation,
  index: number,
  compiler: ExpressionCompiler,
): CompiledValidation | undefined {
  const path = `spec.validations[${index}]`;
  const source = { text: expression, path: `${path}.expression`, place: "body", wanted: ["bool"] } as const;
  const program = compiler.compile(source);
  const messageProgram =
    messageExpression === undefined
      ? undefined
      : compiler.compile({
          text: messageExpression,
          path: `${path}.messageExpression`,
          place: "body",
          wanted: ["string"],
        });
  return program && { program, message, messageExpression: messageProgram, reason, fix };
}

function shapeOfParams({ params, paramRef }: AdmissionRuleSpec): Shape | undefined {
  if (paramRef !== undefined) return CONFIG_MAP;
  return params === undefined ? undefined : paramsShape(params);
}

function paramsOf({ params, paramRef }: AdmissionRuleSpec): RuleParams {
  if (paramRef !== undefined) return { kind: "configMap", name: paramRef.name };
  return params === undefined ? { kind: "none" } : { kind: "inline", values: params };
}

function costFindings(costMax: number, allowed: number): readonly Finding[] {
  if (costMax <= allowed) return [];
  const cost = Number.isFinite(costMax) ? `up to ${costMax.toLocaleString("en-US")} units` : "without a bound";
  const message = `Found expressions that may cost ${cost} together, wanted at most ${allowed.toLocaleString("en-US")}`;
  const fix = "walk over lists one after the other, not within each other, or narrow the rule in matchConditions";
  return [finding("FL704", "spec", { message, fix })];
}
