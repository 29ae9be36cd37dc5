import type { Expression } from "./ast.ts";
import type { Checked } from "./check.ts";
import { formatCallProblem } from "./check-format.ts";
import type { CheckEnvironment } from "./check-scope.ts";
import type { Overload } from "./library.ts";
import { type Problem, problemAt } from "./problems.ts";
import { typeText } from "./type-text.ts";
import { CelError, type Value } from "./values.ts";

type Call = Expression & { readonly kind: "call" };

interface Context {
  readonly text: string;
  readonly checked: Pick<Checked, "types" | "overloads">;
  readonly overloads: ReadonlyMap<string, Overload>;
  readonly functions: ReadonlySet<string>;
}

/** Kubernetes refuses their bad literals when an expression is written. */
const CHECKED_FUNCTIONS = ["duration", "timestamp", "matches", "find", "findAll"];
const STRICT_FUNCTIONS = ["quantity", "ip", "cidr", "url", "semver", "int", "uint", "double", "bool"];
/** Their pattern is the argument after the text, which is replaced by an empty one. */
const PATTERN_FUNCTIONS: ReadonlySet<string> = new Set(["matches", "find", "findAll"]);

/** The problems of an expression of sound types that can be told from its literals alone, as cel-go's validators do. */
export function checkLiterals(
  expression: Expression,
  text: string,
  { checked, environment }: { readonly checked: Context["checked"]; readonly environment: CheckEnvironment },
): readonly Problem[] {
  const { libraries, strictLiterals = false } = environment;
  const all = libraries.flatMap(({ functions }) => functions.flatMap(({ overloads }) => overloads));
  const context: Context = {
    text,
    checked,
    overloads: new Map(all.map((overload) => [overload.id, overload])),
    functions: new Set([...CHECKED_FUNCTIONS, ...(strictLiterals ? STRICT_FUNCTIONS : [])]),
  };
  return problemsOf(expression, false, context);
}

/** `mixed`: inside the arguments of `format`, whose lists may hold values of several types. */
function problemsOf(node: Expression, mixed: boolean, context: Context): readonly Problem[] {
  const own = ownProblems(node, mixed, context);
  const inner = mixed || (node.kind === "call" && node.name === "format");
  return [...own, ...partsOf(node).flatMap((part) => problemsOf(part, inner, context))];
}

function ownProblems(node: Expression, mixed: boolean, context: Context): readonly Problem[] {
  const { text, checked } = context;
  if (node.kind === "call") {
    const problem = formatCallProblem(node, checked);
    const found = problem === undefined ? [] : [problemAt(text, problem.node, problem.message)];
    return [...found, ...argumentProblems(node, context)];
  }
  if (mixed) return [];
  if (node.kind === "list") return mixedProblems(node.elements, context).slice(0, 1);
  if (node.kind !== "map") return [];
  const keys = node.entries.map(({ key }) => ({ value: key, optional: false }));
  return [...mixedProblems(keys, context), ...mixedProblems(node.entries, context)];
}

/** Parts that are of another type than the first, dyn being a type of its own. */
function mixedProblems(
  parts: readonly { readonly value: Expression; readonly optional: boolean }[],
  { text, checked }: Context,
): readonly Problem[] {
  const types = parts.map(({ value, optional }) => {
    const type = checked.types.get(value);
    return optional && type?.kind === "optional" ? type.of : type;
  });
  const [first] = types;
  if (first === undefined) return [];
  return parts.flatMap(({ value }, index) => {
    const type = types[index] ?? first;
    if (typeText(type) === typeText(first)) return [];
    return [problemAt(text, value, `expected type '${typeText(first)}' but found '${typeText(type)}'`)];
  });
}

/** A literal that the function it is given to does not take. */
function argumentProblems(node: Call, { text, checked, overloads, functions }: Context): readonly Problem[] {
  const isPattern = PATTERN_FUNCTIONS.has(node.name);
  const given = node.target === undefined ? node.arguments : [node.target, ...node.arguments];
  const literal = given[isPattern ? 1 : 0];
  if (!functions.has(node.name) || literal?.kind !== "literal" || (!isPattern && given.length !== 1)) return [];
  const [id = ""] = checked.overloads.get(node) ?? [];
  const overload = overloads.get(id);
  if (overload === undefined) return [];
  // The number of results that findAll may be asked for is of no account.
  const values = isPattern ? ["", literal.value, 1n].slice(0, given.length) : [literal.value];
  if (isTaken(overload, values)) return [];
  return [problemAt(text, literal, `invalid ${node.name} argument`)];
}

function isTaken(overload: Overload, values: readonly Value[]): boolean {
  try {
    overload.call(...values);
    return true;
  } catch (error) {
    if (error instanceof CelError) return false;
    throw error;
  }
}

/** The expressions that an expression is made of. */
export function partsOf(node: Expression): readonly Expression[] {
  switch (node.kind) {
    case "select":
      return [node.operand];
    case "index":
      return [node.operand, node.index];
    case "call":
      return node.target === undefined ? node.arguments : [node.target, ...node.arguments];
    case "list":
      return node.elements.map(({ value }) => value);
    case "map":
    case "struct":
      return node.entries.flatMap(({ key, value }) => [key, value]);
    case "comprehension":
      return [node.range, node.initial, node.condition, node.step, node.result];
    case "literal":
    case "identifier":
      break;
  }
  return [];
}
