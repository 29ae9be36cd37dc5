/** Longer names are not typing mistakes of ours, and the comparison is quadratic. */
const NAME_LENGTH_MAX = 40;

/** What the meshes call our fields, as far as the names have no word in common. */
const NAMES_OF_MESHES: ReadonlyMap<string, string> = new Map([
  ["outlierDetection", "circuitBreaker"],
  ["consecutive5xxErrors", "consecutiveFailures"],
  ["maxFailures", "consecutiveFailures"],
  ["baseEjectionTime", "minPenalty"],
  ["maxRetries", "maxAttempts"],
  ["limit", "maxAttempts"],
  ["retryOn", "statusCodes"],
]);

/** The known name that a person most likely meant, or undefined when none is near. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  if (name.length > NAME_LENGTH_MAX) return undefined;
  const ours = NAMES_OF_MESHES.get(name);
  if (ours !== undefined && known.includes(ours)) return ours;
  return fewestEdits(name, known) ?? sameWords(name, known);
}

function fewestEdits(name: string, known: readonly string[]): string | undefined {
  let best: { readonly name: string; readonly distance: number } | undefined;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    const limit = Math.max(1, Math.floor(candidate.length / 3));
    if ((distance <= limit || sameStart(name, candidate)) && (best === undefined || distance < best.distance))
      best = { name: candidate, distance };
  }
  return best?.name;
}

/** `failures` for `consecutiveFailures`, where no other name has all of its words. */
function sameWords(name: string, known: readonly string[]): string | undefined {
  const words = wordsOf(name);
  const candidates = known.filter((candidate) => words.every((word) => wordsOf(candidate).includes(word)));
  return candidates.length === 1 ? candidates[0] : undefined;
}

function wordsOf(name: string): readonly string[] {
  return name.split(/(?=[A-Z])/).map((word) => word.toLowerCase());
}

/** Another ending of the same word: `retries` for `retry`. */
function sameStart(name: string, candidate: string): boolean {
  const stem = candidate.slice(0, Math.ceil(candidate.length * 0.7));
  return stem.length >= 4 && name.startsWith(stem);
}

/** Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      current[column] = Math.min(
        at(last, column) + 1,
        at(current, column - 1) + 1,
        at(last, column - 1) + (same ? 0 : 1),
        swapped ? at(beforeLast, column - 2) + 1 : Number.POSITIVE_INFINITY,
      );
    }
    beforeLast = last;
    last = current;
  }
  return at(last, b.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY;
}
