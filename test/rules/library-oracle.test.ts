import { expect, test } from "vitest";
import { differenceOf } from "./engine-outcome.ts";
import { CORPUS_FILES, corpusInputs, expressionsIn, recording } from "./library-corpus.ts";

const WORDS = "an error in both, worded otherwise";
const LATE = "refused by Kubernetes when it is written, an error here whenever it runs";
const BYTES = "the bytes are no UTF-8, which Go keeps in a string and JavaScript cannot; JSON cannot either";

/** The differences that stay. An error is the failure policy of a rule, here as in Kubernetes. */
const DIFFERENCES: Readonly<Record<string, string>> = {
  "'%.99999999999999999999f'.format([1.5])": LATE,
  "dyn(1).flatten()": WORDS,
  "dyn('a').flatten(1)": WORDS,
  "dyn([[1], [2]]).sort()": WORDS,
  "'a'.findAll('a', dyn('x'))": WORDS,
  "object.spec.map[object.spec.nothing]": WORDS,
  "object.spec.map[?object.spec.numbers]": WORDS,
  "object.spec.numbers[?object.spec.map]": WORDS,
  "url('http://a/p?q=é%C3%A9%ff').getQuery()": BYTES,
};

test.each(CORPUS_FILES)("the engine says what a real API server said: %s", (file) => {
  const recorded = recording();
  const inputs = corpusInputs();
  const expressions = expressionsIn(file);
  const found = expressions.map((expression) => differenceOf(expression, inputs, recorded[expression]));
  const differing = found.filter((difference) => difference !== undefined);
  const unknown = differing.filter(({ expression }) => DIFFERENCES[expression] === undefined);
  expect(unknown).toEqual([]);
  const known = Object.keys(DIFFERENCES).filter((expression) => expressions.includes(expression));
  expect(known.filter((expression) => !differing.some((other) => other.expression === expression))).toEqual([]);
});
