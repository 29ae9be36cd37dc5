import { MATCHES as SEARCH } from "../library/regex.ts";
import type { FunctionDeclaration, Library, Overload } from "./library.ts";
import { toBool, toBytes, toDouble, toDuration, toInt, toText, toTimestamp, toUint } from "./conversions.ts";
import { STANDARD_MACROS } from "./macros.ts";
import { OPTIONALS } from "./optionals.ts";
import { costSize, lengthCost, matchCost, traversal, ZONE_UNITS } from "./standard-cost.ts";
import { sizeOfMap } from "./standard-maps.ts";
import { TYPE_NAMES, typeOf } from "./standard-types.ts";
import { partOf } from "./timestamps.ts";
import type { Type } from "./types.ts";
import { Duration, Timestamp, TypeValue, type Value } from "./values.ts";

const BOOL: Type = { kind: "bool" };
const INT: Type = { kind: "int" };
const UINT: Type = { kind: "uint" };
const DOUBLE: Type = { kind: "double" };
const STRING: Type = { kind: "string" };
const BYTES: Type = { kind: "bytes" };
const TIMESTAMP: Type = { kind: "timestamp" };
const DURATION: Type = { kind: "duration" };
const A: Type = { kind: "parameter", name: "A" };
const B: Type = { kind: "parameter", name: "B" };

type Call = Overload["call"];

/** Characters as cel-go counts them; a text without any beyond 16 bits has as many as code units. */
export function codePoints(text: string): number {
  let count = text.length;
  for (let at = 0; at < text.length - 1; at++) {
    const unit = text.charCodeAt(at);
    if (unit >= 0xd800 && unit < 0xdc00) {
      const next = text.charCodeAt(at + 1);
      count -= next >= 0xdc00 && next < 0xe000 ? 1 : 0;
    }
  }
  return count;
}

function size(value: Value | undefined): bigint {
  if (typeof value === "string") {
    return BigInt(codePoints(value));
  }
  if (Array.isArray(value) || value instanceof Uint8Array) {
    return BigInt(value.length);
  }
  return BigInt(sizeOfMap(value as Readonly<Record<string, unknown>>));
}

/** In cel-go's order: untyped data is taken for the first that fits. */
const SIZES: readonly (readonly [string, Type])[] = [
  ["bytes", BYTES],
  ["list", { kind: "list", element: A }],
  ["map", { kind: "map", key: A, value: B }],
  ["string", STRING],
];

const SIZE: FunctionDeclaration = {
  name: "size",
  overloads: SIZES.flatMap(([name, type]) => {
    const form = { parameters: [type], result: INT, call: size };
    const counted = type === STRING ? { ...form, cost: ([text]: readonly Value[]) => lengthCost(text) } : form;
    return [
      { ...counted, id: `size_${name}`, member: false },
      { ...counted, id: `${name}_size`, member: true },
    ];
  }),
};

type Parameters = Readonly<Record<string, Type>>;

/** A function of one parameter, whose overloads have those names. */
function conversion(name: string, convert: (value: Value) => Value, forms: Parameters): FunctionDeclaration {
  const call: Call = (value) => convert(value ?? null);
  const reads: Overload["cost"] = ([value]) => traversal(costSize(value)) - 1;
  const longText: Overload["cost"] = ([value]) => lengthCost(value);
  const result = RESULTS[name] ?? { kind: "dyn" };
  const overloads = Object.entries(forms).map(([id, parameter]) => {
    const form = { id, member: false, parameters: [parameter], result, call };
    if (id === "string_to_bytes" || id === "bytes_to_string") {
      return { ...form, cost: reads };
    }
    return parameter === STRING ? { ...form, cost: longText } : form;
  });
  return { name, overloads };
}

const RESULTS: Parameters = {
  bool: BOOL,
  bytes: BYTES,
  double: DOUBLE,
  duration: DURATION,
  int: INT,
  string: STRING,
  timestamp: TIMESTAMP,
  uint: UINT,
  type: { kind: "type", of: A },
};

const CONVERSIONS: readonly FunctionDeclaration[] = [
  conversion("bool", toBool, { bool_to_bool: BOOL, string_to_bool: STRING }),
  conversion("bytes", toBytes, { bytes_to_bytes: BYTES, string_to_bytes: STRING }),
  conversion("double", toDouble, {
    double_to_double: DOUBLE,
    int64_to_double: INT,
    string_to_double: STRING,
    uint64_to_double: UINT,
  }),
  conversion("duration", toDuration, {
    duration_to_duration: DURATION,
    int64_to_duration: INT,
    string_to_duration: STRING,
  }),
  conversion("int", toInt, {
    int64_to_int64: INT,
    double_to_int64: DOUBLE,
    duration_to_int64: DURATION,
    string_to_int64: STRING,
    timestamp_to_int64: TIMESTAMP,
    uint64_to_int64: UINT,
  }),
  conversion("string", toText, {
    string_to_string: STRING,
    bool_to_string: BOOL,
    bytes_to_string: BYTES,
    double_to_string: DOUBLE,
    duration_to_string: DURATION,
    int64_to_string: INT,
    timestamp_to_string: TIMESTAMP,
    uint64_to_string: UINT,
  }),
  conversion("timestamp", toTimestamp, {
    timestamp_to_timestamp: TIMESTAMP,
    int64_to_timestamp: INT,
    string_to_timestamp: STRING,
  }),
  conversion("uint", toUint, {
    uint64_to_uint64: UINT,
    double_to_uint64: DOUBLE,
    int64_to_uint64: INT,
    string_to_uint64: STRING,
  }),
  conversion("dyn", (value) => value, { to_dyn: A }),
  conversion("type", (value) => new TypeValue(typeOf(value)), { type: A }),
];

