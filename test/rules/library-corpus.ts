import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";

/** The objects of one write; without an old one it is a creation. */
export interface Inputs {
  readonly object: KubernetesObject;
  readonly oldObject?: KubernetesObject;
}

/** What an evaluation of an expression ends with. */
export type Outcome =
  /** Type and text of the value, as {@link messageExpressionOf} writes it. */
  | { readonly value: string }
  /** Message of the evaluation error. */
  | { readonly error: string }
  /** It does not compile: the first message of the compiler, without its position. */
  | { readonly refused: string };

/** In place of what a kube-apiserver refuses an expression with, where it panics over it. */
export const PANIC = "kube-apiserver panics";

const FOLDER = join(import.meta.dirname, "..", "golden", "cel");
/** Written by a real API server; `UPDATE=1` on test/cluster/cel-library.test.ts rewrites it. */
export const RECORDING = join(FOLDER, "kubernetes.json");

/** Files of expressions. */
export const CORPUS_FILES = ["standard", "strings", "lists", "regex-url", "kubernetes", "traps"] as const;

/** One expression a line; lines that begin with # are headings. */
export function expressionsIn(file: (typeof CORPUS_FILES)[number]): readonly string[] {
  const lines = readFileSync(join(FOLDER, `${file}.txt`), "utf8").split("\n");
  return lines.filter((line) => line !== "" && !line.startsWith("#"));
}

/** What the expressions of the corpus see. */
export function corpusInputs(): Inputs {
  return { object: readJson("object.json") as KubernetesObject };
}

/** What generated expressions see: an update of something like a Service and a ConfigMap. */
export function generatedInputs(): Inputs {
  return readJson("service.json") as Inputs;
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(join(FOLDER, file), "utf8"));
}

export function recording(): Readonly<Record<string, Outcome>> {
  return readJson("kubernetes.json") as Record<string, Outcome>;
}

/** False where the expression has a value; for any request but that of the probe true, without evaluating it. */
export function validationExpressionOf(probe: string, expression: string): string {
  return `request.options.fieldManager != "${probe}" || [${expression}].size() == 0`;
}

/** Type and text of the value. Messages lose blanks at their ends and may not have line breaks. */
export function messageExpressionOf(probe: string, expression: string): string {
  const text = `'%s |%s|'.format([type(dyn(${expression})), dyn(${expression})]).replace('\\n', '<newline>')`;
  return `request.options.fieldManager != "${probe}" ? '' : ${text}`;
}
