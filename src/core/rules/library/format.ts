import { toDouble, toText } from "../cel/conversions.ts";
import { encodeUtf8 } from "../cel/parser-literals.ts";
import { compareStrings } from "../cel/standard-compare.ts";
import { entriesOf } from "../cel/standard-maps.ts";
import { typeName, typeOf } from "../cel/standard-types.ts";
import {
  CelError,
  Duration,
  elementsOf,
  fromJson,
  isCelMap,
  isList,
  isRecord,
  Timestamp,
  TypeValue,
  Uint,
  type Value,
} from "../cel/values.ts";
import { fixed, plainFixed, scientific } from "./format-number.ts";
import { traversal } from "./define.ts";
import { goQuote } from "./go-text.ts";
import { traversalOf } from "./traversal.ts";

/** Digits behind the point unless the clause says how many. */
const PRECISION = 6;
/** No double has more digits; what is asked beyond only fills memory. */
const PRECISION_MAX = 10_000;

/** cel-go's `format` up to version 3 of its strings (ext/formatting.go), with English rules for numbers. */
export function format(text: string, list: readonly unknown[]): string {
  let made = "";
  let used = 0;
  for (let at = 0; at < text.length; ) {
    const percent = text.indexOf("%", at);
    if (percent < 0) return made + text.slice(at);
    made += text.slice(at, percent);
    if (text[percent + 1] === "%") {
      made += "%";
      at = percent + 2;
      continue;
    }
    if (used >= list.length) throw new CelError(`index ${used} out of range`);
    if (percent + 1 === text.length) throw new CelError("unexpected end of string");
    const clause = readClause(text.slice(percent + 1));
    made += during("error during formatting", () => clause.write(fromJson(list[used])));
    used++;
    at = percent + 1 + clause.length;
  }
  return made;
}

/** Kubernetes counts the text only, not what is written into it, nor the digits that a clause asks for. */
export function formatCost([text, list]: readonly Value[]): number {
  const digits = typeof text === "string" ? [...text.matchAll(/\.(\d{1,5})/g)].map(([, count]) => Number(count)) : [];
  const written = digits.reduce((sum, count) => sum + Math.floor(count / DIGITS_A_UNIT), 0);
  return traversal()([text ?? ""]) + 2 * traversalOf([list ?? null]) + written;
}

/** Digits of a number for a unit. */
const DIGITS_A_UNIT = 10;
/** Keys that a map may have to be written. */
const KEY_KINDS: ReadonlySet<string> = new Set(["string", "bool", "int", "uint"]);

type Write = (value: Value) => string;

interface Clause {
  readonly write: Write;
  /** UTF-16 units after the percent sign. */
  readonly length: number;
}

function during<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof CelError) throw new CelError(`${what}: ${error.message}`, error.fatal);
    throw error;
  }
}

function readClause(text: string): Clause {
  return during("could not parse formatting clause", () => {
    const [dot = ""] = /^\.\d*/.exec(text) ?? [];
    const precision = dot === "" ? PRECISION : readPrecision(dot.slice(1), text.length === dot.length);
    const letter = text.charAt(dot.length);
    const write = writerOf(letter, precision);
    if (write !== undefined) return { write, length: dot.length + 1 };
    // Go looks at the first byte only.
    const [byte = 0] = encodeUtf8(String.fromCodePoint(text.codePointAt(dot.length) ?? 0));
    throw new CelError(`unrecognized formatting clause "${String.fromCharCode(byte)}"`);
  });
}

function readPrecision(digits: string, isEnd: boolean): number {
  const refuse = (why: string) => new CelError(`error while parsing precision: ${why}`);
  if (isEnd) throw refuse("could not find end of precision specifier");
  const problem = digits === "" ? "invalid syntax" : Number(digits) > PRECISION_MAX ? "value out of range" : undefined;
  if (problem === undefined) return Number(digits);
  throw refuse(`error while converting precision to integer: strconv.Atoi: parsing "${digits}": ${problem}`);
}

function writerOf(letter: string, precision: number): Write | undefined {
  switch (letter) {
    case "s":
      return text;
    case "d":
      return (value) => integer(value, 10, "decimal clause can only be used on integers");
    case "o":
      return (value) => integer(value, 8, "octal clause can only be used on integers");
    case "b":
      return (value) =>
        typeof value === "boolean"
          ? String(Number(value))
          : integer(value, 2, "only integers and bools can be formatted as binary");
    case "x":
      return hex;
    case "X":
      return (value) => hex(value).toUpperCase();
    case "f":
      return (value) => fixed(double(value, "fixed-point"), precision);
    case "e":
      return (value) => scientific(double(value, "scientific"), precision);
    default:
      return undefined;
  }
}

function refusal(rule: string, value: Value): CelError {
  return new CelError(`${rule}, was given ${typeName(typeOf(value))}`);
}

function integer(value: Value, base: number, rule: string): string {
  if (typeof value === "bigint") return value.toString(base);
  if (value instanceof Uint) return value.value.toString(base);
  throw refusal(rule, value);
}

function hex(value: Value): string {
  if (typeof value === "string") return hex(encodeUtf8(value));
  if (!(value instanceof Uint8Array)) {
    return integer(value, 16, "only integers, byte buffers, and strings can be formatted as hex");
  }
  return Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function double(value: Value, clause: string): number {
  if (typeof value === "number") return value;
  if (value === "NaN" || value === "Infinity" || value === "-Infinity") return toDouble(value);
  throw refusal(`${clause} clause can only be used on doubles`, value);
}

/** `%s`; lists and maps as CEL would write them. */
function text(value: Value): string {
  if (isList(value) || isRecord(value) || isCelMap(value)) return literal(value);
  if (value === null) return "null";
  if (value instanceof TypeValue) return typeName(value.type);
  if (hasText(value)) return convertible(value);
  const kinds = "strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps";
  throw refusal(`string clause can only be used on ${kinds}`, value);
}

function hasText(value: Value): boolean {
  const { kind } = typeOf(value);
  return kind !== "opaque" && kind !== "optional";
}

function convertible(value: Value): string {
  try {
    return toText(value);
  } catch (error) {
    if (!(error instanceof CelError)) throw error;
    throw new CelError(`could not convert argument ${goQuote(error.message)} to string`);
  }
}

/** An element of a list, or a value of a map. */
function literal(value: Value): string {
  if (isList(value)) return `[${Array.from(elementsOf(value), literal).join(", ")}]`;
  if (isRecord(value) || isCelMap(value)) return mapLiteral(value);
  if (typeof value === "string") return goQuote(value);
  if (typeof value === "number") return Number.isFinite(value) ? plainFixed(value) : `"${plainFixed(value)}"`;
  if (value instanceof Uint8Array) return `b${goQuote(convertible(value))}`;
  if (value instanceof Timestamp) return `timestamp(${goQuote(toText(value))})`;
  if (value instanceof Duration) return `duration(${goQuote(toText(value))})`;
  if (!hasText(value)) throw new CelError(`no formatting function for ${typeName(typeOf(value))}`);
  return text(value);
}

/** In the order of the keys as they are written. */
function mapLiteral(map: Parameters<typeof entriesOf>[0]): string {
  const entries = entriesOf(map).map(([key, value]) => {
    const type = typeOf(key);
    if (!KEY_KINDS.has(type.kind)) {
      throw new CelError(`no formatting function for map key of type ${typeName(type)}`);
    }
    return [literal(key), literal(value)] as const;
  });
  const sorted = entries.sort(([a], [b]) => compareStrings(a, b));
  return `{${sorted.map(([key, value]) => `${key}:${value}`).join(", ")}}`;
}
