import { ParseProblem } from "./parser-problem.ts";

export type TokenKind =
  | "identifier"
  /** `` `a-b` ``, a field that is no identifier. */
  | "quoted"
  | "int"
  | "uint"
  | "double"
  | "string"
  | "bytes"
  | "operator"
  /** `true`, `false`, `null` and `in`: words that are no identifiers anywhere. */
  | "word"
  | "end";

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

const WORDS: ReadonlySet<string> = new Set(["true", "false", "null", "in"]);

/** What stands between tokens. */
const SPACE = /(?:[\t \r\n\f]|\/\/[^\n]*)*/y;
const ESCAPE = String.raw`\\(?:[abfnrtv"'\\?\`]|[0-3][0-7][0-7]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})`;
const STRING = [
  String.raw`[rR]"""[^]*?"""`,
  String.raw`[rR]'''[^]*?'''`,
  String.raw`[rR]"[^"\n\r]*"`,
  String.raw`[rR]'[^'\n\r]*'`,
  String.raw`"""(?:${ESCAPE}|[^\\])*?"""`,
  String.raw`'''(?:${ESCAPE}|[^\\])*?'''`,
  String.raw`"(?:${ESCAPE}|[^\\"\n\r])*"`,
  String.raw`'(?:${ESCAPE}|[^\\'\n\r])*'`,
].join("|");

/** Tried in this order; the first that matches wins. */
const TOKENS: readonly (readonly [TokenKind, RegExp])[] = [
  ["bytes", new RegExp(`[bB](?:${STRING})`, "y")],
  ["string", new RegExp(STRING, "y")],
  ["double", /(?:\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)/y],
  ["uint", /(?:0x[0-9a-fA-F]+|\d+)[uU]/y],
  ["int", /(?:0x[0-9a-fA-F]+|\d+)/y],
  ["identifier", /[A-Za-z_][A-Za-z0-9_]*/y],
  ["quoted", /`[A-Za-z0-9_.\-/ ]+`/y],
  ["operator", /==|!=|<=|>=|&&|\|\||[<>[\]{}().,\-!?:+*/%]/y],
];

function match(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

function tokenAt(text: string, start: number): Token {
  for (const [kind, pattern] of TOKENS) {
    const found = match(pattern, text, start);
    if (found !== undefined) {
      const isWord = kind === "identifier" && WORDS.has(found);
      return { kind: isWord ? "word" : kind, text: found, start, end: start + found.length };
    }
  }
  const found = String.fromCodePoint(text.codePointAt(start) ?? 0);
  const hint = found === '"' || found === "'" ? "; is the string closed, are its escapes valid?" : "";
  throw new ParseProblem(`Syntax error: token recognition error at: '${found}'${hint}`, start, start + found.length);
}

/** The tokens of an expression, the last of them of kind `end`. Throws a ParseProblem. */
export function tokenize(text: string): readonly Token[] {
  const tokens: Token[] = [];
  for (let at = 0; ; ) {
    at += match(SPACE, text, at)?.length ?? 0;
    if (at >= text.length) {
      tokens.push({ kind: "end", text: "<EOF>", start: text.length, end: text.length });
      return tokens;
    }
    const token = tokenAt(text, at);
    tokens.push(token);
    at = token.end;
  }
}
