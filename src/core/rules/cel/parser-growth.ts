import type { Expression, Span } from "./ast.ts";
import { ParseProblem } from "./parser-problem.ts";

/** How deep an expression may be nested; cel-go's default, which the API server keeps (parser.NewParser). */
export const MAX_DEPTH = 250;

/** How many nodes an expression may have: as many as its characters, which bounds what macros may add. */
export const MAX_NODES = 100_000;

/** Counts while a tree grows, so that whoever walks it may recurse. Throws a ParseProblem at the limits. */
export class Growth {
  /** Of nodes that are deeper than one. */
  readonly #depths = new WeakMap<Expression, number>();
  #nesting = 0;
  #nodes = 0;

  /** Begins an expression within the expression, which the parser does by recursion. */
  enter(at: Span): void {
    this.#nesting++;
    this.#check(this.#nesting, at);
  }

  leave(): void {
    this.#nesting--;
  }

  /** A new node made of those parts. */
  node(expression: Expression, parts: readonly Expression[]): Expression {
    let depth = 1;
    for (const part of parts) {
      depth = Math.max(depth, 1 + (this.#depths.get(part) ?? 1));
    }
    this.#check(depth, expression);
    this.#nodes++;
    if (this.#nodes > MAX_NODES) {
      throw new ParseProblem(`expression has more than ${MAX_NODES} nodes`, expression.start, expression.end);
    }
    this.#depths.set(expression, depth);
    return expression;
  }

  #check(depth: number, { start, end }: Span): void {
    if (depth > MAX_DEPTH) {
      throw new ParseProblem(`expression recursion limit exceeded: ${MAX_DEPTH}`, start, end);
    }
  }
}
