import { groupOf, type KubernetesObject } from "../kubernetes.ts";
import { Budget, compile, type Environment } from "./cel/cel.ts";
import { formatDouble, toText } from "./cel/conversions.ts";
import { formatProblems } from "./cel/problems.ts";
import { typeOf } from "./cel/standard-types.ts";
import { DYN, typeText } from "./cel/type-text.ts";
import type { Type } from "./cel/types.ts";
import {
  Duration,
  elementsOf,
  fromJson,
  isCelMap,
  isList,
  isOpaque,
  Optional,
  Timestamp,
  TypeValue,
  Uint,
  type Value,
} from "./cel/values.ts";
import { kubernetesLibraries } from "./library/all.ts";
import { EXPRESSION_COST_MAX } from "./limits.ts";
import { KNOWN_KINDS } from "./kinds.ts";
import { shapeType } from "./schema-types.ts";

/** What an expression gives; what does not apply is null. */
export interface Evaluation {
  /** As cel-go names it: `list(string)`. */
  readonly type: string | null;
  /** As JSON; integers beyond 2^53, uint, bytes, timestamps and durations are strings. */
  readonly value: unknown;
  /** In units of the same order as Kubernetes'. */
  readonly cost: number | null;
  /** Why there is no value: what the compiler says, with line and caret, or what went wrong at run time. */
  readonly error: string | null;
}

/** Evaluates one expression as the API server would, with `object` in scope where there is one. */
export function evaluate(expression: string, object: KubernetesObject | undefined): Evaluation {
  const environment: Environment = {
    variables: object === undefined ? {} : { object: typeOfObject(object) },
    libraries: kubernetesLibraries("1.36"),
    typed: true,
  };
  const compiled = compile(expression, environment);
  if (!compiled.ok)
    return { type: null, value: null, cost: null, error: formatProblems(expression, compiled.problems) };
  const { program } = compiled;
  const { value, error, cost } = program.run({ object }, new Budget(EXPRESSION_COST_MAX));
  if (error !== undefined) return { type: null, value: null, cost, error: error.message };
  const type = program.type.kind === "dyn" ? typeOf(value) : program.type;
  return { type: typeText(type), value: toJson(value), cost, error: null };
}

function typeOfObject({ apiVersion = "", kind = "" }: KubernetesObject): Type {
  const group = groupOf(apiVersion);
  const shape = KNOWN_KINDS.find((known) => known.kind === kind && known.group === group)?.shape;
  // As it is when it runs: a date in JSON is a string.
  return shape === undefined ? DYN : shapeType(shape, kind, { asText: true });
}

/** As `eval` prints values. */
export function toJson(value: Value): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (typeof value === "number") return Number.isFinite(value) ? value : formatDouble(value);
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (value instanceof Uint8Array) return base64(value);
  if (value instanceof Uint || value instanceof Timestamp || value instanceof Duration) return toText(value);
  if (value instanceof Optional) return value.value === undefined ? null : toJson(value.value);
  if (value instanceof TypeValue) return typeText(value.type);
  if (isOpaque(value)) return value.toString();
  if (isList(value)) return [...elementsOf(value)].map(toJson);
  const entries = isCelMap(value)
    ? [...value.entries()].map(([key, member]) => [toText(key), member] as const)
    : Object.entries(value).map(([key, member]) => [key, fromJson(member)] as const);
  return Object.fromEntries(entries.map(([key, member]) => [key, toJson(member)]));
}

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** The core has neither Buffer nor btoa. */
function base64(bytes: Uint8Array): string {
  let text = "";
  for (let index = 0; index < bytes.length; index += 3) {
    const [a = 0, b, c] = bytes.subarray(index, index + 3);
    const bits = (a << 16) | ((b ?? 0) << 8) | (c ?? 0);
    const digit = (shift: number): string => BASE64[(bits >> shift) & 63] ?? "";
    text += digit(18) + digit(12) + (b === undefined ? "=" : digit(6)) + (c === undefined ? "=" : digit(0));
  }
  return text;
}
