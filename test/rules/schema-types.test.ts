import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { typeText } from "../../src/core/rules/cel/type-text.ts";
import type { Type } from "../../src/core/rules/cel/types.ts";
import { readShape, type Shape } from "../../src/core/rules/schema-shape.ts";
import { escapeFieldName, shapeSize, shapeType } from "../../src/core/rules/schema-types.ts";
import { ADMISSION_REQUEST, NAMESPACE } from "../../src/core/rules/schemas/admission.ts";
import { GRPC_ROUTE } from "../../src/core/rules/schemas/grpcroute.ts";
import { HTTP_ROUTE } from "../../src/core/rules/schemas/httproute.ts";
import { RESILIENCE_POLICY } from "../../src/core/rules/schemas/resiliencepolicy.ts";
import { SERVICE } from "../../src/core/rules/schemas/service.ts";
import { renderResiliencePolicyShape } from "../../src/gen/rule-shapes.ts";
import { outcome } from "./check-support.ts";

function fieldText(type: Type, name: string): string {
  const field = type.kind === "object" ? type.field(name) : undefined;
  return field === undefined ? "none" : typeText(field);
}

describe("readShape", () => {
  test.each([
    ["an integer", { type: "integer", format: "int64" }, "int"],
    ["a number", { type: "number" }, "double"],
    ["a boolean", { type: "boolean" }, "bool"],
    ["a text", { type: "string" }, "string"],
    ["a text with a limit", { type: "string", maxLength: 63 }, "string:63"],
    ["a choice", { type: "string", enum: ["TCP", "SCTP"] }, "string"],
    ["bytes", { type: "string", format: "byte" }, "bytes"],
    ["a date", { type: "string", format: "date-time" }, "timestamp"],
    ["a duration", { type: "string", format: "duration" }, "duration"],
    ["a number or a text, in a CRD", { "x-kubernetes-int-or-string": true }, "dyn"],
    ["a number or a text, of a built-in kind", { type: "string", format: "int-or-string" }, "dyn"],
    ["any fields", { type: "object", "x-kubernetes-preserve-unknown-fields": true }, "dyn"],
    ["no type", {}, "dyn"],
    ["an object without fields", { type: "object" }, {}],
    ["a list", { type: "array", items: { type: "string" } }, ["string"]],
    ["a list with a limit", { type: "array", maxItems: 3, items: { type: "integer" } }, ["int", 3]],
    ["a map", { type: "object", additionalProperties: { type: "string" } }, { "*": "string" }],
    [
      "a map with a limit",
      { type: "object", maxProperties: 8, additionalProperties: { type: "string" } },
      { "*8": "string" },
    ],
  ])("%s", (_name, schema, shape) => {
    expect(readShape(schema)).toEqual(shape);
  });

  test("references are followed, and one to what it is in is dyn", () => {
    const definitions = {
      Node: { type: "object", properties: { name: { type: "string" }, next: { $ref: "#/components/schemas/Node" } } },
      List: { type: "object", properties: { first: { allOf: [{ $ref: "#/components/schemas/Node" }], default: {} } } },
    };
    expect(readShape(definitions.List, definitions)).toEqual({ first: { name: "string", next: "dyn" } });
  });
});

describe("shapeType", () => {
  const shape: Shape = {
    "a-b": "string",
    "c.d/e": "int",
    namespace: "bool",
    when: "timestamp",
    list: [{ x: "int" }],
    map: { "*": "bytes" },
  };

  test("fields are known by their name in JSON and by Kubernetes' name for it", () => {
    const type = shapeType(shape, "Thing");
    expect(
      ["a-b", "a__dash__b", "c__dot__d__slash__e", "namespace", "__namespace__", "a_b"].map((name) =>
        fieldText(type, name),
      ),
    ).toEqual(["string", "string", "int", "bool", "bool", "none"]);
  });

  test("types in lists and maps are named after the way to them", () => {
    expect(fieldText(shapeType(shape, "Thing"), "list")).toBe("list(Thing.list.@idx)");
    expect(fieldText(shapeType(shape, "Thing"), "map")).toBe("map(string, bytes)");
  });

  test("dates and bytes may be the strings that they are in JSON", () => {
    const type = shapeType(shape, "Thing", { asText: true });
    expect([fieldText(type, "when"), fieldText(type, "map")]).toEqual(["string", "map(string, string)"]);
  });

  test("nothing that objects have by themselves is a field", () => {
    expect(["constructor", "__proto__", "toString"].map((name) => fieldText(shapeType(shape, "Thing"), name))).toEqual([
      "none",
      "none",
      "none",
    ]);
  });
});

