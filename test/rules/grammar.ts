import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pick } from "./random.ts";

/** An expression that was written by the grammar. */
export interface Generated {
  readonly text: string;
  /** Expressions within it that mean something on their own: no variable of a macro around them is in them. */
  readonly parts: readonly Generated[];
}

type Piece =
  | { readonly kind: "text"; readonly text: string }
  /** A place for an expression of that type. */
  | { readonly kind: "place"; readonly type: string }
  /** A name for a variable of that type. */
  | { readonly kind: "variable"; readonly type: string };

interface Way {
  readonly pieces: readonly Piece[];
  /** Levels of the flattest expression that it can be; 0: nothing has to be filled in. */
  readonly height: number;
}

export type Grammar = ReadonlyMap<string, readonly Way[]>;

const FILE = join(import.meta.dirname, "..", "golden", "cel", "grammar.txt");
/** How deep an expression may become; one of this depth has some 10 parts, at most some 100. */
const DEPTH = 4;
/** How often a place gets something else than it asks for, so that errors are met everywhere. */
const WRONG_SHARE = 0.04;
/** How often a variable in scope is taken where one fits, and how often a new one hides an old one. */
const VARIABLE_SHARE = 0.5;
const HIDING_SHARE = 0.1;
/** How often the parentheses around an operator are left out. */
const BARE_SHARE = 0.1;

/** Reads grammar.txt, which says how. */
export function readGrammar(): Grammar {
  const lines = readFileSync(FILE, "utf8").split("\n");
  const rules = lines.filter((line) => line !== "" && !line.startsWith("#")).map(readLine);
  const types = new Set(rules.map(([type]) => type));
  const unknown = rules.flatMap(([, pieces]) =>
    pieces.filter((piece) => piece.kind !== "text" && !types.has(piece.type)),
  );
  if (unknown.length > 0) throw new Error(`The grammar has no such types: ${JSON.stringify(unknown)}`);
  const heights = heightsOf(rules);
  const ways = rules.map(([type, pieces]) => [type, { pieces, height: heightOf(pieces, heights) }] as const);
  const table = Object.groupBy(ways, ([type]) => type);
  return new Map(Object.entries(table).map(([type, entries = []]) => [type, entries.map(([, way]) => way)]));
}

type Rule = readonly [type: string, pieces: readonly Piece[]];

function readLine(line: string): Rule {
  const [, type = "", template = ""] = /^(\w+): (.+)$/.exec(line) ?? [];
  if (type === "") throw new Error(`Found "${line}" in the grammar, wanted "type: template"`);
  const pieces = template.split(/(<\w+>|\$\w+)/).map((text): Piece => {
    const [, kind, name] = /^([<$])(\w+)>?$/.exec(text) ?? [];
    if (name === undefined) return { kind: "text", text };
    return { kind: kind === "<" ? "place" : "variable", type: name };
  });
  return [type, pieces];
}

function heightsOf(rules: readonly Rule[]): ReadonlyMap<string, number> {
  const heights = new Map<string, number>();
  // Each round finds types one level higher; there are fewer levels than types.
  for (const _ of rules) {
    for (const [type, pieces] of rules) {
      heights.set(type, Math.min(heights.get(type) ?? Number.POSITIVE_INFINITY, heightOf(pieces, heights)));
    }
  }
  return heights;
}

function heightOf(pieces: readonly Piece[], heights: ReadonlyMap<string, number>): number {
  const places = pieces.filter((piece) => piece.kind === "place");
  const inner = places.map(({ type }) => heights.get(type) ?? Number.POSITIVE_INFINITY);
  return inner.length === 0 ? 0 : 1 + Math.max(...inner);
}

interface Variable {
  readonly name: string;
  readonly type: string;
}

/** Whether parentheses stand around the whole. */
function isOperator([first]: readonly Piece[]): boolean {
  return first?.kind === "text" && first.text.startsWith("(");
}

/** Writes an expression of a type; the same for the same random numbers. */
export function generate(grammar: Grammar, random: () => number, type: string): Generated {
  const { text, parts } = new Writer(grammar, random).write(type, [], DEPTH);
  return { text, parts };
}

interface Written extends Generated {
  /** Names of the variables of macros in it that are bound outside of it. */
  readonly free: ReadonlySet<string>;
}

class Writer {
  readonly #grammar: Grammar;
  readonly #random: () => number;
  #names = 0;

  constructor(grammar: Grammar, random: () => number) {
    this.#grammar = grammar;
    this.#random = random;
  }

  write(type: string, scope: readonly Variable[], depth: number): Written {
    const fitting = scope.filter((variable) => variable.type === type);
    if (fitting.length > 0 && this.#random() < VARIABLE_SHARE) {
      const { name } = pick(this.#random, fitting);
      return { text: name, parts: [], free: new Set([name]) };
    }
    const { pieces } = pick(this.#random, this.#ways(type, depth));
    const isBare = this.#random() < BARE_SHARE;
    return this.#filled(pieces, { scope, depth, isBare });
  }

  /** The ways that are flat enough, or the flattest. */
  #ways(type: string, depth: number): readonly Way[] {
    const ways = this.#grammar.get(type) ?? [];
    const least = Math.min(...ways.map(({ height }) => height));
    return ways.filter(({ height }) => height <= Math.max(least, depth));
  }

  #filled(
    pieces: readonly Piece[],
    { scope, depth, isBare }: { readonly scope: readonly Variable[]; readonly depth: number; readonly isBare: boolean },
  ): Written {
    let inner = scope;
    let text = "";
    const bound = new Set<string>();
    const parts: Written[] = [];
    for (const piece of pieces) {
      if (piece.kind === "text") {
        text += piece.text;
      } else if (piece.kind === "variable") {
        const name = this.#name(inner, bound);
        bound.add(name);
        inner = [...inner.filter((variable) => variable.name !== name), { name, type: piece.type }];
        text += name;
      } else {
        const type = this.#random() < WRONG_SHARE ? "wrong" : piece.type;
        const part = this.write(type, inner, depth - 1);
        parts.push(part);
        text += part.text;
      }
    }
    return {
      text: isBare && isOperator(pieces) ? text.slice(1, -1) : text,
      parts: parts.flatMap((part) => (part.free.size === 0 ? [part] : part.parts)),
      free: new Set(parts.flatMap(({ free }) => [...free]).filter((name) => !bound.has(name))),
    };
  }

  #name(scope: readonly Variable[], bound: ReadonlySet<string>): string {
    const hideable = scope.map(({ name }) => name).filter((name) => !bound.has(name));
    if (hideable.length > 0 && this.#random() < HIDING_SHARE) return pick(this.#random, hideable);
    this.#names++;
    return `v${this.#names}`;
  }
}
