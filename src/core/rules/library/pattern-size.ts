/** Characters of the longest pattern; Go has no limit, but patterns of Kubernetes' own objects stay far below. */
export const PATTERN_MAX = 4096;
/** Larger than the program of any pattern that Go takes: it refuses to repeat anything more than 1,000 times. */
const SIZE_MAX = 1_000_000;
/** Quoted text, an escape, a class of characters, a repetition, or else one character. Brackets within a class close no group. */
const TOKEN =
  /\\Q[^]*?(?:\\E|$)|\\[pPx]\{[^}]*\}|\\[^]|\[\^?\]?(?:\[:\^?\w+:\]|\\[^]|[^\]\\])*\]|\{(?<least>\d+)(?:,(?<most>\d*))?\}|[^]/y;
/** A class of Unicode, `\pL`: hundreds of ranges, which take as long to compile as so many characters. */
const UNICODE_CLASS = /\\p/gi;
const UNICODE_CLASS_SIZE = 25;
/** Units for a pattern, and for each of its characters with repetitions written out. Measured: 11 µs, and up to 9 µs. */
export const COMPILE_BASE = 20;
export const COMPILE_FACTOR = 16;

/** Characters of a pattern as if its repetitions were written out, `(ab){3}` as `ababab`: what RE2 makes a program of. */
export function patternSize(pattern: string): number {
  // A longer one is refused, so it need not be read.
  if (!pattern.includes("{") || pattern.length > PATTERN_MAX) return pattern.length;
  const groups = [0];
  let last = 0;
  const put = (size: number) => {
    last = Math.min(size, SIZE_MAX);
    groups.push(Math.min((groups.pop() ?? 0) + last, SIZE_MAX));
  };
  TOKEN.lastIndex = 0;
  for (let token = TOKEN.exec(pattern); token !== null; token = TOKEN.exec(pattern)) {
    const [text] = token;
    const { least, most = least } = token.groups ?? {};
    if (least !== undefined) {
      put(last * Math.max(0, Number(most === "" ? least : most) - 1));
    } else if (text === "(") {
      groups.push(0);
    } else if (text === ")" && groups.length > 1) {
      put((groups.pop() ?? 0) + 2);
    } else {
      put(text.startsWith("\\Q") ? text.length : 1);
    }
  }
  return Math.max(pattern.length, ...groups);
}

/** What compiling counts for: the size, and that of the classes of Unicode, which repetitions share. */
export function programSize(pattern: string): number {
  return patternSize(pattern) + UNICODE_CLASS_SIZE * (pattern.match(UNICODE_CLASS)?.length ?? 0);
}

/** Units of compiling a pattern. cel-go counts none, so that a loop that builds patterns would be nearly free. */
export function compileCost(pattern: string): number {
  return COMPILE_BASE + COMPILE_FACTOR * programSize(pattern);
}