describe("what a rule has beside the object", () => {
  const variables = {
    request: shapeType(ADMISSION_REQUEST, "request"),
    namespaceObject: shapeType(NAMESPACE, "namespaceObject"),
  };

  test.each([
    ["request.kind == request.requestKind", "bool"],
    ["request.userInfo.groups.exists(g, g == 'system:masters')", "bool"],
    ["request.options.dryRun", "dyn"],
    ["namespaceObject.metadata.?labels['a'].orValue('')", "string"],
    [
      "request.kind == request.resource",
      "ERROR: <input>:1:14: found no matching overload for '_==_' applied to '(kubernetes.GroupVersionKind, " +
        "kubernetes.GroupVersionResource)'\n | request.kind == request.resource\n | .............^",
    ],
  ])("%s", (expression, found) => {
    expect(outcome(expression, { variables })).toBe(found);
  });
});

test.each([
  ["replicas", "replicas"],
  ["a__b", "a__underscores__b"],
  ["x-y.z/w", "x__dash__y__dot__z__slash__w"],
  ["in", "__in__"],
  ["1st", undefined],
  ["a b", undefined],
])("escapeFieldName(%s)", (name, escaped) => {
  expect(escapeFieldName(name)).toBe(escaped);
});

test("sizes are those that the schema sets, characters counted as four bytes", () => {
  expect(shapeSize(HTTP_ROUTE, ["spec", "hostnames"])).toBe(16);
  expect(shapeSize(HTTP_ROUTE, ["spec", "hostnames", "@items"])).toBe(1012);
  expect(shapeSize(HTTP_ROUTE, ["spec", "rules", "@items", "backendRefs"])).toBe(16);
  expect(shapeSize(SERVICE, ["spec", "ports"])).toBeUndefined();
  expect(shapeSize(SERVICE, ["metadata", "labels", "@values"])).toBeUndefined();
  expect(shapeSize(SERVICE, ["spec", "nothing", "@items"])).toBeUndefined();
});

describe("the kinds that rules are about most", () => {
  const types = (shape: Shape) => ({ variables: { object: shapeType(shape, "Kind") } });

  test.each([
    { shape: SERVICE, expression: "object.spec.ports.all(p, p.port > 0 && p.targetPort != 'x')", type: "bool" },
    { shape: SERVICE, expression: "object.metadata.annotations['a'] + object.metadata.namespace", type: "string" },
    { shape: HTTP_ROUTE, expression: "object.spec.rules.map(r, r.timeouts.request)", type: "list(string)" },
    { shape: HTTP_ROUTE, expression: "object.spec.parentRefs[0].port", type: "int" },
    { shape: GRPC_ROUTE, expression: "object.spec.rules[0].matches[0].method.service", type: "string" },
    { shape: RESILIENCE_POLICY, expression: "object.metadata.name", type: "string" },
  ])("$expression", ({ shape, expression, type }) => {
    expect(outcome(expression, types(shape))).toBe(type);
  });

  test("a field of another kind is refused", () => {
    expect(outcome("object.spec.ports", types(HTTP_ROUTE))).toContain("1:12: undefined field 'ports'");
  });

  test("the shape of a ResiliencePolicy is that of its CRD; run the renderer of src/gen/rule-shapes.ts", () => {
    const file = new URL("../../src/core/rules/schemas/resiliencepolicy.ts", import.meta.url);
    expect(readFileSync(file, "utf8")).toBe(renderResiliencePolicyShape());
  });
});
