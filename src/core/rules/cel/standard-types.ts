import type { Type } from "./types.ts";
import {
  CelError,
  Duration,
  fromJson,
  isCelMap,
  isOpaque,
  isRecord,
  Optional,
  Timestamp,
  TypeValue,
  Uint,
} from "./values.ts";
import type { Value } from "./values.ts";

const DYN: Type = { kind: "dyn" };

/** What an expression can name as a type, beside those of libraries. */
export const TYPE_NAMES: Readonly<Record<string, Type>> = {
  bool: { kind: "bool" },
  bytes: { kind: "bytes" },
  double: { kind: "double" },
  int: { kind: "int" },
  uint: { kind: "uint" },
  string: { kind: "string" },
  null_type: { kind: "null" },
  list: { kind: "list", element: DYN },
  map: { kind: "map", key: DYN, value: DYN },
  type: { kind: "type", of: DYN },
  optional_type: { kind: "optional", of: DYN },
  "google.protobuf.Timestamp": { kind: "timestamp" },
  "google.protobuf.Duration": { kind: "duration" },
};

/** The name of the type without its parameters: `list`, `null_type`, `google.protobuf.Timestamp`. */
export function typeName(type: Type): string {
  switch (type.kind) {
    case "null":
      return "null_type";
    case "optional":
      return "optional_type";
    case "timestamp":
      return "google.protobuf.Timestamp";
    case "duration":
      return "google.protobuf.Duration";
    case "object":
      return "map";
    case "opaque":
    case "parameter":
      return type.name;
    case "list":
    case "map":
    case "type":
    case "dyn":
    case "bool":
    case "int":
    case "uint":
    case "double":
    case "string":
    case "bytes":
      break;
  }
  return type.kind;
}

/** As Go prints the type of a value with `%T`, which some errors of cel-go do. */
export function goTypeName(value: Value): string {
  const type = typeOf(value);
  return GO_TYPES[type.kind] ?? typeName(type);
}

const GO_TYPES: Readonly<Record<string, string>> = {
  null: "types.Null",
  bool: "types.Bool",
  int: "types.Int",
  uint: "types.Uint",
  double: "types.Double",
  string: "types.String",
  bytes: "types.Bytes",
  timestamp: "types.Timestamp",
  duration: "types.Duration",
  list: "*types.baseList",
  map: "*types.baseMap",
  type: "*types.Type",
  optional: "*types.Optional",
};

/** The type of a value as far as it shows: of lists and maps not what they hold. */
export function typeOf(value: Value): Type {
  return SCALARS[typeof value] ?? typeOfObject(value);
}

const SCALARS: Readonly<Record<string, Type>> = {
  bigint: { kind: "int" },
  number: { kind: "double" },
  string: { kind: "string" },
  boolean: { kind: "bool" },
};

const CLASSES = [
  [Uint, { kind: "uint" }],
  [Uint8Array, { kind: "bytes" }],
  [Timestamp, { kind: "timestamp" }],
  [Duration, { kind: "duration" }],
  [TypeValue, { kind: "type", of: DYN }],
  [Optional, { kind: "optional", of: DYN }],
] as const;

function typeOfObject(value: Value): Type {
  if (value === null) {
    return { kind: "null" };
  }
  if (Array.isArray(value)) {
    return { kind: "list", element: DYN };
  }
  if (isRecord(value) || isCelMap(value)) {
    return { kind: "map", key: DYN, value: DYN };
  }
  const known = CLASSES.find(([type]) => value instanceof type);
  if (known !== undefined) {
    return known[1];
  }
  if (isOpaque(value)) {
    return { kind: "opaque", name: value.opaque };
  }
  throw new CelError("unsupported value");
}

/** Whether a value may be an argument of that type; of lists and maps the first element stands for all, as in cel-go. */
export function isOfType(value: Value, type: Type): boolean {
  switch (type.kind) {
    case "dyn":
    case "parameter":
      return true;
    case "bool":
      return typeof value === "boolean";
    case "int":
      return typeof value === "bigint";
    case "double":
      return typeof value === "number";
    case "string":
      return typeof value === "string";
    case "null":
      return value === null;
    case "list":
      return Array.isArray(value) && (value.length === 0 || isOfType(fromJson(value[0]), type.element));
    case "object":
      return isRecord(value);
    case "map":
      return isRecord(value) || isCelMap(value);
    case "opaque":
      return isOpaque(value) && value.opaque === type.name;
    case "uint":
    case "bytes":
    case "timestamp":
    case "duration":
    case "type":
    case "optional":
      break;
  }
  return typeof value === "object" && typeOf(value).kind === type.kind;
}
