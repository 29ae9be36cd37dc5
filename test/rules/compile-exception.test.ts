import { describe, expect, test } from "vitest";
import { compileException } from "../../src/core/rules/compile-exception.ts";
import { texts } from "./rule-objects.ts";

const SPEC = {
  rules: ["timeout-required"],
  objectNames: ["billing"],
  owner: "team-billing",
  reason: "Migration, TICKET-1",
  expiresAt: "2027-01-31T00:00:00Z",
};

/** An exception with these fields in place of others; an undefined one is left out. */
function exception(spec: object): object {
  const fields = Object.entries({ ...SPEC, ...spec }).filter(([, value]) => value !== undefined);
  return {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "RuleException",
    metadata: { name: "billing", namespace: "shop" },
    spec: Object.fromEntries(fields),
  };
}

test("an exception is lowered, its end to milliseconds", () => {
  expect(compileException(exception({}))).toEqual({
    exception: {
      namespace: "shop",
      name: "billing",
      rules: ["timeout-required"],
      objectNames: ["billing"],
      selector: undefined,
      owner: "team-billing",
      reason: "Migration, TICKET-1",
      expiresAtMs: Date.UTC(2027, 0, 31),
    },
    findings: [],
  });
});

test("a selector is lowered to requirements", () => {
  const spec = { objectNames: undefined, objectSelector: { matchLabels: { team: "billing" } } };
  const { selector, objectNames } = compileException(exception(spec)).exception ?? {};
  expect({ selector, objectNames }).toEqual({
    selector: [{ key: "team", operator: "In", values: ["billing"] }],
    objectNames: [],
  });
});

test.each([
  ["2027-01-31T01:00:00+01:00", Date.UTC(2027, 0, 31)],
  ["2027-01-31T00:00:00.25Z", Date.UTC(2027, 0, 31) + 250],
])("%s is read as it is meant", (expiresAt, ms) => {
  expect(compileException(exception({ expiresAt })).exception?.expiresAtMs).toBe(ms);
});

describe("an exception is refused", () => {
  test.each<readonly [string, object, string]>([
    [
      "that ends on a day that does not exist",
      { expiresAt: "2027-02-31T00:00:00Z" },
      'FL701 spec.expiresAt: Found "2027-02-31T00:00:00Z", wanted a time that exists; check the day of the month, the hours and the minutes',
    ],
    [
      "that ends at no time",
      { expiresAt: "in a week" },
      'FL701 spec.expiresAt: Found "in a week", wanted a time such as "2027-01-31T00:00:00Z"; ' +
        "Write the day, T, the time and Z (RFC 3339), in quotes",
    ],
    [
      "that never ends",
      { expiresAt: undefined },
      'FL701 spec.expiresAt: Found nothing, wanted a time such as "2027-01-31T00:00:00Z"; Add expiresAt',
    ],
    [
      "that nobody answers for",
      { owner: " " },
      'FL701 spec.owner: Found " ", wanted a text; Write it out: whoever reads the exception later has nothing else',
    ],
    [
      "that means every object",
      { objectNames: undefined, objectSelector: {} },
      "FL701 spec.objectSelector: Found an empty selector, which means every object, wanted at least one label; " +
        "Name the labels of the objects that are exempt",
    ],
    [
      "that says neither which objects",
      { objectNames: undefined },
      "FL701 spec: Found neither objectNames nor objectSelector, wanted exactly one of objectNames and objectSelector; " +
        "Name the objects that are exempt, or select them by their labels",
    ],
  ])("%s", (_, spec, text) => {
    const compiled = compileException(exception(spec));
    expect(compiled.exception).toBeUndefined();
    expect(texts(compiled)).toEqual([text]);
  });
});
