import type { FunctionDeclaration, Library } from "../cel/library.ts";
import { typeName, typeOf } from "../cel/standard-types.ts";
import { CelError, fromJson, isList, Uint, type Value } from "../cel/values.ts";
import {
  type Cost,
  DYN,
  declare,
  INT,
  listOf,
  method,
  plain,
  STRING,
  STRINGS,
  sizeOf,
  TRAVERSAL_FACTOR,
  traversal,
} from "./define.ts";
import { format, formatCost } from "./format.ts";
import { celQuote, trimSpace } from "./go-text.ts";
import { runeCount, runesBefore, unitIndex } from "./runes.ts";
import { traversalOf } from "./traversal.ts";

/** UTF-16 units of the longest text that a function makes: ten times what an object may be in etcd. */
const RESULT_MAX = 16_000_000;
const SPLIT: Cost = traversal(2);
/** Of replacing cel-go counts the text that is read; what comes out may be many times as long. */
const REPLACED: Cost = ([text, old, by, count]) => {
  const growth = sizeOf(by) - sizeOf(old);
  const made = growth > 0 ? replacements(text, old, count) * growth : 0;
  return Math.ceil(sizeOf(text) * 2 * TRAVERSAL_FACTOR) + Math.ceil(made * TRAVERSAL_FACTOR);
};
const JOINED: Cost = ([list, separator]) => {
  const gap = sizeOf(separator ?? "");
  const size = isList(list) ? list.reduce((sum: number, element) => sum + sizeOf(fromJson(element)) + gap, 0) : 0;
  return Math.ceil(Math.max(0, size - gap) * 2 * TRAVERSAL_FACTOR);
};

/**
 * The strings of cel-go's ext/strings.go in version 2, which is what Kubernetes 1.36 has: with `format` and `join`,
 * without `reverse`.
 */
export const strings: Library = { functions: [...reading(), ...changing()] };

function reading(): readonly FunctionDeclaration[] {
  const [on, at] = [
    [STRING, STRING],
    [STRING, STRING, INT],
  ];
  const common = { result: INT, cost: traversalOf };
  return [
    declare("charAt", method({ id: "string_char_at_int", parameters: [STRING, INT], result: STRING, call: charAt })),
    declare(
      "indexOf",
      method({ ...common, id: "string_index_of_string", parameters: on, call: indexOf }),
      method({ ...common, id: "string_index_of_string_int", parameters: at, call: indexOf }),
    ),
    declare(
      "lastIndexOf",
      method({ ...common, id: "string_last_index_of_string", parameters: on, call: lastIndexOf }),
      method({ ...common, id: "string_last_index_of_string_int", parameters: at, call: lastIndexOfFrom }),
    ),
    declare(
      "substring",
      ...[
        [STRING, INT],
        [STRING, INT, INT],
      ].map((parameters) =>
        method({
          id: `string_substring${"_int".repeat(parameters.length - 1)}`,
          parameters,
          result: STRING,
          call: substring,
          cost: traversal(),
        }),
      ),
    ),
  ];
}

function changing(): readonly FunctionDeclaration[] {
  const text = { parameters: [STRING], result: STRING, cost: traversal() };
  const split = { result: STRINGS, call: splitText, cost: SPLIT };
  const replace = { result: STRING, call: replaceText, cost: REPLACED };
  const joined = { result: STRING, call: join, cost: JOINED };
  return [
    declare("lowerAscii", method({ ...text, id: "string_lower_ascii", call: lowerAscii })),
    declare("upperAscii", method({ ...text, id: "string_upper_ascii", call: upperAscii })),
    declare("trim", method({ ...text, id: "string_trim", call: trimSpace })),
    declare(
      "replace",
      method({ ...replace, id: "string_replace_string_string", parameters: [STRING, STRING, STRING] }),
      method({ ...replace, id: "string_replace_string_string_int", parameters: [STRING, STRING, STRING, INT] }),
    ),
    declare(
      "split",
      method({ ...split, id: "string_split_string", parameters: [STRING, STRING] }),
      method({ ...split, id: "string_split_string_int", parameters: [STRING, STRING, INT] }),
    ),
    declare(
      "join",
      method({ ...joined, id: "list_join", parameters: [STRINGS] }),
      method({ ...joined, id: "list_join_string", parameters: [STRINGS, STRING] }),
    ),
    declare("strings.quote", plain({ ...text, id: "strings_quote", call: celQuote })),
    declare(
      "format",
      method({ ...text, id: "string_format", parameters: [STRING, listOf(DYN)], call: format, cost: formatCost }),
    ),
  ];
}

