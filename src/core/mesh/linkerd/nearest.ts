import { LINKERD_KEYS, type LinkerdKey } from "./keys.ts";

/** Kubernetes' own limit of an annotation's name; a longer one is no misspelt key. */
const NAME_CHARACTERS_MAX = 63;

/**
 * The known key that an unknown one was probably meant to be, judged by its name; the prefix only breaks ties. First
 * the same name under another prefix (`retries.linkerd.io/http`), then a name whose words all occur in exactly one
 * known name (`failure-accrual-max-failures`), then the fewest typos. Undefined where nothing is close.
 */
export function nearestKey(key: string): LinkerdKey | undefined {
  const name = nameOf(key);
  if (name.length > NAME_CHARACTERS_MAX) return undefined;
  return LINKERD_KEYS.find((known) => nameOf(known) === name) ?? sameWords(name) ?? fewestTypos(key);
}

/** Two words at least, so that `timeout` alone does not stand for a longer name. */
function sameWords(name: string): LinkerdKey | undefined {
  const words = name.split(/[-_.]/);
  if (words.length < 2) return undefined;
  const candidates = LINKERD_KEYS.filter((known) => {
    const knownWords = nameOf(known).split("-");
    return words.every((word) => knownWords.includes(word));
  });
  return candidates.length === 1 ? candidates[0] : undefined;
}

/** One letter of a short name, two or a quarter of a longer one (swapped letters count as two). */
function fewestTypos(key: string): LinkerdKey | undefined {
  const name = nameOf(key);
  let best: { readonly known: LinkerdKey; readonly typos: number } | undefined;
  for (const known of LINKERD_KEYS) {
    const knownName = nameOf(known);
    const allowed = name.length <= 4 ? 1 : Math.max(2, Math.floor(name.length / 4));
    if (Math.abs(knownName.length - name.length) > allowed) continue;
    const typos = editDistance(name, knownName);
    const isBetter = best === undefined || typos < best.typos || (typos === best.typos && samePrefix(key, known));
    if (typos <= allowed && isBetter) best = { known, typos };
  }
  return best?.known;
}

function nameOf(key: string): string {
  return key.slice(key.indexOf("/") + 1);
}

function samePrefix(key: string, known: LinkerdKey): boolean {
  return known.startsWith(key.slice(0, key.indexOf("/") + 1));
}

/** Levenshtein distance: insertions, deletions and substitutions. */
export function editDistance(left: string, right: string): number {
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const substituted = (previous[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1);
      current.push(Math.min(substituted, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[right.length] ?? 0;
}
