import { describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import * as z from "zod";
import { TARGET_GROUPS } from "../../src/api/v1alpha1/common.ts";
import { TARGET_KINDS } from "../../src/core/names.ts";
import { GENERATED, staleFiles } from "../../src/gen/all.ts";
import { chartTemplate } from "../../src/gen/chart.ts";
import { CUSTOM_KINDS, renderChartCrd, renderCrds } from "../../src/gen/crd.ts";
import { convert, structuralSchema } from "../../src/gen/structural.ts";

describe("generated files", () => {
  test("are as they would be generated now (else: npm run gen)", () => {
    expect(staleFiles()).toEqual([]);
  });

  test.each(GENERATED.map((file) => [file.path, file] as const))("%s renders the same twice", (_, file) => {
    expect(file.render()).toBe(file.render());
  });

  test.each(CUSTOM_KINDS.map((custom, index) => [custom.kind, custom, index] as const))(
    "the chart's CRD of %s is the CRD, kept on uninstall, and no template of anything",
    (_, custom, index) => {
      const plain = parseAllDocuments(renderCrds())[index]?.toJS();
      const chart = parseAllDocuments(renderChartCrd(custom))[0]?.toJS();
      expect(chart.metadata.annotations).toEqual({ "helm.sh/resource-policy": "keep" });
      expect({ ...chart, metadata: plain.metadata }).toEqual(plain);
    },
  );

  test("a template with an expression is no plain text", () => {
    expect(() => chartTemplate("a: {{ b }}")).toThrow("Cannot write a chart template");
  });

  test("the kinds of the API are those of the core", () => {
    const ofApi = Object.entries(TARGET_GROUPS).flatMap(([kind, groups]) => groups.map((group) => ({ group, kind })));
    expect(ofApi).toEqual(TARGET_KINDS.map(({ group, kind }) => ({ group, kind })));
  });
});

const text = z.string().max(9).meta({ description: "A text." });
const list = { "x-kubernetes-list-type": "atomic", description: "A list." };

describe("structuralSchema() refuses", () => {
  test.each<readonly [string, z.ZodType, string]>([
    [
      "a string without maxLength",
      z.strictObject({ a: z.string().meta({ description: "A" }) }),
      "spec.a: found a string without maxLength",
    ],
    [
      "a list without maxItems",
      z.strictObject({ a: z.array(text).meta(list) }),
      "spec.a: found a list without maxItems",
    ],
    [
      "a list without a list type",
      z.strictObject({ a: z.array(text).max(2).meta({ description: "A" }) }),
      "spec.a: found a list without a list type",
    ],
    ["a field without description", z.strictObject({ a: z.boolean() }), "spec.a: found no description"],
    ["a union", z.union([text, z.boolean()]), "spec: found the keyword anyOf"],
    ["null", z.strictObject({ a: text.nullable() }), "spec.a: found the keyword nullable"],
    ["a default", z.strictObject({ a: text.default("x") }), "spec.a: found the keyword default"],
    ["a float", z.strictObject({ a: z.number().meta({ description: "A" }) }), "spec.a: found the type number"],
    ["anything", z.strictObject({ a: z.any() }), "spec.a: found the type undefined"],
    ["a loose object", z.looseObject({ a: text }), "spec: found additionalProperties beside properties"],
    [
      "an object without fields",
      z.strictObject({}).meta({ description: "A" }).optional(),
      "spec: found an object without fields",
    ],
    [
      "a map of objects",
      z.record(z.string(), z.strictObject({ a: text })),
      "spec: found a map of something other than strings",
    ],
    ["a map without maxProperties", z.record(z.string(), text), "spec: found a map without maxProperties"],
    ["a restricted key", z.record(z.string().max(3), text), "spec: found a schema for the keys of a map"],
    ["look-ahead", text.regex(/^(?!a)b$/), "spec: found ^(?!a)b$, wanted RE2 syntax"],
    ["look-behind", text.regex(/(?<=a)b/), "spec: found (?<=a)b, wanted RE2 syntax"],
    ["a back-reference", text.regex(/(a)\1/), "spec: found (a)\\1, wanted RE2 syntax"],
    ["a phase", z.strictObject({ phase: text }), "spec.phase: found a field called phase"],
  ])("%s", (_, schema, message) => {
    expect(() => structuralSchema(schema, "spec")).toThrow(`Cannot make a structural schema of ${message}`);
  });

  test.each<readonly [string, unknown, string]>([
    ["an intersection", { allOf: [] }, "the keyword allOf"],
    ["alternatives", { oneOf: [] }, "the keyword oneOf"],
    ["a negation", { not: {} }, "the keyword not"],
    ["a reference", { $ref: "#/definitions/a" }, "the keyword $ref"],
    ["patternProperties", { type: "object", patternProperties: {} }, "the keyword patternProperties"],
    ["uniqueItems", { type: "array", uniqueItems: true }, "the keyword uniqueItems"],
    ["a numeric exclusiveMinimum", { type: "integer", exclusiveMinimum: 3 }, "exclusiveMinimum 3"],
    [
      "a list without items",
      { type: "array", maxItems: 2, "x-kubernetes-list-type": "atomic" },
      "a list without items",
    ],
    ["a schema that is true", true, "found true, wanted a schema"],
  ])("%s", (_, json, message) => {
    expect(() => convert(json, "spec")).toThrow(message);
  });

  test("a cycle", () => {
    const node: z.ZodType = z.strictObject({
      get child() {
        return node;
      },
    });
    expect(() => structuralSchema(node, "spec")).toThrow(/[Cc]ycle/);
  });
});

describe("structuralSchema() writes", () => {
  const description = "A";
  test.each<readonly [string, z.ZodType, unknown]>([
    ["no bounds of safe integers", z.int(), { type: "integer", format: "int64" }],
    [
      "int32 where both bounds allow",
      z.int().min(0).max(9),
      { type: "integer", minimum: 0, maximum: 9, format: "int32" },
    ],
    [
      "exclusive bounds as booleans",
      z.int().gt(0).max(9),
      { type: "integer", minimum: 0, exclusiveMinimum: true, maximum: 9, format: "int32" },
    ],
    [
      "a strict object without additionalProperties",
      z.strictObject({ a: text, b: z.exactOptional(z.enum(["x", "y"]).meta({ description })) }),
      {
        type: "object",
        required: ["a"],
        properties: {
          a: { type: "string", maxLength: 9, description: "A text." },
          b: { type: "string", enum: ["x", "y"], description },
        },
      },
    ],
    [
      "a bounded map of strings",
      z.record(z.string(), text).meta({ maxProperties: 2 }),
      {
        type: "object",
        maxProperties: 2,
        additionalProperties: { type: "string", maxLength: 9, description: "A text." },
      },
    ],
  ])("%s", (_, schema, json) => {
    expect(structuralSchema(schema, "spec")).toEqual(json);
  });
});