function outOfRange(index: bigint): CelError {
  return new CelError(`index out of range: ${index}`);
}

function charAt(text: string, index: bigint): string {
  if (index < 0n || index > runeCount(text)) throw outOfRange(index);
  const point = text.codePointAt(unitIndex(text, Number(index)));
  return point === undefined ? "" : String.fromCodePoint(point);
}

function indexOf(text: string, part: string, offset = 0n): bigint {
  if (part === "") return offset;
  if (offset < 0n) throw outOfRange(offset);
  if (offset >= text.length) return -1n;
  return asRunes(text, text.indexOf(part, unitIndex(text, Number(offset))));
}

function lastIndexOf(text: string, part: string): bigint {
  if (part === "") return BigInt(runeCount(text));
  return asRunes(text, text.lastIndexOf(part));
}

function lastIndexOfFrom(text: string, part: string, offset: bigint): bigint {
  if (part === "") return offset;
  if (offset < 0n) throw outOfRange(offset);
  if (offset >= runeCount(text)) return -1n;
  return asRunes(text, text.lastIndexOf(part, unitIndex(text, Number(offset))));
}

function asRunes(text: string, unit: number): bigint {
  return BigInt(unit <= 0 ? unit : runesBefore(text, unit));
}

function substring(text: string, start: bigint, end?: bigint): string {
  const length = BigInt(runeCount(text));
  if (end !== undefined && start > end) {
    throw new CelError(`invalid substring range. start: ${start}, end: ${end}`);
  }
  if (start < 0n || start > length) throw outOfRange(start);
  if (end !== undefined && end > length) throw outOfRange(end);
  return text.slice(unitIndex(text, Number(start)), unitIndex(text, Number(end ?? length)));
}

function lowerAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

function upperAscii(text: string): string {
  return text.replace(/[a-z]+/g, (letters) => letters.toUpperCase());
}

/** How often `replace` finds the old text. */
function replacements(text: Value | undefined, old: Value | undefined, count: Value | undefined): number {
  if (typeof text !== "string" || typeof old !== "string") return 0;
  const most = typeof count === "bigint" && count >= 0n ? Number(count) : Number.POSITIVE_INFINITY;
  if (old === "") return Math.min(most, runeCount(text) + 1);
  let found = 0;
  for (let at = text.indexOf(old); at >= 0 && found < most; at = text.indexOf(old, at + old.length)) found += 1;
  return found;
}

/** At most `count` times, for ever when negative; an empty text is found before, between and after the characters. */
function replaceText(...[text, old, by, count = -1n]: readonly [string, string, string, bigint?]): string {
  if (count === 0n || old === by) return text;
  const pieces = old === "" ? ["", ...Array.from(text), ""] : text.split(old);
  const times = count < 0n ? pieces.length - 1 : Math.min(pieces.length - 1, Number(count));
  if (text.length + times * by.length > RESULT_MAX) throw new CelError("the text after replace is too long");
  return [...pieces.slice(0, times), pieces.slice(times).join(old)].join(by);
}

/** At most `count` parts, the last with all the rest; no limit when negative. */
function splitText(text: string, separator: string, count = -1n): readonly string[] {
  if (count === 0n) return [];
  const parts = separator === "" ? Array.from(text) : text.split(separator);
  if (count < 0n || count >= parts.length) return parts;
  const kept = Number(count) - 1;
  return [...parts.slice(0, kept), parts.slice(kept).join(separator)];
}

function join(list: Value, separator = ""): string {
  let text = "";
  for (const [index, element] of (isList(list) ? list : []).entries()) {
    if (typeof element !== "string") throw new CelError(`join: invalid input: ${goText(fromJson(element))}`);
    text += index === 0 ? element : separator + element;
    if (text.length > RESULT_MAX) throw new CelError("the text after join is too long");
  }
  return text;
}

/** As Go prints a value with `%v`, where that says more than an address. */
function goText(value: Value): string {
  if (value instanceof Uint) return String(value.value);
  return typeof value === "object" ? typeName(typeOf(value)) : String(value);
}
