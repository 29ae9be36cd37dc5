import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { evalExpression } from "../../src/cli/eval.ts";

const directory = mkdtempSync(join(tmpdir(), "fairlead-eval-"));
afterAll(() => rmSync(directory, { recursive: true }));

const SERVICE = `
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web}}
spec: {ports: [{name: http, port: 80}, {name: admin, port: 9000}]}
`;
writeFileSync(join(directory, "service.yaml"), SERVICE);
writeFileSync(join(directory, "two.yaml"), `${SERVICE}---${SERVICE}`);
writeFileSync(
  join(directory, "unknown.yaml"),
  "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\nspec: {size: 3}\n",
);
writeFileSync(
  join(directory, "large.yaml"),
  "apiVersion: example.com/v1\nkind: Thing\nspec: {size: 9007199254740993, over: 100000000000000000000}\n",
);

interface Printed {
  readonly ok: boolean;
  readonly [key: string]: unknown;
}

function json(expression: string, filename?: string): Printed {
  const flags = { expression, output: "json", ...(filename !== undefined && { filename }) } as const;
  const { ok, text } = evalExpression(flags, directory);
  return { ok, ...(JSON.parse(text) as Record<string, unknown>) };
}

describe("fairlead eval", () => {
  test.each([
    ["1 + 2", "int", 3],
    ["7 / 2", "int", 3],
    ["7.0 / 2.0", "double", 3.5],
    ["9007199254740993", "int", "9007199254740993"],
    ["18446744073709551615u", "uint", "18446744073709551615"],
    ["b'\\x00\\xff'", "bytes", "AP8="],
    ["duration('90s')", "duration", "90s"],
    ["timestamp('2026-01-02T03:04:05Z')", "timestamp", "2026-01-02T03:04:05Z"],
    ["{'a': [1, 2]}", "map(string, list(int))", { a: [1, 2] }],
    ["optional.none()", "optional_type(dyn)", null],
    ["ip('10.0.0.1')", "net.IP", "10.0.0.1"],
    ["null", "null", null],
  ])("%s is of type %s", (expression, type, value) => {
    expect(json(expression)).toMatchObject({ ok: true, type, value, error: null });
  });

  test("an object of a known kind is typed, and what it costs is told", () => {
    const all = "object.spec.ports.all(p, p.port < 1024)";
    expect(json(all, "service.yaml")).toEqual({ ok: true, type: "bool", value: false, cost: 18, error: null });
    expect(json("object.spec.prots.size()", "service.yaml")).toEqual({
      ok: false,
      type: null,
      value: null,
      cost: null,
      error: "ERROR: <input>:1:12: undefined field 'prots'\n | object.spec.prots.size()\n | ...........^",
    });
  });

  test("an integer of the file that a number cannot hold is exact", () => {
    expect(json("object.spec.size == 9007199254740993", "large.yaml")).toMatchObject({ ok: true, value: true });
    expect(json("object.spec.size - 1", "large.yaml")).toMatchObject({ type: "int", value: "9007199254740992" });
    expect(json("object.spec.over", "large.yaml")).toMatchObject({ type: "double", value: 1e20 });
  });

  test("an object of another kind is dyn", () => {
    expect(json("object.spec.size + 1", "unknown.yaml")).toMatchObject({ ok: true, type: "int", value: 4 });
    expect(json("object.spec.sise", "unknown.yaml")).toMatchObject({ ok: false, error: "no such key: sise" });
  });

  test("an expression that never ends is cut off, as in Kubernetes", () => {
    const list = `[${"0,".repeat(99)}0]`;
    const loops = `${list}.all(a, ${list}.all(b, ${list}.all(c, ${list}.all(d, a + b + c + d == 0))))`;
    const { ok, error } = json(loops);
    expect({ ok, error }).toEqual({ ok: false, error: "operation cancelled: actual cost limit exceeded" });
  });

  test("as text: the value, then its type and cost", () => {
    const flags = { expression: "object.metadata.name", filename: "service.yaml", output: "text" } as const;
    expect(evalExpression(flags, directory)).toEqual({ ok: true, text: '"web"\nstring, cost 3\n' });
  });

  test("takes one object, no more", () => {
    expect(() => json("object", "two.yaml")).toThrow(
      "Found 2 objects in two.yaml, wanted one: it is bound to the name object",
    );
  });
});
