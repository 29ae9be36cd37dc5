import { RE2JS, RE2JSSyntaxException } from "re2js";
import type { Library } from "../cel/library.ts";
import { CelError, type Value } from "../cel/values.ts";
import { type Cost, declare, INT, method, patternCost, STRING, STRINGS, sizeOf } from "./define.ts";
import { chargeable } from "./elements.ts";
import { patternSize } from "./pattern-size.ts";

/** Characters of the longest pattern; Go has no limit, but patterns of Kubernetes' own objects stay far below. */
export const PATTERN_MAX = 4096;
/** Compiled patterns that are kept, those used last. A rule set seldom has more than some dozens. */
const CACHE_SIZE = 256;

const cost: Cost = ([text, pattern]) =>
  patternCost(sizeOf(text), typeof pattern === "string" ? patternSize(pattern) : sizeOf(pattern));
/** Each character may be a match of its own. */
const SEARCH = { result: STRINGS, call: findAll, cost: (args: Parameters<Cost>[0]) => cost(args) + sizeOf(args[0]) };

/** Kubernetes' `find` and `findAll` (apiserver/pkg/cel/library/regex.go). */
export const regex: Library = {
  functions: [
    declare(
      "find",
      method({ id: "string_find_string", parameters: [STRING, STRING], result: STRING, call: find, cost }),
    ),
    declare(
      "findAll",
      method({ ...SEARCH, id: "string_find_all_string", parameters: [STRING, STRING] }),
      method({ ...SEARCH, id: "string_find_all_string_int", parameters: [STRING, STRING, INT] }),
    ),
  ],
};

/** CEL's `matches`: whether the pattern is found anywhere in the text. Throws a CelError for a bad pattern. */
export function matches(text: string, pattern: string): boolean {
  affordable(text, pattern);
  return compiled(pattern, "").test(text);
}

/** What is wrong with a pattern in Go's words, undefined when nothing is. */
export function patternProblem(pattern: string): string | undefined {
  try {
    compiled(pattern, "");
    return undefined;
  } catch (error) {
    if (error instanceof CelError) return error.message;
    throw error;
  }
}

function find(text: string, pattern: string): string {
  affordable(text, pattern);
  const matcher = compiled(pattern, "Illegal regex: ").matcher(text);
  return matcher.find() ? (matcher.group() ?? "") : "";
}

/** RE2 takes time in proportion to both lengths, seconds for the longest. */
function affordable(text: string, pattern: string): void {
  chargeable(patternCost(sizeOf(text), sizeOf(pattern)));
}

/** At most `limit` of them, all when it is negative. */
function findAll(text: string, pattern: string, limit = -1n): readonly Value[] {
  affordable(text, pattern);
  const matcher = compiled(pattern, "Illegal regex: ").matcher(text);
  const found: string[] = [];
  const most = limit < 0n ? Number.POSITIVE_INFINITY : Number(limit);
  let end = -1;
  while (found.length < most && matcher.find()) {
    const isEmpty = matcher.start() === matcher.end();
    // Go takes no empty match right behind another match.
    if (isEmpty && matcher.start() === end) continue;
    end = matcher.end();
    found.push(matcher.group() ?? "");
  }
  return found;
}

const cache = new Map<string, RE2JS>();

function compiled(pattern: string, prefix: string): RE2JS {
  const known = cache.get(pattern);
  if (known === undefined) return remember(pattern, compile(pattern, prefix));
  // The end of the map is what was used last.
  cache.delete(pattern);
  return remember(pattern, known);
}

function remember(pattern: string, expression: RE2JS): RE2JS {
  cache.set(pattern, expression);
  const [oldest] = cache.keys();
  if (cache.size > CACHE_SIZE && oldest !== undefined) cache.delete(oldest);
  return expression;
}

function compile(pattern: string, prefix: string): RE2JS {
  if (pattern.length > PATTERN_MAX) {
    const length = pattern.length;
    throw new CelError(`${prefix}error parsing regexp: expression of ${length} characters, at most ${PATTERN_MAX}`);
  }
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw error;
    throw new CelError(`${prefix}${error.message}`);
  }
}
