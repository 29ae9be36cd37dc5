import { styleText } from "node:util";
import type { ExplainedExpression, Explanation } from "../core/rules/explain.ts";
import type { ExplainedObject } from "./explain.ts";
import { jsonText } from "./json-text.ts";

export const EXPLAIN_FORMATS = ["table", "json"] as const;
export type ExplainFormat = (typeof EXPLAIN_FORMATS)[number];

type Style = "green" | "red" | "yellow" | "bold" | "dim";
type Paint = (style: Style, text: string) => string;

const OUTCOMES: Readonly<Record<Explanation["outcome"], readonly [text: string, style: Style]>> = {
  passed: ["holds", "green"],
  violated: ["VIOLATED", "red"],
  tolerated: ["violated as before", "yellow"],
  excepted: ["violated, but excepted", "yellow"],
  error: ["CANNOT BE EVALUATED", "red"],
  unmatched: ["does not apply", "dim"],
};

/** Renders what `fairlead explain` has found; `colour` only for a terminal. */
export function renderExplain(objects: readonly ExplainedObject[], format: ExplainFormat, colour: boolean): string {
  if (format === "json") return `${jsonText(objects)}\n`;
  const paint: Paint = (style, text) => (colour ? styleText(style, text, { validateStream: false }) : text);
  const blocks = objects.map(({ kind, namespace, name, rules }) =>
    [paint("bold", `${kind} ${namespace}/${name}`), ...rules.flatMap((rule) => ruleLines(rule, paint))].join("\n"),
  );
  return `${blocks.join("\n\n")}\n`;
}

function ruleLines(explanation: Explanation, paint: Paint): readonly string[] {
  const { rule, outcome, because, exception, cost, conditions, variables, validations, findings } = explanation;
  const [text, style] = OUTCOMES[outcome];
  const why = because ?? (exception === null ? `cost ${cost}` : `RuleException ${exception}, cost ${cost}`);
  return [
    `  ${rule}: ${paint(style, text)} (${why})`,
    ...conditions.map((item) => expressionLine("condition", item)),
    ...variables.map((item) => expressionLine("variable", item)),
    ...validations.map((item) => expressionLine("validation", item)),
    ...findings.flatMap(({ code, message, fix }) => [`    -> ${message} (${code})`, `       fix: ${fix}`]),
  ];
}

/** A validation has no name; its text stands for it, on one line. */
function expressionLine(part: string, { name, expression, type, value, error, cost }: ExplainedExpression): string {
  const subject = name ?? expression.replaceAll(/\s+/g, " ");
  const result = error === null ? `${JSON.stringify(value)} (${type}, cost ${cost})` : `error: ${error} (cost ${cost})`;
  return `    ${part} ${subject} = ${result}`;
}
