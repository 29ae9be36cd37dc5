import { RE2JS, RE2JSSyntaxException } from "re2js";
import type { Library, Overload } from "../cel/library.ts";
import { CelError, type Value } from "../cel/values.ts";
import { type Cost, declare, INT, method, patternCost, STRING, STRINGS, sizeOf } from "./define.ts";
import { compileCost, PATTERN_MAX, patternSize, programSize } from "./pattern-size.ts";

/** Size of the largest program, some 0.1 s of compiling. Go takes a hundred times that, which stops a server for seconds. */
const PROGRAM_MAX = 10_000;
/** Compiled patterns that are kept, those used last: for patterns that are built while an expression runs. */
const CACHE_SIZE = 256;
const FIND_PREFIX = "Illegal regex: ";

const cost: Cost = ([text, pattern]) =>
  patternCost(sizeOf(text), typeof pattern === "string" ? patternSize(pattern) : sizeOf(pattern));
const FIND = searching(FIND_PREFIX, find);
/** Each character may be a match of its own. */
const SEARCH = {
  result: STRINGS,
  ...searching(FIND_PREFIX, findAll),
  cost: (args: Parameters<Cost>[0]) => cost(args) + sizeOf(args[0]),
};

/** Kubernetes' `find` and `findAll` (apiserver/pkg/cel/library/regex.go). */
export const regex: Library = {
  functions: [
    declare("find", method({ ...FIND, id: "string_find_string", parameters: [STRING, STRING], result: STRING, cost })),
    declare(
      "findAll",
      method({ ...SEARCH, id: "string_find_all_string", parameters: [STRING, STRING] }),
      method({ ...SEARCH, id: "string_find_all_string_int", parameters: [STRING, STRING, INT] }),
    ),
  ],
};

/** CEL's `matches`: whether the pattern is found anywhere in the text. Throws a CelError for a bad pattern. */
export const MATCHES = searching("", (program, text) => program.test(text));

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

type Search = (program: RE2JS, text: string, limit?: bigint) => Value;

/** The call of a function of a text and a pattern. Texts of errors begin with `prefix`. */
function searching(prefix: string, search: Search): Required<Pick<Overload, "prepared">> & { call: PatternCall } {
  return {
    call: (text, pattern, limit) => search(compiled(pattern, prefix), text, limit),
    prepared: {
      cost: (pattern) => compileCost(pattern as string),
      call: (pattern) => {
        const program = compile(pattern as string, prefix);
        return (text, limit) => search(program, text as string, limit as bigint | undefined);
      },
    },
  };
}

type PatternCall = (text: string, pattern: string, limit?: bigint) => Value;

function find(program: RE2JS, text: string): string {
  const matcher = program.matcher(text);
  return matcher.find() ? (matcher.group() ?? "") : "";
}

/** At most `limit` of them, all when it is negative. */
function findAll(program: RE2JS, text: string, limit = -1n): readonly Value[] {
  const matcher = program.matcher(text);
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
  if (programSize(pattern) > PROGRAM_MAX) {
    throw new CelError(`${prefix}error parsing regexp: expression too large`);
  }
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw error;
    throw new CelError(`${prefix}${error.message}`);
  }
}
