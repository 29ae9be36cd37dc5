import { expect, test } from "vitest";
import type { Expression } from "../../src/core/rules/cel/ast.ts";
import { partsOf } from "../../src/core/rules/cel/check-literals.ts";
import { namesOf } from "../../src/core/rules/cel/environment.ts";
import { parse, qualifiedName } from "../../src/core/rules/cel/parser.ts";
import { ENVIRONMENT } from "./engine-outcome.ts";
import { CORPUS_FILES, expressionsIn, recording } from "./library-corpus.ts";

const LEAST = 3;
const NAMES = namesOf(ENVIRONMENT);
/** What macros expand to; their names are those of the macros. */
const INNER = new Set(["cel.@mapInsert", "@sortByAssociatedKeys"]);

test("three expressions or more hold each function and macro against Kubernetes, one of them an error", () => {
  const said = recording();
  const uses = new Map<string, { all: number; errors: number }>();
  for (const text of CORPUS_FILES.flatMap(expressionsIn)) {
    const isError = !("value" in (said[text] ?? { refused: "" }));
    for (const name of namesIn(text)) {
      const { all, errors } = uses.get(name) ?? { all: 0, errors: 0 };
      uses.set(name, { all: all + 1, errors: errors + Number(isError) });
    }
  }
  const wanted = [...NAMES.functions.keys(), ...NAMES.macros.map(({ name }) => name)].filter(
    (name) => !INNER.has(name),
  );
  const rare = [...new Set(wanted)].map((name) => ({ name, ...(uses.get(name) ?? { all: 0, errors: 0 }) }));
  expect(rare.filter(({ all, errors }) => all < LEAST || errors === 0)).toEqual([]);
});

/** Functions and macros of an expression; of one that cannot be parsed what looks like a call. */
function namesIn(text: string): ReadonlySet<string> {
  const macros = NAMES.macros.filter(({ name }) => new RegExp(`\\b${name}\\(`).test(text)).map(({ name }) => name);
  const parsed = parse(text, NAMES.macros);
  if (!parsed.ok) return new Set([...macros, ...[...text.matchAll(/(\w+)\(/g)].map(([, name = ""]) => name)]);
  const names = new Set(macros);
  visit(parsed.expression, (node) => {
    if (node.kind !== "call") return;
    const prefix = node.target && qualifiedName(node.target);
    const full = `${prefix}.${node.name}`;
    names.add(prefix !== undefined && NAMES.functions.has(full) ? full : node.name);
  });
  return names;
}

function visit(node: Expression, act: (node: Expression) => void): void {
  act(node);
  for (const part of partsOf(node)) visit(part, act);
}
