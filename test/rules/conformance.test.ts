import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { getConformanceSuite, type IncrementalTestSuite } from "@bufbuild/cel-spec/testdata/tests.js";
import type { SimpleTest } from "@bufbuild/cel-spec/cel/expr/conformance/test/simple_pb.js";
import type { Type as SpecType } from "@bufbuild/cel-spec/cel/expr/checked_pb.js";
import type { Value as SpecValue } from "@bufbuild/cel-spec/cel/expr/value_pb.js";
import { describe, expect, test } from "vitest";
import { Budget, type Compilation, compile, type Environment } from "../../src/core/rules/cel/cel.ts";
import { toText } from "../../src/core/rules/cel/conversions.ts";
import type { Library } from "../../src/core/rules/cel/library.ts";
import { typeName } from "../../src/core/rules/cel/standard-types.ts";
import { ExpressionMap } from "../../src/core/rules/cel/standard-maps.ts";
import { typeText } from "../../src/core/rules/cel/type-text.ts";
import type { Type } from "../../src/core/rules/cel/types.ts";
import {
  fromJson,
  isCelMap,
  isRecord,
  toElement,
  TypeValue,
  Uint,
  type Value,
} from "../../src/core/rules/cel/values.ts";

/** The sections of cel-spec that Kubernetes' environment has; the rest needs protobuf messages or extensions it lacks. */
const SECTIONS = [
  "basic",
  "comparisons",
  "conversions",
  "fields",
  "fp_math",
  "integer_math",
  "lists",
  "logic",
  "macros",
  "macros2",
  "namespace",
  "parse",
  "plumbing",
  "string",
  "string_ext",
  "timestamps",
  "optionals",
];

const LIBRARIES = await everyLibrary();
const MISSES: Readonly<Record<string, string>> = JSON.parse(
  readFileSync(join(import.meta.dirname, "conformance-misses.json"), "utf8"),
);

/** All libraries that the product has, found by what their modules export. */
async function everyLibrary(): Promise<readonly Library[]> {
  const folder = join(import.meta.dirname, "../../src/core/rules/library");
  const modules = (await Promise.allSettled(readdirSync(folder).map((file) => import(join(folder, file))))).flatMap(
    (r) => (r.status === "fulfilled" ? [r.value] : []),
  );
  const exported = modules.flatMap((module: Readonly<Record<string, unknown>>) => Object.values(module));
  return exported.filter((value): value is Library => isRecord(value) && Array.isArray(value["functions"]));
}

