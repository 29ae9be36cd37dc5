import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { readInput } from "../../src/cli/input.ts";
import { segmentsOf } from "../../src/cli/place.ts";

const directory = mkdtempSync(join(tmpdir(), "fairlead-place-"));
afterAll(() => rmSync(directory, { recursive: true }));

test.each([
  ["", []],
  ["spec.retry.timeout", ["spec", "retry", "timeout"]],
  ["spec.ports[10].name", ["spec", "ports", 10, "name"]],
  ['metadata.annotations["retry.linkerd.io/http"]', ["metadata", "annotations", "retry.linkerd.io/http"]],
  ['metadata.labels["a\\"].b[0]"]', ["metadata", "labels", 'a"].b[0]']],
])("%s is read as its segments", (path, segments) => {
  expect(segmentsOf(path)).toEqual(segments);
});

describe("the line of a field", () => {
  function lines(text: string, paths: readonly string[], object = 0): readonly (number | undefined)[] {
    writeFileSync(join(directory, "f.yaml"), text);
    const input = readInput({ filenames: ["f.yaml"], recursive: false, baseDirectory: directory });
    return paths.map((path) => input[object]?.lineOf(path));
  }

  const SERVICE = `# a comment
apiVersion: v1
kind: Service
metadata:
  name: web
  annotations: {a: b,
    "retry.linkerd.io/http": 5xx}
spec:
  ports:
  - name: http
    port: 80
  -
    port: 81
`;

  test("is that of its key, or of the item of a list", () => {
    const paths = ["", "spec", "spec.ports[0]", "spec.ports[0].port", "spec.ports[1].port"];
    expect(lines(SERVICE, paths)).toEqual([2, 8, 10, 11, 13]);
    expect(lines(SERVICE, ['metadata.annotations["retry.linkerd.io/http"]'])).toEqual([7]);
  });

  test("is that of the nearest field around it where it is missing", () => {
    const paths = ["status.x", "spec.type", "spec.ports[7].name", "spec.ports[1].name", "metadata.name.first"];
    expect(lines(SERVICE, paths)).toEqual([2, 8, 9, 13, 5]);
  });

  test("is found in a later document, in the items of a List, and behind an alias", () => {
    const list = `---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: a}
  spec: &spec
    type: LoadBalancer
- apiVersion: v1
  kind: Service
  metadata: {name: b}
  spec: *spec
`;
    expect(lines(list, ["", "spec.type"], 1)).toEqual([10, 9]);
    expect(lines(`${SERVICE}${list}`, ["", "spec.type"], 1)).toEqual([18, 22]);
  });

  test("is found in JSON", () => {
    expect(lines('{"apiVersion": "v1",\n"kind": "Service",\n"spec": {\n"type": "x"}}', ["spec.type"])).toEqual([4]);
  });
});
