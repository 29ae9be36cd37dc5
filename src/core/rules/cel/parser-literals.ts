import type { Token } from "./lexer.ts";
import { ParseProblem } from "./parser-problem.ts";
import { Uint, type Value } from "./values.ts";

export const INT_MIN = -(2n ** 63n);
export const INT_MAX = 2n ** 63n - 1n;
export const UINT_MAX = 2n ** 64n - 1n;

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  a: "\u0007",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};
const ESCAPES = /\\(?:[xX]([0-9a-fA-F]{2})|(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})|([0-3][0-7]{2})|([^]))/g;

/** The text between the quotes, and whether backslashes in it are meant as they are. */
function unquoted(text: string): { readonly body: string; readonly raw: boolean } {
  const raw = /^[rR]/.test(text);
  const quoted = (raw ? text.slice(1) : text).replaceAll(/\r\n?/g, "\n");
  const width = /^(?:'''|""")/.test(quoted) && quoted.length >= 6 ? 3 : 1;
  return { body: quoted.slice(width, quoted.length - width), raw };
}

function codePoint(token: Token, digits: string, radix: number): string {
  const code = Number.parseInt(digits, radix);
  if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
    throw new ParseProblem("invalid unicode code point", token.start, token.end);
  }
  return String.fromCodePoint(code);
}

function stringValue(token: Token): string {
  const { body, raw } = unquoted(token.text);
  if (raw || !body.includes("\\")) {
    return body;
  }
  let text = "";
  let from = 0;
  for (const found of body.matchAll(ESCAPES)) {
    const [whole, hex, unicode, octal, simple = ""] = found;
    const digits = hex ?? unicode?.slice(1) ?? octal;
    const character = digits === undefined ? (SIMPLE_ESCAPES[simple] ?? simple) : undefined;
    text += body.slice(from, found.index) + (character ?? codePoint(token, digits ?? "", octal === undefined ? 16 : 8));
    from = found.index + whole.length;
  }
  return text + body.slice(from);
}

/** The bytes of a literal: text as UTF-8, `\xff` and `\377` as the byte they name. */
function bytesValue(token: Token): Uint8Array {
  const { body, raw } = unquoted(token.text.slice(1));
  if (raw || !body.includes("\\")) {
    return encodeUtf8(body);
  }
  const bytes: number[] = [];
  const append = (part: string): void => encodeUtf8(part).forEach((byte) => bytes.push(byte));
  let from = 0;
  for (const found of body.matchAll(ESCAPES)) {
    append(body.slice(from, found.index));
    from = found.index + found[0].length;
    const [, hex, unicode, octal, simple = ""] = found;
    if (unicode !== undefined) {
      throw new ParseProblem("unable to unescape string", token.start, token.end);
    }
    if (hex !== undefined || octal !== undefined) {
      bytes.push(Number.parseInt(hex ?? octal ?? "", hex === undefined ? 8 : 16));
    } else {
      append(SIMPLE_ESCAPES[simple] ?? simple);
    }
  }
  append(body.slice(from));
  return Uint8Array.from(bytes);
}

/** UTF-8; what is no character becomes U+FFFD. Written out, as TextEncoder belongs to hosts, not to the language. */
export function encodeUtf8(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of text.toWellFormed()) {
    const code = character.codePointAt(0) ?? 0;
    if (code < 0x80) {
      bytes.push(code);
    } else if (code < 0x800) {
      bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
    } else if (code < 0x10000) {
      bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    } else {
      bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    }
  }
  return Uint8Array.from(bytes);
}

function bounded(token: Token, value: bigint, what: "int" | "uint"): bigint {
  const [least, most] = what === "int" ? [INT_MIN, INT_MAX] : [0n, UINT_MAX];
  if (value < least || value > most) {
    throw new ParseProblem(`invalid ${what} literal`, token.start, token.end);
  }
  return value;
}

/** The value of a literal; `sign` is that of a minus right before a number. Throws a ParseProblem. */
export function literalValue(token: Token, sign: 1n | -1n): Value {
  switch (token.kind) {
    case "int":
      return bounded(token, sign * BigInt(token.text), "int");
    case "uint":
      return new Uint(bounded(token, BigInt(token.text.slice(0, -1)), "uint"));
    case "double": {
      const value = Number(sign) * Number(token.text);
      if (!Number.isFinite(value)) {
        throw new ParseProblem("invalid double literal", token.start, token.end);
      }
      return value;
    }
    case "string":
      return stringValue(token);
    case "bytes":
      return bytesValue(token);
    case "identifier":
    case "quoted":
    case "operator":
    case "word":
    case "end":
      break;
  }
  throw new ParseProblem(`Syntax error: unexpected '${token.text}'`, token.start, token.end);
}
