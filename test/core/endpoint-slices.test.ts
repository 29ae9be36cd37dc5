import { expect, test } from "vitest";
import { podPortsIn, podPortsText, sliceFacts } from "../../src/core/endpoint-slices.ts";

const OF_PODS = "endpointslice-controller.k8s.io";

function slice(ports: readonly object[], managedBy = OF_PODS, endpoints: readonly object[] = [{}]) {
  const labels = { "kubernetes.io/service-name": "web", "endpointslice.kubernetes.io/managed-by": managedBy };
  const object = { metadata: { labels }, ports, endpoints };
  return sliceFacts(object);
}

const HTTP = { name: "http", port: 8080 };
const ADMIN = { name: "admin", port: 9090 };

test.each([
  ["a second slice with the same numbers", [slice([ADMIN, HTTP]), slice([HTTP])], [slice([HTTP, ADMIN])]],
  ["one that is empty", [slice([HTTP]), slice([], OF_PODS, [])], [slice([HTTP])]],
  ["only one that is empty", [slice([], OF_PODS, [])], []],
  ["one of another controller", [slice([HTTP]), slice([ADMIN], "mesh.example")], [slice([HTTP])]],
  ["one without a number that Pods can listen on", [slice([HTTP, { name: "admin", port: 0 }])], [slice([HTTP])]],
])("of ports it says nothing else: %s", (_what, a, b) => {
  expect(podPortsText(a)).toBe(podPortsText(b));
});

test("a number more, another name, and Pods without the port are something else", () => {
  const states = [[], [slice([])], [slice([HTTP])], [slice([HTTP]), slice([ADMIN])], [slice([{ ...HTTP, name: "" }])]];
  expect(new Set(states.map(podPortsText)).size).toBe(states.length);
});

test("that no Pod is known is not that none has the port", () => {
  expect(podPortsIn([slice([], OF_PODS, []), slice([HTTP], "mesh.example")], "http")).toBeUndefined();
  expect(podPortsIn([slice([ADMIN])], "http")).toEqual([]);
});
