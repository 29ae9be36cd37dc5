import { describe, expect, test } from "vitest";
import { modeOf } from "../../src/core/admission/mode.ts";
import { type OwnershipInput, peoplesKeys, takenAway } from "../../src/core/admission/ownership.ts";
import {
  type Changes,
  escapePointer,
  exceedsAnnotationLimit,
  metadataPatch,
  withMetadata,
} from "../../src/core/admission/patch.ts";
import { checkRecord, type InjectionRecord, readRecord, writeRecord } from "../../src/core/admission/record.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { meshVersion, namespace, service, worldOf } from "./worlds.ts";

const V = meshVersion("2.20");
const HTTP = "retry.linkerd.io/http";
const LIMIT = "retry.linkerd.io/limit";
const PER_TRY = "retry.linkerd.io/timeout";

function record(keys: Record<string, string>, replaced: Record<string, string> = {}): InjectionRecord {
  return { policy: "a", revision: "r", keys, replaced };
}

describe("the record", () => {
  test("is written with sorted keys, and without replaced where nothing was", () => {
    expect(writeRecord(record({ [LIMIT]: "2", [HTTP]: "5xx" }))).toBe(
      `{"policy":"a","revision":"r","keys":{"${HTTP}":"5xx","${LIMIT}":"2"}}`,
    );
  });

  test("is read as it was written", () => {
    const written = record({ [HTTP]: "5xx" }, { [PER_TRY]: "1s" });
    expect(readRecord(writeRecord(written), V)).toEqual(written);
  });

  test.each([undefined, "", "{", "null", "7", '"x"', "[]"])("reads %j as none", (text) => {
    expect(readRecord(text, V)).toBeUndefined();
  });

  test.each([
    ["foreign keys", { "example.com/a": "b", "fairlead.dev/injected": "x", "fairlead.dev/revision": "y" }],
    ["keys of prototypes", JSON.parse('{"__proto__":"x","constructor":"y","toString":"z"}')],
    ["values that Linkerd drops", { [HTTP]: "5xx, 429" }],
    ["values that are no strings", { [HTTP]: 500, [LIMIT]: null, [PER_TRY]: ["1s"] }],
    ["keys that no policy writes", { "balancer.alpha.linkerd.io/penalize-failures": "true" }],
    ["keys that Linkerd does not know", { "retry.linkerd.io/limits": "2" }],
  ])("leaves out %s", (_, entries) => {
    const read = readRecord(JSON.stringify({ keys: entries, replaced: entries }), V);
    expect(read).toEqual({ policy: "", revision: "", keys: {}, replaced: {} });
  });

  test.each([
    ["bad JSON", "{", ['Found "{", which is not a JSON object']],
    ["a list", "[]", ['Found "[]", which is not a JSON object']],
    ["keys that are no map", '{"keys":3}', ["Found 3 as keys, wanted an object of strings"]],
    ["a foreign key", '{"keys":{"a/b":"c"}}', ['Found the key "a/b" in keys, which Fairlead never writes']],
    [
      "a value that does not parse",
      `{"replaced":{"${HTTP}":"x"}}`,
      [`Found "x" for ${HTTP} in replaced, which the mesh would drop`],
    ],
    [
      "a value that is no string",
      `{"keys":{"${HTTP}":["5xx"]}}`,
      [`Found ["5xx"] for ${HTTP} in keys, which the mesh would drop`],
    ],
    ["nothing wrong", '{"policy":"gone","revision":"","keys":{}}', []],
    ["nothing at all", "{}", []],
    ["null members", '{"keys":null,"replaced":null}', []],
  ])("checkRecord() on %s", (_, text, messages) => {
    expect(checkRecord(text, V).map((item) => item.message)).toEqual(messages);
  });

  test("a hostile record makes no endless list", () => {
    const keys = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`a/${index}`, "x"]));
    expect(checkRecord(JSON.stringify({ keys, replaced: keys }), V)).toHaveLength(8);
  });
});

const NOTHING = { ownRecord: undefined, oldRecord: undefined, desired: {}, isReplaced: () => false };

