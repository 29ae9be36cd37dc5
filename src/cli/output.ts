import { styleText } from "node:util";
import { escapePointer } from "../core/admission/patch.ts";
import type { PatchOperation } from "../core/admission/review.ts";
import type { InputObject } from "./input.ts";
import { renderJunit } from "./output-junit.ts";
import { renderSarif } from "./output-sarif.ts";
import type { Review } from "./review.ts";

export const OUTPUT_FORMATS = ["table", "json", "junit", "sarif"] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** A review and where its object stands. */
export interface LocatedReview extends Review, Pick<InputObject, "file" | "line" | "lineOf"> {}

/** Reviews leave out what is context only (Namespaces), so each is matched to its place by its object. */
export function locate(reviews: readonly Review[], input: readonly InputObject[]): readonly LocatedReview[] {
  const places = new Map(input.map((item) => [item.object, item]));
  return reviews.map((review) => {
    const { file = "", line = 1, lineOf = () => line } = places.get(review.object) ?? {};
    return { ...review, file, line, lineOf };
  });
}

type Renderer = (reviews: readonly LocatedReview[], colour: boolean) => string;

const RENDERERS: Readonly<Record<OutputFormat, Renderer>> = {
  table: renderTable,
  json: (reviews) => toJson(reviews.map((review) => review.result)),
  junit: renderJunit,
  sarif: (reviews) => toJson(renderSarif(reviews)),
};

/** Renders reviews; `colour` only for a terminal. */
export function render(reviews: readonly LocatedReview[], format: OutputFormat, colour: boolean): string {
  return RENDERERS[format](reviews, colour);
}

function toJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function renderTable(reviews: readonly Review[], colour: boolean): string {
  const paint = (style: "green" | "red" | "yellow" | "bold", text: string): string =>
    colour ? styleText(style, text, { validateStream: false }) : text;
  const rows = reviews.map(({ result }) => [result.kind, result.namespace, result.name, verdictOf(result)] as const);
  const header = ["KIND", "NAMESPACE", "NAME", "VERDICT"] as const;
  const width = (column: number): number => Math.max(...[header, ...rows].map((row) => row[column]?.length ?? 0));
  const widths = [width(0), width(1), width(2)];
  const line = (row: readonly string[]): string =>
    [...widths.map((size, index) => (row[index] ?? "").padEnd(size)), row[3]].join("  ");
  const lines = [paint("bold", line(header))];
  for (const [index, { result, message }] of reviews.entries()) {
    const row = line(rows[index] ?? []);
    lines.push(paint(result.allowed ? "green" : "red", row));
    lines.push(...result.patch.flatMap(describeOperation));
    lines.push(...result.warnings.map((warning) => paint("yellow", `  Warning: ${warning}`)));
    if (message !== "") lines.push(...message.split("\n").map((text) => paint("red", `  ${text}`)));
  }
  const denied = reviews.filter(({ result }) => !result.allowed).length;
  lines.push("", `${reviews.length} reviewed, ${denied} denied`);
  return `${lines.join("\n")}\n`;
}

/** One line a key, also where a whole map is added. */
function describeOperation(operation: PatchOperation): readonly string[] {
  if (operation.op === "remove") return [`  remove ${operation.path}`];
  const { op, path, value } = operation;
  if (typeof value !== "object" || value === null) return [`  ${op} ${path} = ${JSON.stringify(value)}`];
  return Object.entries(value).map(([key, text]) => `  ${op} ${path}/${escapePointer(key)} = ${JSON.stringify(text)}`);
}

function verdictOf(result: Review["result"]): string {
  if (!result.allowed) return "denied";
  return result.patch.length > 0 ? "allowed, patched" : "allowed";
}
