/**
 * CEL counts a string in Unicode code points (Go: runes), JavaScript in UTF-16 units, of which a code point beyond
 * U+FFFF takes two.
 */
const PAIR = /[\ud800-\udbff][\udc00-\udfff]/;
const LOW_FIRST = 0xdc00;
const LOW_LAST = 0xdfff;
const HIGH_FIRST = 0xd800;

/** Code points of the text. */
export function runeCount(text: string): number {
  if (!PAIR.test(text)) return text.length;
  return runesBefore(text, text.length);
}

/** How many code points begin before this UTF-16 index. */
export function runesBefore(text: string, end: number): number {
  let count = 0;
  for (let at = 0; at < end; at = next(text, at)) count++;
  return count;
}

/** UTF-16 index of the code point with this index; the length of the text where there are no more. */
export function unitIndex(text: string, rune: number): number {
  if (!PAIR.test(text)) return Math.min(rune, text.length);
  let at = 0;
  for (let count = 0; count < rune && at < text.length; count++) at = next(text, at);
  return at;
}

function next(text: string, at: number): number {
  const unit = text.charCodeAt(at);
  if (unit < HIGH_FIRST || unit >= LOW_FIRST) return at + 1;
  const low = text.charCodeAt(at + 1);
  return low >= LOW_FIRST && low <= LOW_LAST ? at + 2 : at + 1;
}
