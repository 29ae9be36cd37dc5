/** More than any pattern that Go takes: it refuses to repeat anything more than 1,000 times. */
const SIZE_MAX = 1_000_000;
const REPETITION = /\{(\d+)(?:,(\d*))?\}/y;

/** Characters of a pattern as if its repetitions were written out, `(ab){3}` as `ababab`: what RE2 makes a program of. */
export function patternSize(pattern: string): number {
  if (!pattern.includes("{")) return pattern.length;
  const groups = [0];
  let last = 0;
  const put = (size: number) => {
    last = Math.min(size, SIZE_MAX);
    groups.push(Math.min((groups.pop() ?? 0) + last, SIZE_MAX));
  };
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern.charAt(at);
    REPETITION.lastIndex = at;
    const found = character === "{" ? REPETITION.exec(pattern) : null;
    if (found !== null) {
      const [text, least = "", most = ""] = found;
      put(last * Math.max(0, Number(most === "" ? least : most) - 1));
      at += text.length - 1;
    } else if (character === "(") {
      groups.push(0);
    } else if (character === ")" && groups.length > 1) {
      put((groups.pop() ?? 0) + 2);
    } else {
      at += Number(character === "\\");
      put(1);
    }
  }
  return Math.max(pattern.length, ...groups);
}
