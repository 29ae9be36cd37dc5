import { expect, test } from "vitest";
import { chooses, selectorRelation, type SelectorRelation } from "../../src/core/selectors.ts";

const LABELS = { app: "web", tier: "front" };

test.each<readonly [string, unknown, SelectorRelation]>([
  ["no selector", undefined, "covers"],
  ["an empty one", {}, "covers"],
  ["a part of the labels", { matchLabels: { app: "web" } }, "covers"],
  ["the same labels", { matchLabels: LABELS }, "covers"],
  ["more labels", { matchLabels: { ...LABELS, version: "2" } }, "within"],
  ["another value", { matchLabels: { app: "cart" } }, "apart"],
  ["another value beside one that fits", { matchLabels: { app: "web", tier: "back" } }, "apart"],
  ["another label", { matchLabels: { version: "2" } }, "may overlap"],
  ["a part of the labels and another label", { matchLabels: { app: "web", version: "2" } }, "may overlap"],
  ["In", { matchExpressions: [{ key: "app", operator: "In", values: ["web", "cart"] }] }, "covers"],
  ["In without it", { matchExpressions: [{ key: "app", operator: "In", values: ["cart"] }] }, "apart"],
  ["NotIn", { matchExpressions: [{ key: "app", operator: "NotIn", values: ["cart"] }] }, "covers"],
  ["NotIn with it", { matchExpressions: [{ key: "app", operator: "NotIn", values: ["web"] }] }, "apart"],
  ["Exists", { matchExpressions: [{ key: "app", operator: "Exists" }] }, "covers"],
  ["Exists of another label", { matchExpressions: [{ key: "version", operator: "Exists" }] }, "may overlap"],
  ["DoesNotExist", { matchExpressions: [{ key: "app", operator: "DoesNotExist" }] }, "apart"],
  ["a name of every object", { matchLabels: { constructor: "x" } }, "may overlap"],
  ["what the API server would refuse", { matchLabels: 7, matchExpressions: [null, { key: "app" }] }, "may overlap"],
])("%s", (_what, selector, wanted) => {
  expect(selectorRelation(selector, LABELS)).toBe(wanted);
});

test("a Service without labels in its selector is covered by what asks for none", () => {
  expect(selectorRelation({ matchLabels: { app: "web" } }, {})).toBe("within");
});

test.each<readonly [string, unknown, boolean]>([
  ["an empty selector", {}, true],
  ["a part of the labels", { matchLabels: { app: "web" } }, true],
  ["another value", { matchLabels: { app: "cart" } }, false],
  ["a label that is not there", { matchLabels: { app: "web", version: "2" } }, false],
  ["In of a label that is not there", { matchExpressions: [{ key: "version", operator: "In", values: ["2"] }] }, false],
  ["NotIn of one", { matchExpressions: [{ key: "version", operator: "NotIn", values: ["2"] }] }, true],
  ["Exists of one", { matchExpressions: [{ key: "version", operator: "Exists" }] }, false],
  ["DoesNotExist of one", { matchExpressions: [{ key: "version", operator: "DoesNotExist" }] }, true],
  ["DoesNotExist of one that is there", { matchExpressions: [{ key: "app", operator: "DoesNotExist" }] }, false],
  ["what the API server would refuse", { matchExpressions: [{ key: "app" }] }, false],
])("chooses an object with these labels and no others: %s", (_what, selector, wanted) => {
  expect(chooses(selector, LABELS)).toBe(wanted);
});