function stringTest(name: string, id: string, test: (text: string, part: string) => boolean): Overload {
  const isProduct = name === "contains";
  return {
    id,
    member: true,
    parameters: [STRING, STRING],
    result: BOOL,
    call: (text, part) => test(text as string, part as string),
    cost: ([text, part]) => traversal(costSize(text)) * (isProduct ? traversal(costSize(part)) : 1) - 1,
  };
}

const MATCHES: Omit<Overload, "id" | "member"> = {
  parameters: [STRING, STRING],
  result: BOOL,
  call: (text, regex) => SEARCH.call(text as string, regex as string),
  prepared: SEARCH.prepared,
  cost: ([text, regex]) => matchCost(text, regex) - 1,
};

const STRINGS: readonly FunctionDeclaration[] = [
  { name: "contains", overloads: [stringTest("contains", "contains_string", (text, part) => text.includes(part))] },
  { name: "endsWith", overloads: [stringTest("endsWith", "ends_with_string", (text, part) => text.endsWith(part))] },
  {
    name: "startsWith",
    overloads: [stringTest("startsWith", "starts_with_string", (text, part) => text.startsWith(part))],
  },
  {
    name: "matches",
    overloads: [
      { id: "matches", member: false, ...MATCHES },
      { id: "matches_string", member: true, ...MATCHES },
    ],
  },
];

/** Of a duration: all of it in that unit, not what is left of the next larger one. */
const NANOS: Readonly<Record<string, bigint>> = {
  getHours: 3_600_000_000_000n,
  getMinutes: 60_000_000_000n,
  getSeconds: 1_000_000_000n,
  getMilliseconds: 1_000_000n,
};

const TIMES: readonly (readonly [string, string])[] = [
  ["getFullYear", "year"],
  ["getMonth", "month"],
  ["getDayOfYear", "day_of_year"],
  ["getDayOfMonth", "day_of_month"],
  ["getDate", "day_of_month_1_based"],
  ["getDayOfWeek", "day_of_week"],
  ["getHours", "hours"],
  ["getMinutes", "minutes"],
  ["getSeconds", "seconds"],
  ["getMilliseconds", "milliseconds"],
];

function timePart([name, id]: readonly [string, string]): FunctionDeclaration {
  const call: Call = (time, zone = "UTC") => partOf(name, time as Timestamp, zone as string);
  const nanos = NANOS[name];
  const ofTimestamp = [
    { id: `timestamp_to_${id}`, member: true, parameters: [TIMESTAMP], result: INT, call },
    {
      id: `timestamp_to_${id}_with_tz`,
      member: true,
      parameters: [TIMESTAMP, STRING],
      result: INT,
      call,
      cost: () => ZONE_UNITS,
    },
  ];
  const ofDuration = {
    id: `duration_to_${id}`,
    member: true,
    parameters: [DURATION],
    result: INT,
    call: (duration: Value | undefined) => (duration as Duration).nanos / (nanos ?? 1n),
  };
  return { name, overloads: nanos === undefined ? ofTimestamp : [...ofTimestamp, ofDuration] };
}

const MAP: Type = { kind: "map", key: A, value: B };

/** What `transformMap` expands to; the evaluator has it of its own. */
const INSERT: FunctionDeclaration = {
  name: "cel.@mapInsert",
  overloads: [
    { id: "@mapInsert_map_key_value", member: false, parameters: [MAP, A, B], result: MAP, call: () => null },
    { id: "@mapInsert_map_map", member: false, parameters: [MAP, MAP], result: MAP, call: () => null },
  ],
};

/** The standard library of cel-spec with optionals and the macros with two variables: what every environment has. */
export const STANDARD: Library = {
  functions: [INSERT, SIZE, ...CONVERSIONS, ...STRINGS, ...TIMES.map(timePart), ...OPTIONALS],
  macros: STANDARD_MACROS,
  constants: Object.fromEntries(
    Object.entries(TYPE_NAMES).map(([name, type]) => [
      name,
      { type: { kind: "type", of: type }, value: new TypeValue(type) },
    ]),
  ),
};
