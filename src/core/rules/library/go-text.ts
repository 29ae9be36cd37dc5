const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u;
/** What may need an escape: all but ASCII without quotes and backslashes. */
const NOT_PLAIN = /[^ !#-[\]-~]/gu;
const BYTE_END = 0x80;
const UNIT_END = 0x1_0000;

const SHORT_ESCAPES: ReadonlyMap<string, string> = new Map([
  ["\x07", "\\a"],
  ["\b", "\\b"],
  ["\f", "\\f"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
  ["\v", "\\v"],
  ["\\", "\\\\"],
  ['"', '\\"'],
]);

/** The text as Go's `%q` and strconv.Quote write it; error messages of Kubernetes quote so. */
export function goQuote(text: string): string {
  return quoteWith(text, (character) => (PRINTABLE.test(character) ? character : hexEscape(character)));
}

/** As `strings.quote` of CEL writes it: only the escapes that CEL has a letter for. */
export function celQuote(text: string): string {
  return quoteWith(text, (character) => character);
}

function quoteWith(text: string, other: (character: string) => string): string {
  const escaped = text
    .toWellFormed()
    .replace(NOT_PLAIN, (character) => SHORT_ESCAPES.get(character) ?? other(character));
  return `"${escaped}"`;
}

function hexEscape(character: string): string {
  const point = character.codePointAt(0) ?? 0;
  const hex = point.toString(16);
  if (point < BYTE_END) return `\\x${hex.padStart(2, "0")}`;
  return point < UNIT_END ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}

/** What Go's strings.TrimSpace takes away: Unicode's White_Space, so U+0085 but not U+FEFF. */
const SPACE = /[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

export function trimSpace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && SPACE.test(text.charAt(start))) start++;
  while (end > start && SPACE.test(text.charAt(end - 1))) end--;
  return text.slice(start, end);
}

/** The text of UTF-8 bytes; each byte that is part of none becomes U+FFFD. */
export function decodeUtf8(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes[at] ?? 0);
    const character = decoded(bytes.subarray(at, at + length));
    text += character ?? "\ufffd";
    at += character === undefined ? 1 : length;
  }
  return text;
}

function sequenceLength(lead: number): number {
  if (lead < 0xc0) return 1;
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
}

function decoded(sequence: Uint8Array): string | undefined {
  const escaped = Array.from(sequence, (byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
  try {
    return decodeURIComponent(escaped);
  } catch {
    return undefined;
  }
}
