import { nearest } from "../../api/nearest.ts";
import { type Finding, finding } from "../finding.ts";
import { withArticle } from "../text.ts";
import { compile, type Program } from "./cel/cel.ts";
import type { Environment } from "./cel/environment.ts";
import { estimateCost } from "./cel/estimate.ts";
import { excerpt, type Problem } from "./cel/problems.ts";
import { DYN, typeText } from "./cel/type-text.ts";
import type { PrimitiveKind, Type } from "./cel/types.ts";
import type { Place, RuleScope } from "./scope.ts";

/** What stands for sizes that nothing bounds: items of a list or map, characters of a text. */
const UNBOUNDED = { items: 100, characters: 1_000 } as const;

/** One expression of a rule. */
export interface ExpressionSource {
  readonly text: string;
  /** `spec.validations[0].expression` */
  readonly path: string;
  readonly place: Place;
  /** The types that the result may have; absent: any. */
  readonly wanted?: readonly PrimitiveKind[];
}

/** A program for one kind and the most that it may cost, or what is wrong with it there. */
type Attempt =
  | { readonly program: Program; readonly costMax: number }
  | { readonly program?: undefined; readonly findings: readonly Finding[] };

/** The expressions of one rule, each compiled for every kind that the rule matches. */
export class ExpressionCompiler {
  readonly findings: Finding[] = [];
  readonly #scopes: readonly RuleScope[];
  readonly #takesUnknown: boolean;
  #costMax = 0;

  /** At least one scope. `takesUnknown`: a result of unknown type passes for any that is wanted. */
  constructor(scopes: readonly RuleScope[], { takesUnknown = false }: { readonly takesUnknown?: boolean } = {}) {
    this.#scopes = scopes;
    this.#takesUnknown = takesUnknown;
  }

  /** The most that all expressions so far may cost together for one object, in units of cel-go. */
  get costMax(): number {
    return this.#costMax;
  }

  /** The program, or undefined with one finding for each problem. */
  compile({ wanted, ...rest }: ExpressionSource): Program | undefined {
    const types = wanted && this.#takesUnknown ? ([...wanted, "dyn"] as const) : wanted;
    const source = { ...rest, ...(types && { wanted: types }) };
    const attempts = this.#scopes.map((scope) => ({ kind: scope.kind, attempt: attempt(source, scope) }));
    const failed = attempts.flatMap(({ kind, attempt }) =>
      attempt.program === undefined ? attempt.findings.map((item) => ({ kind, item })) : [],
    );
    if (failed.length > 0) {
      this.findings.push(...merged(failed, this.#scopes.length));
      return undefined;
    }
    const programs = attempts.flatMap(({ attempt }) => (attempt.program === undefined ? [] : [attempt]));
    this.#costMax += Math.max(0, ...programs.map(({ costMax }) => costMax));
    // What an expression does depends on the names in it, not on their types: one program runs for all kinds.
    return programs[0]?.program;
  }

  /** A variable that later expressions may read, also when it does not compile: one problem is told once. */
  variable(name: string, source: ExpressionSource): Program | undefined {
    const program = this.compile(source);
    for (const scope of this.#scopes) scope.declare(name, program === undefined ? DYN : typeIn(scope, source));
    return program;
  }
}

/** As it is when it runs, then as Kubernetes checks it: the second is told only where the first finds nothing. */
function attempt(source: ExpressionSource, scope: RuleScope): Attempt {
  const [running, checking] = scope
    .environments(source.place)
    .map((environment) => () => attemptIn(source, scope, environment));
  const first = running?.() ?? { findings: [] };
  if (first.program === undefined) return first;
  const second = checking?.();
  return second === undefined || second.program !== undefined ? first : second;
}

function attemptIn(source: ExpressionSource, scope: RuleScope, environment: Environment): Attempt {
  const { text, wanted, path } = source;
  const compiled = compile(text, environment);
  if (!compiled.ok)
    return { findings: compiled.problems.map((problem) => problemFinding(source, problem, environment)) };
  const { program, checked } = compiled;
  if (wanted !== undefined && !wanted.some((kind) => kind === program.type.kind)) {
    const message = `Found an expression of type ${typeText(program.type)}, wanted ${wanted.join(" or ")}`;
    return { findings: [finding("FL703", path, { message, fix: typeFix(program.type, wanted) })] };
  }
  const sizes = { at: (at: readonly string[]) => scope.sizeAt(at), unbounded: UNBOUNDED, beyond: true };
  return { program, costMax: checked === undefined ? 0 : estimateCost(program.expression, checked, sizes).max };
}

function typeIn(scope: RuleScope, { text, place }: ExpressionSource): Type {
  const [environment] = scope.environments(place);
  const compiled = environment && compile(text, environment);
  return compiled?.ok ? compiled.program.type : DYN;
}

/** What several kinds have in common is told once; of what only some have, it is said which. */
function merged(
  failed: readonly { readonly kind: string; readonly item: Finding }[],
  kinds: number,
): readonly Finding[] {
  const groups = Map.groupBy(failed, ({ item }) => item.message);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const named = group.map(({ kind }) => kind).filter((kind) => kind !== "");
    const where =
      group.length === kinds || named.length === 0 ? "" : `, where object is ${named.map(withArticle).join(" or ")}`;
    return [{ ...first.item, message: `${first.item.message}${where}` }];
  });
}

function problemFinding({ text, path }: ExpressionSource, problem: Problem, environment: Environment): Finding {
  const { line, column, message } = problem;
  const shown = excerpt(text, problem);
  const fix = problemFix(problem, environment);
  return {
    ...finding(problem.isAbsent ? "FL709" : "FL702", path, {
      message: `Line ${line}, column ${column}: ${message}`,
      fix,
    }),
    ...(shown === "" ? {} : { excerpt: shown }),
  };
}

function problemFix({ message, known }: Problem, { variables }: Environment): string {
  const [, field, name] = /^(?:undefined field '(.*)'|undeclared reference to '(.*)' \()/.exec(message) ?? [];
  const meant = field === undefined ? nearest(name ?? "", Object.keys(variables)) : known && nearest(field, known);
  if (meant !== undefined) return `did you mean ${meant}?`;
  if (field !== undefined && known !== undefined && known.length > 0 && known.length <= FIELDS_SHOWN_MAX)
    return `write one of ${known.join(", ")}`;
  return "correct the expression; fairlead eval -e tries one out";
}

/** A longer list tells nobody what to write. */
const FIELDS_SHOWN_MAX = 12;

function typeFix(type: Type, wanted: readonly PrimitiveKind[]): string {
  if (!wanted.includes("bool")) return "convert it with string(...)";
  return type.kind === "dyn" ? "compare the value, for example == true" : "write a condition";
}
