import { readFileSync } from "node:fs";
import { join } from "node:path";

/** What an evaluation of an expression ends with. */
export type Outcome =
  /** Type and text of the value, as {@link messageExpressionOf} writes it. */
  | { readonly value: string }
  /** Message of the evaluation error. */
  | { readonly error: string }
  /** It does not compile: the first message of the compiler, without its position. */
  | { readonly refused: string };

const FOLDER = join(import.meta.dirname, "..", "golden", "cel");
/** Written by a real API server; `UPDATE=1` on test/cluster/cel-library.test.ts rewrites it. */
export const RECORDING = join(FOLDER, "kubernetes.json");

/** Files of expressions. */
export const CORPUS_FILES = ["strings", "lists", "regex-url", "kubernetes", "traps"] as const;

/** One expression a line; lines that begin with # are headings. */
export function expressionsIn(file: (typeof CORPUS_FILES)[number]): readonly string[] {
  const lines = readFileSync(join(FOLDER, `${file}.txt`), "utf8").split("\n");
  return lines.filter((line) => line !== "" && !line.startsWith("#"));
}

/** JSON of the object that the expressions see as `object`. */
export function probeObject(): string {
  return readFileSync(join(FOLDER, "object.json"), "utf8");
}

export function recording(): Readonly<Record<string, Outcome>> {
  return JSON.parse(readFileSync(RECORDING, "utf8")) as Record<string, Outcome>;
}

/** False where the expression has a value; for any object but the one of this name true, without evaluating it. */
export function validationExpressionOf(probe: string, expression: string): string {
  return `request.name != "${probe}" || [${expression}].size() == 0`;
}

/** Type and text of the value. Messages lose blanks at their ends and may not have line breaks. */
export function messageExpressionOf(probe: string, expression: string): string {
  const text = `'%s |%s|'.format([type(dyn(${expression})), dyn(${expression})]).replace('\\n', '<newline>')`;
  return `request.name != "${probe}" ? '' : ${text}`;
}
