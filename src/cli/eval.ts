import { type Evaluation, evaluate } from "../core/rules/eval.ts";
import { UsageError } from "../usage-error.ts";
import { readInput } from "./input.ts";

export interface EvalFlags {
  readonly expression: string;
  readonly filename?: string;
  readonly output: "text" | "json";
}

/** Prints what a CEL expression gives. Returns whether it gave anything. */
export function evalExpression(
  flags: EvalFlags,
  baseDirectory: string,
): { readonly ok: boolean; readonly text: string } {
  const evaluation = evaluate(
    flags.expression,
    flags.filename === undefined ? undefined : objectIn(flags.filename, baseDirectory),
  );
  const text = flags.output === "json" ? JSON.stringify(evaluation, null, 2) : textOf(evaluation);
  return { ok: evaluation.error === null, text: `${text}\n` };
}

function objectIn(filename: string, baseDirectory: string) {
  const objects = readInput({ filenames: [filename], recursive: false, baseDirectory });
  const [first] = objects;
  if (first === undefined || objects.length > 1)
    throw new UsageError(`Found ${objects.length} objects in ${filename}, wanted one: it is bound to the name object`);
  return first.object;
}

function textOf({ type, value, cost, error }: Evaluation): string {
  if (error !== null) return error.startsWith("ERROR") ? error : `ERROR: ${error}`;
  return `${JSON.stringify(value)}\n${type}, cost ${cost}`;
}