/** Needs a protobuf message, which a JSON object never holds. */
function needsProtobuf(simple: SimpleTest): boolean {
  const text = JSON.stringify(simple, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
  return /TestAllTypes|objectValue|enumValue|google\.protobuf\.(?!Timestamp|Duration|NullValue)|proto[23]/.test(text);
}

const PRIMITIVES = ["dyn", "bool", "int", "uint", "double", "string", "bytes"] as const;
const WELL_KNOWN = ["dyn", "dyn", "timestamp", "duration"] as const;

function typeOf(type: SpecType | undefined): Type {
  const kind = type?.typeKind;
  if (kind?.case === "primitive") {
    return { kind: PRIMITIVES[kind.value] ?? "dyn" };
  }
  if (kind?.case === "wellKnown") {
    return { kind: WELL_KNOWN[kind.value] ?? "dyn" };
  }
  if (kind?.case === "listType") {
    return { kind: "list", element: typeOf(kind.value.elemType) };
  }
  if (kind?.case === "mapType") {
    return { kind: "map", key: typeOf(kind.value.keyType), value: typeOf(kind.value.valueType) };
  }
  if (kind?.case === "abstractType") {
    return { kind: "optional", of: typeOf(kind.value.parameterTypes[0]) };
  }
  return kind?.case === "type"
    ? { kind: "type", of: typeOf(kind.value) }
    : { kind: kind?.case === "null" ? "null" : "dyn" };
}

function valueOf(value: SpecValue): Value {
  const { kind } = value;
  switch (kind.case) {
    case "uint64Value":
      return new Uint(kind.value);
    case "nullValue":
    case undefined:
      return null;
    case "listValue":
      return kind.value.values.map((element) => toElement(valueOf(element)));
    case "mapValue": {
      const map = new ExpressionMap();
      for (const { key, value: entry } of kind.value.entries) {
        map.set(key === undefined ? null : valueOf(key), entry === undefined ? null : valueOf(entry));
      }
      return map;
    }
    case "typeValue":
      return kind.value;
    case "boolValue":
    case "int64Value":
    case "doubleValue":
    case "stringValue":
    case "bytesValue":
      return kind.value;
    case "enumValue":
    case "objectValue":
      break;
  }
  throw new Error(`no value of kind ${kind.case}`);
}

/** A value as text in which different types and different values differ, and the order of a map does not count. */
function shown(value: Value): string {
  if (Array.isArray(value)) {
    return `[${value.map((element) => shown(fromJson(element))).join(", ")}]`;
  }
  if (isRecord(value) || isCelMap(value)) {
    const entries = isRecord(value)
      ? Object.entries(value).map(([key, entry]): [Value, Value] => [key, fromJson(entry)])
      : [...value.entries()];
    const texts = entries.map(([key, entry]) => `${shown(key)}: ${shown(entry)}`);
    return `{${texts.sort().join(", ")}}`;
  }
  if (value instanceof Uint) {
    return `${value.value}u`;
  }
  if (value instanceof Uint8Array) {
    return `bytes ${[...value].join(" ")}`;
  }
  if (value instanceof TypeValue) {
    return JSON.stringify(typeName(value.type));
  }
  if (typeof value === "number") {
    return `double ${Object.is(value, -0) ? "0" : value}`;
  }
  return typeof value === "string" ? JSON.stringify(value) : toText(value ?? "null");
}

function environmentOf(simple: SimpleTest, typed: boolean): Environment {
  const declared = simple.typeEnv.flatMap(({ name, declKind }) =>
    declKind.case === "ident" ? [[name, typeOf(declKind.value.type)] as const] : [],
  );
  const bound = Object.keys(simple.bindings).map((name) => [name, { kind: "dyn" }] as const);
  const variables: Record<string, Type> = Object.fromEntries([...bound, ...declared]);
  return { variables, libraries: LIBRARIES, typed, container: simple.container, quotedFields: true };
}

/** Lists and maps of mixed types: cel-spec has them, Kubernetes refuses them, and so does the checker. */
const MIXED = /^expected type '.*' but found '.*'$/;

function compiled(simple: SimpleTest): Compilation {
  const checked = compile(simple.expr, environmentOf(simple, !simple.disableCheck));
  const isMixed = !checked.ok && checked.problems.every(({ message }) => MIXED.test(message));
  return isMixed ? compile(simple.expr, environmentOf(simple, false)) : checked;
}

/** What a case comes to; an error, whenever it is found, is `error`. */
function actual(simple: SimpleTest): string {
  const compilation = compiled(simple);
  if (!compilation.ok) {
    return "error";
  }
  const { program } = compilation;
  if (simple.checkOnly) {
    return typeText(program.type);
  }
  const inputs = Object.entries(simple.bindings).map(([name, { kind }]) => {
    return [name, kind.case === "value" ? toElement(valueOf(kind.value)) : null] as const;
  });
  const { value, error } = program.run(Object.fromEntries(inputs), new Budget(1_000_000));
  return error === undefined ? shown(value) : "error";
}

function wanted({ resultMatcher }: SimpleTest): string {
  if (resultMatcher.case === "value") {
    return shown(valueOf(resultMatcher.value));
  }
  if (resultMatcher.case === "typedResult") {
    const { result, deducedType } = resultMatcher.value;
    return result === undefined ? typeText(typeOf(deducedType)) : shown(valueOf(result));
  }
  return resultMatcher.case === undefined ? "true" : "error";
}

function casesOf(suite: IncrementalTestSuite, path: string): readonly (readonly [string, SimpleTest])[] {
  const own = suite.tests.map(({ original }) => [`${path}/${original.name}`, original] as const);
  return [...own, ...suite.suites.flatMap((inner) => casesOf(inner, `${path}/${inner.name}`))];
}

const CASES = getConformanceSuite()
  .suites.filter(({ name }) => SECTIONS.includes(name))
  .flatMap((suite) => casesOf(suite, suite.name))
  .filter(([, simple]) => !needsProtobuf(simple));

function outcome(simple: SimpleTest): string {
  const found = actual(simple);
  const expected = wanted(simple);
  return found === expected ? "pass" : `${simple.expr}: found ${found}, wanted ${expected}`;
}

describe("cel-spec conformance", () => {
  test.each(SECTIONS)("%s", (section) => {
    const failed = CASES.filter(([name]) => name.startsWith(`${section}/`) && MISSES[name] === undefined)
      .map(([name, simple]) => [name, outcome(simple)])
      .filter(([, result]) => result !== "pass");
    expect(Object.fromEntries(failed)).toEqual({});
  });

  test("what is listed as a miss is one still", () => {
    const cases = new Map(CASES);
    const passing = Object.keys(MISSES).filter((name) => {
      const simple = cases.get(name);
      return simple === undefined || outcome(simple) === "pass";
    });
    expect(passing).toEqual([]);
  });

  test("at least 95 % of the cases pass, and none has been lost", () => {
    expect(CASES.length).toBe(1391);
    expect(Object.keys(MISSES).length).toBeLessThan(0.05 * CASES.length);
  });
});
