/** The outcome of one parser: a value, or what was found and what is wanted, in one line. */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string };

const QUOTED_CHARACTERS_MAX = 40;

export function accepted<T>(value: T): Parsed<T> {
  return { ok: true, value };
}

export function rejected(found: string, wanted: string): Parsed<never> {
  return { ok: false, reason: `found ${quote(found)}, wanted ${wanted}` };
}

/**
 * The text in double quotes, shortened, with everything spelled out that a reader could not see or would mistake:
 * `"10\u{a0}s"`. One line whatever the text holds.
 */
export function quote(text: string): string {
  const shown = text.length > QUOTED_CHARACTERS_MAX ? `${text.slice(0, QUOTED_CHARACTERS_MAX)}…` : text;
  return `"${shown.replaceAll(/[^\x20-\x7e\p{L}…]/gu, escapeCharacter)}"`;
}

function escapeCharacter(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}

/** Rust's `str::trim`: the Unicode property White_Space. JavaScript's trim differs in U+0085 and U+FEFF. */
export function trimWhiteSpace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isWhiteSpace(text.charCodeAt(start))) start += 1;
  while (end > start && isWhiteSpace(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

function isWhiteSpace(code: number): boolean {
  if (code <= 0x20) return code === 0x20 || (code >= 0x09 && code <= 0x0d);
  if (code < 0x85) return false;
  return code === 0x85 || code === 0xa0 || code === 0x1680 || isGeneralPunctuationSpace(code) || code === 0x3000;
}

function isGeneralPunctuationSpace(code: number): boolean {
  if (code >= 0x2000 && code <= 0x200a) return true;
  return code === 0x2028 || code === 0x2029 || code === 0x202f || code === 0x205f;
}
