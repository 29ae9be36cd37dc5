/**
 * Expressions that a grammar writes at random, and others that are mutated from them, run in a real kube-apiserver and
 * in our engine: same verdict, same text, same error, and no value where the API server has an error. `CEL_SEED`
 * repeats a run, `CEL_COUNT` says how many expressions it has.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { compile } from "../../src/core/rules/cel/cel.ts";
import { type ControlPlane, startControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { alike } from "../rules/alike.ts";
import { type Difference, differenceOf, ENVIRONMENT, outcomeOf } from "../rules/engine-outcome.ts";
import { type Generated, generate, readGrammar } from "../rules/grammar.ts";
import { generatedInputs, type Outcome } from "../rules/library-corpus.ts";
import { mutated } from "../rules/mutations.ts";
import { generator } from "../rules/random.ts";
import { CelOracle } from "./cel-oracle.ts";

const COUNT = Number(process.env["CEL_COUNT"] ?? 500);
/** A rule asks for a bool; the others show values that a bool would hide. */
const BOOL_SHARE = 0.6;
/** One and the same each time: of 30,000 expressions one may still differ in a way that alike.ts does not know. */
const SEED = 205;
/** Beside them, mutated ones: what somebody may write who has not got it right yet. */
const MUTATED_COUNT = COUNT / 5;
/** Go goes through a map in another order each time, and with it differs which of several errors comes first. */
const RANDOM_ORDER_TRIES = 24;
const INPUTS = generatedInputs();

let controlPlane: ControlPlane;
beforeAll(async () => {
  controlPlane = await startControlPlane({ controllerManager: false });
});
afterAll(() => controlPlane?.stop());

test("the API server and our engine agree on generated expressions", { timeout: 600_000 }, async () => {
  const seed = Number(process.env["CEL_SEED"] ?? SEED);
  console.log(`CEL_SEED=${seed}`);
  const expressions = written(seed);
  const oracle = await CelOracle.start(controlPlane, INPUTS);
  const said = await oracle.ask([...expressions.keys()]);
  const smallest: (Difference | undefined)[] = [];
  for (const [text, outcome] of said) {
    const whole = unlike(text, outcome) && expressions.get(text);
    if (whole !== undefined) smallest.push(await shrunk(oracle, whole, outcome));
  }
  expect(
    smallest.filter((difference) => difference !== undefined),
    `CEL_SEED=${seed}`,
  ).toEqual([]);
  const outcomes = [...said.values()];
  // Of all three kinds, or the grammar has become too wild, or too tame, to say anything.
  expect(outcomes.filter((outcome) => "value" in outcome).length).toBeGreaterThan(COUNT / 3);
  expect(outcomes.filter((outcome) => "error" in outcome).length).toBeGreaterThan(COUNT / 10);
  expect(outcomes.filter((outcome) => "refused" in outcome).length).toBeLessThan(COUNT / 5);
});

function written(seed: number): ReadonlyMap<string, Generated> {
  const grammar = readGrammar();
  const random = generator(seed);
  const expressions = new Map<string, Generated>();
  while (expressions.size < COUNT) {
    const expression = generate(grammar, random, random() < BOOL_SHARE ? "bool" : "any");
    expressions.set(expression.text, expression);
  }
  const texts = [...expressions.keys()];
  while (expressions.size < COUNT + MUTATED_COUNT) {
    const text = mutated(random, texts);
    if (isTelling(text)) expressions.set(text, { text, parts: [] });
  }
  return expressions;
}

/**
 * Most mutations do not compile, which says little; what is no UTF-8 or not one line reaches nobody as it is; and the
 * request has fields that we leave untyped here.
 */
function isTelling(text: string): boolean {
  if (!text.isWellFormed() || /[\n\r\0]|request/.test(text)) return false;
  return compile(text, ENVIRONMENT).ok && !("refused" in outcomeOf(text, INPUTS));
}

/** The difference, if it is none that is known to stay. */
function unlike(text: string, outcome: Outcome): Difference | undefined {
  const difference = differenceOf(text, INPUTS, outcome);
  return difference !== undefined && alike(text, difference.ours, outcome) === undefined ? difference : undefined;
}

/** The shortest part of an expression that the two do not agree on; undefined where Kubernetes does not with itself. */
async function shrunk(oracle: CelOracle, whole: Generated, first: Outcome): Promise<Difference | undefined> {
  // Blanks make other expressions of it, which are asked about at once.
  const spellings = Array.from({ length: RANDOM_ORDER_TRIES }, (_, blanks) => whole.text + " ".repeat(blanks));
  const answers = [first, ...(await oracle.ask(spellings)).values()].map((outcome) => JSON.stringify(outcome));
  if (new Set(answers).size > 1) return undefined;
  const texts = [...new Set([...partsOf(whole), whole.text])];
  const said = await oracle.ask(texts.toSorted((a, b) => a.length - b.length));
  return [...said].map(([text, outcome]) => unlike(text, outcome)).find((difference) => difference !== undefined);
}

function partsOf({ parts }: Generated): readonly string[] {
  return parts.flatMap((part) => [part.text, ...partsOf(part)]);
}
