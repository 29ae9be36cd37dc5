/** One thing wrong with an object as it was written, independent of mesh and cluster. */
export interface ApiProblem {
  /** `spec.retry.timeout`, `spec.targetRefs[0].kind`; `""` for the object as a whole. */
  readonly path: string;
  /** What was found and what is wanted, one line. */
  readonly message: string;
  /** What to do about it, one line. */
  readonly fix: string;
}

/** Enough for every honest mistake; a hostile object cannot make an endless answer. */
const PROBLEMS_MAX = 100;
const SHOWN_CHARACTERS_MAX = 64;

/** Sorted by path, then text, by code units; without repetition. */
export function sortProblems(problems: readonly ApiProblem[]): readonly ApiProblem[] {
  const unique = new Map<string, ApiProblem>();
  for (const problem of problems) unique.set(JSON.stringify([problem.path, problem.message, problem.fix]), problem);
  return [...unique.values()].sort(compareProblems).slice(0, PROBLEMS_MAX);
}

function compareProblems(a: ApiProblem, b: ApiProblem): number {
  return comparePaths(a.path, b.path) || compare(a.message, b.message) || compare(a.fix, b.fix);
}

/** By code units, and the items of a list by their number: the tenth after the second. */
export function comparePaths(a: string, b: string): number {
  return compare(withWideNumbers(a), withWideNumbers(b)) || compare(a, b);
}

/** No list that is read here has a million items. */
function withWideNumbers(path: string): string {
  return path.replaceAll(/\[(\d+)\]/g, (_, index: string) => `[${index.padStart(6, "0")}]`);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** `["spec", "targetRefs", 0, "kind"]` -> `spec.targetRefs[0].kind`. */
export function formatPath(segments: readonly PropertyKey[]): string {
  let path = "";
  for (const segment of segments) {
    if (typeof segment === "number") path += `[${segment}]`;
    else if (typeof segment === "string" && /^[A-Za-z_$][\w$]{0,63}$/.test(segment))
      path += path === "" ? segment : `.${segment}`;
    else path += `[${quote(String(segment))}]`;
  }
  return path;
}

/** A value as messages show it: one short line, whatever it is. */
export function show(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") return quote(value);
  if (Array.isArray(value)) return value.length === 1 ? "a list of 1 item" : `a list of ${value.length} items`;
  if (typeof value === "number" || typeof value === "boolean" || value === null) return String(value);
  return "an object";
}

function quote(text: string): string {
  if (text.length <= SHOWN_CHARACTERS_MAX) return JSON.stringify(text);
  return `${JSON.stringify(text.slice(0, SHOWN_CHARACTERS_MAX))}... (${text.length} characters)`;
}

/** `["a", "b", "c"]` -> `"a", "b" or "c"`. */
export function alternatives(values: readonly string[]): string {
  const shown = values.map((value) => JSON.stringify(value));
  const last = shown.pop() ?? "nothing";
  return shown.length === 0 ? last : `${shown.join(", ")} or ${last}`;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value of an own property: `constructor` and `__proto__` of the prototype are not fields. */
export function own(value: unknown, key: string | number): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string | number, unknown>)[key]
    : undefined;
}
