import type { Expression, ListElement, MapEntry, Span } from "./ast.ts";
import type { Macro } from "./library.ts";
import { type Token, tokenize } from "./lexer.ts";
import { literalValue } from "./parser-literals.ts";
import { ParseProblem } from "./parser-problem.ts";
import { Growth } from "./parser-growth.ts";

/** Code points; cel-go's own default, which the API server keeps (parser.NewParser, expressionSizeCodePointLimit). */
export const MAX_EXPRESSION_LENGTH = 100_000;

/** Names that no variable and no function may have; fields and methods may (cel-go, parser.reservedIds). */
const RESERVED: ReadonlySet<string> = new Set(
  "as break const continue else for function if import let loop package namespace return var void while".split(" "),
);

/** How tightly an operator holds; `&&`, `||` and `?:` hold less and are treated apart. */
const PRECEDENCE: ReadonlyMap<string, number> = new Map([
  ...["<", "<=", ">=", ">", "==", "!=", "in"].map((operator) => [operator, 1] as const),
  ...["+", "-"].map((operator) => [operator, 2] as const),
  ...["*", "/", "%"].map((operator) => [operator, 3] as const),
]);

export type Parsed =
  | { readonly ok: true; readonly expression: Expression }
  | { readonly ok: false; readonly problem: ParseProblem };

/** The tree of an expression with its macros expanded, or the first problem. */
export function parse(text: string, macros: readonly Macro[], takesQuoted = false): Parsed {
  try {
    const length = text.length > MAX_EXPRESSION_LENGTH ? Array.from(text).length : text.length;
    if (length > MAX_EXPRESSION_LENGTH) {
      const found = `size: ${length}, limit ${MAX_EXPRESSION_LENGTH}`;
      throw new ParseProblem(`expression code point size exceeds limit: ${found}`, 0, 0);
    }
    const tokens = tokenize(text);
    const quoted = takesQuoted ? undefined : tokens.find(({ kind }) => kind === "quoted");
    if (quoted !== undefined) {
      throw new ParseProblem("unsupported syntax: '`'", quoted.start, quoted.end);
    }
    return { ok: true, expression: new Parser(tokens, macros).start() };
  } catch (error) {
    if (error instanceof ParseProblem) {
      return { ok: false, problem: error };
    }
    throw error;
  }
}

class Parser {
  readonly #tokens: readonly Token[];
  readonly #macros: ReadonlyMap<string, readonly Macro[]>;
  readonly #growth = new Growth();
  #at = 0;
  #names = 0;

  constructor(tokens: readonly Token[], macros: readonly Macro[]) {
    this.#tokens = tokens;
    this.#macros = Map.groupBy(macros, ({ name }) => name);
  }

  start(): Expression {
    const expression = this.#expression();
    if (this.#next.kind !== "end") {
      this.#unexpected("the end of the expression or an operator");
    }
    return expression;
  }

