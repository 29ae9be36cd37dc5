import { type Outcome, PANIC } from "./library-corpus.ts";

interface Alike {
  /** Of the expression; absent: any. */
  readonly expression?: RegExp;
  readonly ours: RegExp;
  readonly kubernetes: RegExp;
  /** Why it stays, and why no verdict can differ by it where that is so. */
  readonly why: string;
}

const ERRORS = "an error in both, which is the failure policy of the rule; it is worded otherwise";

/** Differences that stay, wherever they are met. Each side is the kind of outcome and its text. */
const ALIKE: readonly Alike[] = [
  {
    ours: /^error: /,
    kubernetes: /^error: internal error: /,
    why: `${ERRORS}: cel-go panics over an error as an argument of sort, sortBy or distinct, and recovers`,
  },
  {
    ours: /^error: no such overload/,
    kubernetes: /^error: no such overload/,
    why: `${ERRORS}: whether cel-go names the function and its arguments depends on how it found the overload`,
  },
  {
    ours: /^error: unknown time zone /,
    kubernetes: /^error: time: invalid location name/,
    why: `${ERRORS}: Go tells apart what could not be the name of a file`,
  },
  {
    ours: /^error: cannot initialize optional list element from non-optional value /,
    kubernetes: /^error: cannot initialize optional list element from non-optional value /,
    why: `${ERRORS}: Go shows some values themselves, not their type`,
  },
  {
    ours: /^error: insert failed: key .* already exists/,
    kubernetes: /^error: insert failed: key .* already exists/,
    why: `${ERRORS}: Go shows a key in its own way that is null, a list or a map`,
  },
  {
    ours: /^error: no such overload: (@sortByAssociatedKeys|sort)/,
    kubernetes: /^error: list elements must be comparable/,
    why: `${ERRORS}: it is the elements that do not fit, not the list`,
  },
  {
    ours: /^error: invalid qualifier type: /,
    kubernetes: /^error: invalid qualifier type: /,
    why: `${ERRORS}: Go types of JSON values have several names`,
  },
  {
    ours: /^/,
    kubernetes: /^refused: .*reference to undefined type: /,
    why: "cel-go takes a variable that holds a type for the name of one, and refuses a rule that means something",
  },
  {
    expression: /(?<![.\w])matches\(/,
    ours: /^/,
    kubernetes: /^refused: invalid matches argument$/,
    why: "cel-go takes the text of matches(text, pattern) for the pattern, and refuses a rule that means something",
  },
  {
    ours: /^/,
    kubernetes: new RegExp(`^refused: ${PANIC}$`),
    why: "Kubernetes has no verdict: the API server panics when the rule is written, over an optional entry that is dyn",
  },
];

/** Why the outcomes are as good as the same; undefined if they are not. */
export function alike(text: string, ours: Outcome, kubernetes: Outcome): string | undefined {
  const found = ALIKE.find(
    ({ expression, ...sides }) =>
      (expression?.test(text) ?? true) && sides.ours.test(textOf(ours)) && sides.kubernetes.test(textOf(kubernetes)),
  );
  return found?.why;
}

function textOf(outcome: Outcome): string {
  const [[kind, text] = ["", ""]] = Object.entries(outcome);
  return `${kind}: ${text}`;
}
