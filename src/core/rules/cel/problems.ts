import type { Span } from "./ast.ts";

/** What is wrong with an expression, and where. */
export interface Problem {
  readonly message: string;
  /** Offsets in UTF-16 code units; the message is about the text from start. */
  readonly start: number;
  readonly end: number;
  /** From 1. */
  readonly line: number;
  /** In code points, from 1. */
  readonly column: number;
  /** Names that the expression may have meant, where it has a wrong one. */
  readonly known?: readonly string[];
  /** The name is one that authors know from elsewhere, and it is not here (`absent` of a Library). */
  readonly isAbsent?: true;
}

/** cel-go shows no line of more bytes than this. */
const LONGEST_SNIPPET = 16_384;

/** A problem of a node, at the place where cel-go would point. */
export function problemAt(text: string, node: Span, message: string): Problem {
  const start = Math.min(node.at ?? node.start, text.length);
  const before = text.slice(0, start);
  const lineStart = before.lastIndexOf("\n") + 1;
  return {
    message,
    start,
    end: Math.max(start, node.end),
    line: before.split("\n").length,
    column: Array.from(before.slice(lineStart)).length + 1,
  };
}

/** The problem as cel-go prints it: the message, the line and a caret under the place. */
export function formatProblem(text: string, problem: Problem): string {
  const { message, line, column } = problem;
  const shown = excerpt(text, problem);
  return `ERROR: <input>:${line}:${column}: ${message}${shown === "" ? "" : `\n${shown}`}`;
}

/** The line of a problem and a caret under the place; empty where the line is too long to be shown. */
export function excerpt(text: string, { line, column }: Problem): string {
  const source = text.split("\n")[line - 1];
  if (text === "" || source === undefined || source.length > LONGEST_SNIPPET) return "";
  const snippet = source.replaceAll("\t", " ");
  const characters = Array.from(snippet);
  const dots = characters.slice(0, column - 1).map((character) => (isWide(character) ? "．" : "."));
  const caret = isWide(characters[column - 1]) ? "＾" : "^";
  return ` | ${snippet}\n | ${dots.join("")}${caret}`;
}

/** All problems in the order of the text. */
export function formatProblems(text: string, problems: readonly Problem[]): string {
  return inOrder(problems)
    .map((problem) => formatProblem(text, problem))
    .join("\n");
}

/** Sorted by place; those of one place keep their order. */
export function inOrder(problems: readonly Problem[]): readonly Problem[] {
  return problems.toSorted((one, other) => one.line - other.line || one.column - other.column);
}

/** cel-go widens the dots under everything that is not ASCII. */
function isWide(character: string | undefined): boolean {
  return character !== undefined && (character.codePointAt(0) ?? 0) > 127;
}
