import { Budget, compile, type Environment } from "../../src/core/rules/cel/cel.ts";
import { kubernetesLibraries } from "../../src/core/rules/library/all.ts";
import { EXPRESSION_COST_MAX } from "../../src/core/rules/limits.ts";
import { type Inputs, messageExpressionOf, type Outcome, validationExpressionOf } from "./library-corpus.ts";

const PROBE = "probe";
export const ENVIRONMENT: Environment = {
  variables: { object: { kind: "dyn" }, oldObject: { kind: "dyn" }, request: { kind: "dyn" } },
  libraries: kubernetesLibraries("1.36"),
  typed: true,
};
const REQUEST = {
  name: PROBE,
  dryRun: true,
  kind: { group: "fairlead.example", kind: "Probe" },
  options: { fieldManager: PROBE },
};

/** What our engine makes of an expression, in the form in which the API server is asked. */
export function outcomeOf(expression: string, { object, oldObject }: Inputs): Outcome {
  const validation = compile(validationExpressionOf(PROBE, expression), ENVIRONMENT);
  if (!validation.ok) return { refused: validation.problems[0]?.message ?? "" };
  const operation = oldObject === undefined ? "CREATE" : "UPDATE";
  const variables = { object, oldObject: oldObject ?? null, request: { ...REQUEST, operation } };
  const { error } = validation.program.run(variables, new Budget(EXPRESSION_COST_MAX));
  if (error !== undefined) return { error: error.message };
  const message = compile(messageExpressionOf(PROBE, expression), ENVIRONMENT);
  if (!message.ok) return { refused: message.problems[0]?.message ?? "" };
  const { value } = message.program.run(variables, new Budget(EXPRESSION_COST_MAX));
  return { value: typeof value === "string" ? value.trim() : "(no text)" };
}

/** What the two make of one expression. */
export interface Difference {
  readonly expression: string;
  readonly ours: Outcome;
  readonly kubernetes: Outcome | undefined;
}

/** Undefined where our engine and Kubernetes agree. */
export function differenceOf(
  expression: string,
  inputs: Inputs,
  kubernetes: Outcome | undefined,
): Difference | undefined {
  const ours = outcomeOf(expression, inputs);
  const isSame = JSON.stringify(comparable(ours)) === JSON.stringify(comparable(kubernetes));
  return isSame ? undefined : { expression, ours, kubernetes };
}

/** Of a refusal only that it is one: Kubernetes' parser words what it finds at the end of a text in its own way. */
function comparable(outcome: Outcome | undefined): Outcome | undefined {
  return outcome !== undefined && "refused" in outcome ? { refused: "" } : outcome;
}
