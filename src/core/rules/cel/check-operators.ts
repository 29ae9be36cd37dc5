import { readType, splitArguments } from "./type-text.ts";
import type { Type } from "./types.ts";

/** What the checker needs to know of an overload. */
export interface Signature {
  readonly id: string;
  readonly member: boolean;
  readonly parameters: readonly Type[];
  readonly result: Type;
}

export const INDEX = "_[_]";
export const OPTIONAL_INDEX = "_[?_]";

/**
 * The operators of cel-go's standard library, in its order, which decides what type untyped data is taken for, with the comparisons across number types that Kubernetes switches on:
 * `id: parameters -> result`.
 */
const TABLES: Readonly<Record<string, readonly string[]>> = {
  "_?_:_": ["conditional: bool, A, A -> A"],
  "_&&_": ["logical_and: bool, bool -> bool"],
  "_||_": ["logical_or: bool, bool -> bool"],
  "!_": ["logical_not: bool -> bool"],
  "@not_strictly_false": ["not_strictly_false: bool -> bool"],
  "_==_": ["equals: A, A -> bool"],
  "_!=_": ["not_equals: A, A -> bool"],
  "@in": ["in_list: A, list(A) -> bool", "in_map: A, map(A, B) -> bool"],
  "_+_": [
    "add_bytes: bytes, bytes -> bytes",
    "add_double: double, double -> double",
    "add_duration_duration: duration, duration -> duration",
    "add_duration_timestamp: duration, timestamp -> timestamp",
    "add_timestamp_duration: timestamp, duration -> timestamp",
    "add_int64: int, int -> int",
    "add_list: list(A), list(A) -> list(A)",
    "add_string: string, string -> string",
    "add_uint64: uint, uint -> uint",
  ],
  "_-_": [
    "subtract_double: double, double -> double",
    "subtract_duration_duration: duration, duration -> duration",
    "subtract_int64: int, int -> int",
    "subtract_timestamp_duration: timestamp, duration -> timestamp",
    "subtract_timestamp_timestamp: timestamp, timestamp -> duration",
    "subtract_uint64: uint, uint -> uint",
  ],
  "_*_": numeric("multiply", ["double", "int", "uint"]),
  "_/_": numeric("divide", ["double", "int", "uint"]),
  "_%_": numeric("modulo", ["int", "uint"]),
  "-_": ["negate_double: double -> double", "negate_int64: int -> int"],
  "_<_": ordered("less"),
  "_<=_": ordered("less_equals"),
  "_>_": ordered("greater"),
  "_>=_": ordered("greater_equals"),
  [INDEX]: [
    "index_list: list(A), int -> A",
    "index_map: map(A, B), A -> B",
    "optional_list_index_int: optional_type(list(A)), int -> optional_type(A)",
    "optional_map_index_value: optional_type(map(A, B)), A -> optional_type(B)",
  ],
  [OPTIONAL_INDEX]: [
    "list_optindex_optional_int: list(A), int -> optional_type(A)",
    "optional_list_optindex_optional_int: optional_type(list(A)), int -> optional_type(A)",
    "map_optindex_optional_value: map(A, B), A -> optional_type(B)",
    "optional_map_optindex_optional_value: optional_type(map(A, B)), A -> optional_type(B)",
  ],
};

/** The operators by the names that calls of them have. */
export const OPERATORS: ReadonlyMap<string, readonly Signature[]> = new Map(
  Object.entries(TABLES).map(([name, lines]) => [name, lines.map(readSignature)]),
);

function readSignature(line: string): Signature {
  const [id = "", types = ""] = line.split(": ");
  const [parameters = "", result = ""] = types.split(" -> ");
  return { id, member: false, parameters: splitArguments(parameters).map(readType), result: readType(result) };
}

/** How the identifiers of overloads call the number types. */
function idName(type: string): string {
  return type === "int" || type === "uint" ? `${type}64` : type;
}

function numeric(verb: string, types: readonly string[]): readonly string[] {
  return types.map((type) => `${verb}_${idName(type)}: ${type}, ${type} -> ${type}`);
}

function ordered(verb: string): readonly string[] {
  const numbers = ["double", "int", "uint"];
  return ["bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration"].flatMap((type) => {
    const others = numbers.includes(type) ? numbers.filter((other) => other !== type) : [];
    const mixed = others.map((other) => `${verb}_${idName(type)}_${idName(other)}: ${type}, ${other} -> bool`);
    return [`${verb}_${idName(type)}: ${type}, ${type} -> bool`, ...mixed];
  });
}