const OWNERSHIP: Readonly<Record<string, readonly [Partial<OwnershipInput>, people: Record<string, string>]>> = {
  "foreign keys are nobody's business": [{ annotations: { "a/b": "c" } }, {}],
  "without a record all is a person's": [
    { annotations: { [HTTP]: "5xx" }, desired: { [HTTP]: "5xx" } },
    { [HTTP]: "5xx" },
  ],
  "the own record is believed where policies say the same": [
    { annotations: { [HTTP]: "5xx" }, ownRecord: record({ [HTTP]: "5xx" }), desired: { [HTTP]: "5xx" } },
    {},
  ],
  "the own record is not believed where policies say something else": [
    { annotations: { [HTTP]: "5xx" }, ownRecord: record({ [HTTP]: "5xx" }), desired: { [HTTP]: "503" } },
    { [HTTP]: "5xx" },
  ],
  "the own record is not believed where the value is another": [
    { annotations: { [HTTP]: "503" }, ownRecord: record({ [HTTP]: "5xx" }), desired: { [HTTP]: "503" } },
    { [HTTP]: "503" },
  ],
  "the old record is believed without policies": [
    { annotations: { [HTTP]: "5xx" }, oldRecord: record({ [HTTP]: "5xx" }) },
    {},
  ],
  "a value that was edited is a person's": [
    { annotations: { [HTTP]: "503" }, oldRecord: record({ [HTTP]: "5xx" }, { [HTTP]: "429" }) },
    { [HTTP]: "503" },
  ],
  "what was replaced is a person's again": [
    { annotations: { [HTTP]: "5xx" }, oldRecord: record({ [HTTP]: "5xx" }, { [HTTP]: "429" }) },
    { [HTTP]: "429" },
  ],
  "what was taken away is a person's again": [
    { annotations: {}, oldRecord: record({}, { [PER_TRY]: "1s" }) },
    { [PER_TRY]: "1s" },
  ],
  "a key that a person removed is forgotten": [
    { annotations: {}, oldRecord: record({ [HTTP]: "5xx" }, { [HTTP]: "429" }) },
    {},
  ],
  "the own record puts nothing back on its own word": [
    { annotations: {}, ownRecord: record({}, { [PER_TRY]: "1s" }) },
    {},
  ],
  "the own record is believed about a group that is replaced": [
    { annotations: {}, ownRecord: record({}, { [PER_TRY]: "1s" }), isReplaced: () => true },
    { [PER_TRY]: "1s" },
  ],
  "an own record that gives our own value as a person's is forged": [
    {
      annotations: { [HTTP]: "5xx" },
      ownRecord: record({ [HTTP]: "5xx" }, { [HTTP]: "5xx" }),
      desired: { [HTTP]: "5xx" },
    },
    {},
  ],
  "an own record cannot turn what the old one claims into a person's": [
    {
      annotations: {},
      ownRecord: record({}, { [PER_TRY]: "1s" }),
      oldRecord: record({ [PER_TRY]: "1s" }),
      isReplaced: () => true,
    },
    {},
  ],
  "of two records the own one is newer": [
    {
      annotations: {},
      ownRecord: record({}, { [PER_TRY]: "2s" }),
      oldRecord: record({}, { [PER_TRY]: "1s" }),
      isReplaced: () => true,
    },
    { [PER_TRY]: "2s" },
  ],
};

test.each(Object.entries(OWNERSHIP))("whose value: %s", (_, [input, people]) => {
  expect(peoplesKeys({ ...NOTHING, annotations: {}, ...input })).toEqual(people);
});

test("takenAway() names what was removed without a replacement", () => {
  expect(takenAway(record({ [HTTP]: "5xx" }, { [HTTP]: "429", [PER_TRY]: "1s" }))).toEqual({ [PER_TRY]: "1s" });
  expect(takenAway(undefined)).toEqual({});
});

