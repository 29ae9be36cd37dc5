import { pick } from "./random.ts";

/** What is written into a text: tokens, halves of tokens, and what other languages have. */
const PIECES = (
  "( ) [ ] { } . ? : , + - * / % ! < > <= >= == != && || in true false null 0 1 1u 1.0 -1 9223372036854775807 1e308 " +
  "'a' \"\" b'' object x e .a .s .all(e, .map(e, .exists(e, .filter(e, has( size( int( string( type( duration( ' \" ` \\ " +
  "dyn( __proto__ constructor .?a [?0] .size() .matches('(') .distinct() .sort() .max() optional.of( /* // 😀 \u0000"
).split(" ");
/** Characters that are taken out at once, and that are taken over from another text. */
const CUT = 8;
const TAKEN = 20;
const CHANGES_MAX = 4;

/** One of the texts with a few changes: the same for the same random numbers. */
export function mutated(random: () => number, texts: readonly string[]): string {
  let text = pick(random, texts);
  for (let changes = 1 + Math.floor(random() * CHANGES_MAX); changes > 0; changes--) {
    const at = Math.floor(random() * (text.length + 1));
    const end = at + Math.floor(random() * CUT);
    const other = pick(random, texts);
    const from = Math.floor(random() * other.length);
    const pieces = [pick(random, PIECES), other.slice(from, from + TAKEN), "", text.slice(at, end).repeat(3)];
    text = text.slice(0, at) + pick(random, pieces) + text.slice(random() < 0.5 ? at : end);
  }
  return text;
}
