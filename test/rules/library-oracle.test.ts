import { expect, test } from "vitest";
import { Budget, compile, type Environment } from "../../src/core/rules/cel/cel.ts";
import { kubernetesLibraries } from "../../src/core/rules/library/all.ts";
import {
  CORPUS_FILES,
  expressionsIn,
  messageExpressionOf,
  type Outcome,
  probeObject,
  recording,
  validationExpressionOf,
} from "./library-corpus.ts";

const PROBE = "probe";
const ENVIRONMENT: Environment = {
  variables: { object: { kind: "dyn" }, oldObject: { kind: "dyn" }, request: { kind: "dyn" } },
  libraries: kubernetesLibraries("1.36"),
  typed: true,
};
const REQUEST = { name: PROBE, operation: "CREATE", dryRun: true, kind: { group: "fairlead.example", kind: "Probe" } };
/** What Kubernetes grants one expression. */
const UNITS = 1_000_000;

const WORDS = "an error in both, worded otherwise";
const LATE = "refused by Kubernetes when it is written, an error here whenever it runs";
const GUARDED = "a list without lists in it is an error here; Kubernetes gives it back as it is";
const BYTES = "the bytes are no UTF-8, which Go keeps in a string and JavaScript cannot; JSON cannot either";

/** The differences that stay. An error is the failure policy of a rule, here as in Kubernetes. */
const DIFFERENCES: Readonly<Record<string, string>> = {
  "'%.99999999999999999999f'.format([1.5])": LATE,
  "object.spec.names.flatten()": GUARDED,
  "dyn(1).flatten()": WORDS,
  "dyn('a').flatten(1)": WORDS,
  "dyn(1).distinct()": WORDS,
  "dyn([[1], [2]]).sort()": WORDS,
  "'a'.findAll('a', dyn('x'))": WORDS,
  "url('http://a/p?q=é%C3%A9%ff').getQuery()": BYTES,
};

/** What our engine makes of an expression, in the form of the recording. */
function evaluate(expression: string): Outcome {
  const validation = compile(validationExpressionOf(PROBE, expression), ENVIRONMENT);
  if (!validation.ok) return { refused: validation.problems[0]?.message ?? "" };
  const variables = { object: JSON.parse(probeObject()) as unknown, oldObject: null, request: REQUEST };
  const { error } = validation.program.run(variables, new Budget(UNITS));
  if (error !== undefined) return { error: error.message };
  const message = compile(messageExpressionOf(PROBE, expression), ENVIRONMENT);
  if (!message.ok) return { refused: message.problems[0]?.message ?? "" };
  const { value } = message.program.run(variables, new Budget(UNITS));
  return { value: typeof value === "string" ? value.trim() : "(no text)" };
}

/** Of a refusal only that it is one: Kubernetes' parser words what it finds at the end of a text in its own way. */
function comparable(outcome: Outcome | undefined): Outcome | undefined {
  return outcome !== undefined && "refused" in outcome ? { refused: "" } : outcome;
}

test.each(CORPUS_FILES)("the engine says what a real API server said: %s", (file) => {
  const recorded = recording();
  const expressions = expressionsIn(file);
  const compared = expressions.map((expression) => ({
    expression,
    ours: comparable(evaluate(expression)),
    kubernetes: comparable(recorded[expression]),
  }));
  const differing = compared.filter(({ ours, kubernetes }) => JSON.stringify(ours) !== JSON.stringify(kubernetes));
  const unknown = differing.filter(({ expression }) => DIFFERENCES[expression] === undefined);
  expect(unknown).toEqual([]);
  const known = Object.keys(DIFFERENCES).filter((expression) => expressions.includes(expression));
  expect(known.filter((expression) => !differing.some((other) => other.expression === expression))).toEqual([]);
});