describe("metadataPatch()", () => {
  const object = (annotations?: Record<string, string> | null): KubernetesObject =>
    ({ metadata: { name: "a", annotations } }) as KubernetesObject;

  type PatchCase = readonly [name: string, before: KubernetesObject, changes: Changes, patch: readonly unknown[]];
  const PATCHES: readonly PatchCase[] = [
    ["nothing to do", object({ a: "1" }), { a: "1", b: undefined }, []],
    [
      "no map",
      object(),
      { b: "2", a: "1", c: undefined },
      [{ op: "add", path: "/metadata/annotations", value: { a: "1", b: "2" } }],
    ],
    ["a null map", object(null), { a: "1" }, [{ op: "add", path: "/metadata/annotations", value: { a: "1" } }]],
    ["no map and nothing to write", object(), { a: undefined }, []],
    ["an empty map", object({}), { a: "1" }, [{ op: "add", path: "/metadata/annotations/a", value: "1" }]],
    ["a new value", object({ a: "1" }), { a: "2" }, [{ op: "replace", path: "/metadata/annotations/a", value: "2" }]],
    ["an empty value", object({ a: "1" }), { a: "" }, [{ op: "replace", path: "/metadata/annotations/a", value: "" }]],
    ["a removal", object({ a: "1" }), { a: undefined }, [{ op: "remove", path: "/metadata/annotations/a" }]],
    [
      "keys to escape",
      object({}),
      { "x/y~z": "1" },
      [{ op: "add", path: "/metadata/annotations/x~1y~0z", value: "1" }],
    ],
    [
      "a key of the prototype",
      object({}),
      { constructor: "1" },
      [{ op: "add", path: "/metadata/annotations/constructor", value: "1" }],
    ],
  ];

  test.each(PATCHES)("%s", (_, ...[before, changes, patch]) => {
    expect(metadataPatch(before, changes, {})).toEqual(patch);
  });

  test("annotations come before labels, each in the order of keys", () => {
    const paths = metadataPatch(service({ z: "1" }, { z: "1" }), { b: "1", a: "1" }, { z: undefined, y: "2" }).map(
      ({ path }) => path,
    );
    expect(paths).toEqual([
      "/metadata/annotations/a",
      "/metadata/annotations/b",
      "/metadata/labels/y",
      "/metadata/labels/z",
    ]);
  });

  test("escapePointer() escapes tildes first", () => {
    expect(escapePointer("~1/~0")).toBe("~01~1~00");
  });

  test("withMetadata() leaves the original as it is", () => {
    const before = service({ a: "1", b: "2" });
    expect(withMetadata(before, { a: undefined, c: "3" }, { l: "1" }).metadata).toMatchObject({
      annotations: { b: "2", c: "3" },
      labels: { l: "1" },
    });
    expect(before).toEqual(service({ a: "1", b: "2" }));
  });
});

describe("exceedsAnnotationLimit()", () => {
  const LIMIT_BYTES = 256 * 1024;
  const SIZES: readonly (readonly [name: string, value: string, changes: Changes, exceeds: boolean])[] = [
    ["exactly at the limit", "x".repeat(LIMIT_BYTES - 1), {}, false],
    ["one byte above", "x".repeat(LIMIT_BYTES), {}, true],
    ["two bytes a letter", "é".repeat(LIMIT_BYTES / 2), {}, true],
    ["three bytes a letter", "€".repeat(LIMIT_BYTES / 3), {}, false],
    ["four bytes a letter", "😀".repeat(LIMIT_BYTES / 4), {}, true],
    ["what is removed does not count", "x".repeat(LIMIT_BYTES), { a: undefined }, false],
    ["nor does its key", "x".repeat(LIMIT_BYTES - 1), { bb: undefined }, false],
    ["what is added counts with its key", "x".repeat(LIMIT_BYTES - 3), { bb: "1" }, true],
  ];

  test.each(SIZES)("%s", (_, ...[value, changes, expected]) => {
    expect(exceedsAnnotationLimit(service({ a: value }), changes)).toBe(expected);
  });
});

describe("modeOf()", () => {
  test.each(["enforce", "warn", "audit"] as const)("the label says %s", (mode) => {
    expect(modeOf("iam", worldOf([namespace(mode)]))).toEqual({ mode, findings: [] });
  });

  test("no label: not opted in, whatever the default for unknown namespaces", () => {
    expect(modeOf("iam", worldOf([namespace(undefined)])).mode).toBeUndefined();
  });

  test.each(["", "Enforce", "enforce ", "off", "constructor", "__proto__"])(
    "the label %j enforces, and says so",
    (mode) => {
      const { mode: applied, findings } = modeOf("iam", worldOf([namespace(mode)]));
      expect(applied).toBe("enforce");
      expect(findings.map((item) => item.code)).toEqual(["FL602"]);
      expect(findings[0]?.message).toContain("wanted enforce, warn or audit");
    },
  );

  test("an unknown namespace has the default mode, or none", () => {
    expect(modeOf("iam", worldOf([], { unknownNamespaceMode: "audit" })).mode).toBe("audit");
    expect(modeOf("iam", worldOf([], { unknownNamespaceMode: undefined })).mode).toBeUndefined();
  });

  test("an excluded namespace has none, labelled or not", () => {
    const excludedNamespaces = new Set(["iam"]);
    expect(modeOf("iam", worldOf([namespace("enforce")], { excludedNamespaces })).mode).toBeUndefined();
  });
});