  get #next(): Token {
    return this.#tokens[this.#at] ?? { kind: "end", text: "<EOF>", start: 0, end: 0 };
  }

  #take(): Token {
    const token = this.#next;
    this.#at++;
    return token;
  }

  #is(operator: string): boolean {
    const { kind, text } = this.#next;
    return text === operator && (kind === "operator" || kind === "word");
  }

  /** Takes the operator if it is next. */
  #skip(operator: string): boolean {
    const found = this.#is(operator);
    this.#at += found ? 1 : 0;
    return found;
  }

  #want(operator: string): Token {
    return this.#is(operator) ? this.#take() : this.#unexpected(`'${operator}'`);
  }

  #unexpected(wanted: string): never {
    const { text, start, end } = this.#next;
    throw new ParseProblem(`Syntax error: found '${text}', expected ${wanted}`, start, end);
  }

  #expression(): Expression {
    this.#growth.enter(this.#next);
    const condition = this.#logical();
    if (!this.#is("?")) {
      this.#growth.leave();
      return condition;
    }
    const operator = this.#take();
    const yes = this.#logical();
    this.#want(":");
    const no = this.#expression();
    this.#growth.leave();
    return this.#operation("_?_:_", operator, [condition, yes, no]);
  }

  /** Terms of `||`, each of them terms of `&&`; both as trees of little depth, as many terms as there may be. */
  #logical(): Expression {
    const or = { terms: [] as Expression[], operators: [] as Token[] };
    for (;;) {
      const and = { terms: [this.#relation()], operators: [] as Token[] };
      while (this.#is("&&")) {
        and.operators.push(this.#take());
        and.terms.push(this.#relation());
      }
      or.terms.push(this.#balanced("_&&_", and.terms, and.operators));
      if (!this.#is("||")) {
        return this.#balanced("_||_", or.terms, or.operators);
      }
      or.operators.push(this.#take());
    }
  }

  #balanced(name: string, terms: readonly Expression[], operators: readonly Token[]): Expression {
    const tree = (from: number, to: number): Expression => {
      const [term] = terms.slice(from, from + 1);
      if (from === to && term !== undefined) {
        return term;
      }
      const middle = (from + to + 1) >> 1;
      const operator = operators[middle - 1] ?? this.#next;
      return this.#operation(name, operator, [tree(from, middle - 1), tree(middle, to)]);
    };
    return tree(0, terms.length - 1);
  }

  /** Everything from `==` to `*`, all of it left-associative: two stacks instead of a function for each level. */
  #relation(): Expression {
    const operands = [this.#unary()];
    const operators: Token[] = [];
    const reduce = (least: number): void => {
      for (let top = operators.at(-1); top !== undefined && (PRECEDENCE.get(top.text) ?? 0) >= least; ) {
        operators.pop();
        const name = top.text === "in" ? "@in" : `_${top.text}_`;
        operands.push(this.#operation(name, top, operands.splice(-2)));
        top = operators.at(-1);
      }
    };
    for (;;) {
      const { kind, text } = this.#next;
      const precedence = kind === "operator" || kind === "word" ? PRECEDENCE.get(text) : undefined;
      reduce(precedence ?? 0);
      const [only] = operands;
      if (precedence === undefined && only !== undefined) {
        return only;
      }
      operators.push(this.#take());
      operands.push(this.#unary());
    }
  }

  #unary(): Expression {
    const first = this.#next;
    const isNegation = this.#is("-");
    if (!isNegation && !this.#is("!")) {
      return this.#member(1n);
    }
    let count = 0;
    while (this.#skip(first.text)) {
      count++;
    }
    const { kind } = this.#next;
    if (isNegation && count === 1 && (kind === "int" || kind === "double")) {
      return this.#member(-1n);
    }
    const isSigned = !isNegation && this.#skip("-");
    if (isSigned && !["int", "double"].includes(this.#next.kind)) {
      this.#unexpected("a number");
    }
    const operand = this.#member(isSigned ? -1n : 1n);
    return count % 2 === 0 ? operand : this.#operation(isNegation ? "-_" : "!_", first, [operand]);
  }

  /** `sign` is that of a minus before a number, which is part of the literal: the least int has no positive one. */
  #member(sign: 1n | -1n): Expression {
    let operand = this.#primary(sign);
    for (;;) {
      if (this.#is(".")) {
        operand = this.#selection(operand, this.#take());
      } else if (this.#is("[")) {
        const bracket = this.#take();
        const optional = this.#skip("?");
        const index = this.#expression();
        const span = { start: operand.start, end: this.#want("]").end, at: bracket.start };
        operand = this.#growth.node({ kind: "index", operand, index, optional, ...span }, [operand, index]);
      } else if (this.#is("{") && qualifiedName(operand) !== undefined) {
        operand = this.#struct(operand, qualifiedName(operand) ?? "");
      } else {
        return operand;
      }
    }
  }

  #selection(operand: Expression, dot: Token): Expression {
    const optional = this.#skip("?");
    const name = this.#take();
    if (name.kind === "identifier" && !optional && this.#is("(")) {
      return this.#call(name, operand);
    }
    if (name.kind !== "identifier" && name.kind !== "quoted") {
      this.#at--;
      this.#unexpected("the name of a field");
    }
    const field = name.kind === "quoted" ? name.text.slice(1, -1) : name.text;
    const span = { start: operand.start, end: name.end, at: dot.start };
    return this.#growth.node({ kind: "select", operand, field, test: false, optional, ...span }, [operand]);
  }

  #primary(sign: 1n | -1n): Expression {
    const token = this.#take();
    const span = { start: token.start, end: token.end };
    switch (token.kind) {
      case "identifier":
        return this.#named(token, "");
      case "word":
        if (token.text !== "in") {
          const value = token.text === "null" ? null : token.text === "true";
          return this.#growth.node({ kind: "literal", value, ...span }, []);
        }
        break;
      case "operator":
        switch (token.text) {
          case "(": {
            const inner = this.#expression();
            this.#want(")");
            return inner;
          }
          case "[":
            return this.#list(token);
          case "{":
            return this.#map(token);
          case ".":
            if (this.#next.kind === "identifier") {
              return this.#named(this.#take(), ".");
            }
        }
        break;
      case "int":
      case "uint":
      case "double":
      case "string":
      case "bytes":
        return this.#growth.node({ kind: "literal", value: literalValue(token, sign), ...span }, []);
      case "quoted":
      case "end":
    }
    this.#at--;
    return this.#unexpected("an expression");
  }

  #named(token: Token, dot: "" | "."): Expression {
    if (RESERVED.has(token.text) && !this.#startsStruct()) {
      throw new ParseProblem(`reserved identifier: ${token.text}`, token.start, token.end);
    }
    if (this.#is("(")) {
      return this.#call({ ...token, text: dot + token.text }, undefined);
    }
    return this.#growth.node({ kind: "identifier", name: dot + token.text, start: token.start, end: token.end }, []);
  }

  /** A message may be called by a reserved word, though none of ours is. */
  #startsStruct(): boolean {
    return this.#is("{");
  }

  #call(name: Token, target: Expression | undefined): Expression {
    const bracket = this.#want("(");
    const parameters: Expression[] = [];
    if (!this.#is(")")) {
      do {
        parameters.push(this.#expression());
      } while (this.#skip(","));
    }
    const span = { start: target?.start ?? name.start, end: this.#want(")").end, at: bracket.start };
    const call = { kind: "call", name: name.text, target, arguments: parameters, ...span } as const;
    const parts = target === undefined ? parameters : [target, ...parameters];
    return this.#growth.node(this.#expanded(call) ?? call, parts);
  }

  #expanded(call: Expression & { readonly kind: "call" }): Expression | undefined {
    const isMember = call.target !== undefined;
    const macro = this.#macros
      .get(call.name)
      ?.find(({ member, arity }) => member === isMember && (arity ?? call.arguments.length) === call.arguments.length);
    return macro?.expand(call, {
      freshName: () => `@${this.#names++}`,
      problem: ({ start, end, at }, message) => new ParseProblem(message, at ?? start, end),
    });
  }

  /** Whether a literal ends here; an empty one may hold a comma, as in cel-go. */
  #ends(bracket: "]" | "}", parts: readonly unknown[]): boolean {
    if (parts.length === 0 && this.#skip(",") && !this.#is(bracket)) {
      return this.#unexpected(`'${bracket}'`);
    }
    return this.#is(bracket);
  }

  #list(bracket: Token): Expression {
    const elements: ListElement[] = [];
    while (!this.#ends("]", elements)) {
      const optional = this.#skip("?");
      elements.push({ value: this.#expression(), optional });
      if (!this.#skip(",")) {
        break;
      }
    }
    const span = { start: bracket.start, end: this.#want("]").end };
    return this.#growth.node(
      { kind: "list", elements, ...span },
      elements.map(({ value }) => value),
    );
  }

  #map(bracket: Token): Expression {
    const entries: MapEntry[] = [];
    while (!this.#ends("}", entries)) {
      const optional = this.#skip("?");
      const key = this.#expression();
      this.#want(":");
      entries.push({ key, value: this.#expression(), optional });
      if (!this.#skip(",")) {
        break;
      }
    }
    const span = { start: bracket.start, end: this.#want("}").end };
    return this.#growth.node(
      { kind: "map", entries, ...span },
      entries.flatMap(({ key, value }) => [key, value]),
    );
  }

  #struct(type: Expression, name: string): Expression {
    const bracket = this.#want("{");
    const entries: MapEntry[] = [];
    while (!this.#is("}")) {
      const optional = this.#skip("?");
      const field = this.#take();
      if (field.kind !== "identifier" && field.kind !== "quoted") {
        this.#at--;
        this.#unexpected("the name of a field");
      }
      const span = { start: field.start, end: field.end };
      const key = this.#growth.node({ kind: "literal", value: field.text, ...span }, []);
      this.#want(":");
      entries.push({ key, value: this.#expression(), optional });
      if (!this.#skip(",")) {
        break;
      }
    }
    const span = { start: type.start, end: this.#want("}").end, at: bracket.start };
    return this.#growth.node(
      { kind: "struct", name, entries, ...span },
      entries.map(({ value }) => value),
    );
  }

  #operation(name: string, operator: Token, parameters: readonly Expression[]): Expression {
    const span: Span = {
      start: Math.min(operator.start, parameters[0]?.start ?? operator.start),
      end: parameters.at(-1)?.end ?? operator.end,
      at: operator.start,
    };
    const call = { kind: "call", name, target: undefined, arguments: parameters, ...span } as const;
    return this.#growth.node(call, parameters);
  }
}

/** `a.b.c` as text, if the expression is that. */
export function qualifiedName(expression: Expression): string | undefined {
  const fields: string[] = [];
  let at = expression;
  while (at.kind === "select" && !at.test && !at.optional) {
    fields.unshift(at.field);
    at = at.operand;
  }
  return at.kind === "identifier" ? [at.name, ...fields].join(".") : undefined;
}
