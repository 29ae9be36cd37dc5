import { describe, expect, test } from "vitest";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { generatedRoutes } from "../../src/core/routes/generate.ts";
import { namespace, policy, service, validate, worldOf } from "./worlds.ts";

const TARGET = { targetRefs: [{ kind: "Service", name: "user-service" }] };
const BACKENDS = [
  { name: "user-service", weight: 80 },
  { name: "user-next", weight: 20 },
];
const READS = { name: "reads", matches: [{ method: "GET" }], timeout: { request: "2s" } };

function named(name: string, spec: object): KubernetesObject {
  return policy({ ...TARGET, ...spec }, { name, uid: `uid-${name}` });
}

/** The backends of each route that the policies generate, as `service:port=weight`, by the name of the route. */
function routesOf(policies: readonly KubernetesObject[], target = service()): Readonly<Record<string, string>> {
  const world = worldOf([namespace("enforce"), target, ...policies]);
  const desired = world.policiesIn("iam").flatMap((it) => generatedRoutes(it, world).desired);
  return Object.fromEntries(
    desired.map(({ object }) => {
      const { rules } = object.spec as { readonly rules: readonly { readonly backendRefs: readonly Reference[] }[] };
      const backends = rules[0]?.backendRefs ?? [];
      for (const { group, kind, namespace: found } of backends)
        expect([group, kind, found]).toEqual(["", "Service", "iam"]);
      return [object.metadata?.name, backends.map(({ name, port, weight }) => `${name}:${port}=${weight}`).join(" ")];
    }),
  );
}

interface Reference {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  readonly weight?: number;
}

describe("generatedRoutes() of a split", () => {
  test("is one route for everything where nothing else tells requests apart", () => {
    expect(routesOf([named("p", { trafficSplit: { backends: BACKENDS } })])).toEqual({
      "p-user-service-fairlead-rest": "user-next:8080=20 user-service:8080=80",
    });
  });

  test("leads to the port that the request is for, unless the backend names another", () => {
    const target = { ...service(), spec: { ports: [{ port: 80 }, { port: 8080 }] } };
    const backends = [
      { name: "user-service", weight: 1 },
      { name: "user-next", weight: 0, port: 9090 },
    ];
    expect(routesOf([named("p", { trafficSplit: { backends } })], target)).toEqual({
      "p-user-service-fairlead-rest-80": "user-next:9090=0 user-service:80=1",
      "p-user-service-fairlead-rest-8080": "user-next:9090=0 user-service:8080=1",
    });
  });

  test("with matches is one route more beside the entries; without it divides every entry", () => {
    const canary = { backends: BACKENDS, matches: [{ headers: [{ name: "x-canary", value: "1" }] }] };
    const own = "user-service:8080=undefined";
    const divided = "user-next:8080=20 user-service:8080=80";
    expect(routesOf([named("p", { routes: [READS], trafficSplit: canary })])).toEqual({
      "p-user-service-fairlead-rest": own,
      "p-user-service-fairlead.split": divided,
      "p-user-service-reads": own,
    });
    expect(routesOf([named("p", { routes: [READS], trafficSplit: { backends: BACKENDS } })])).toEqual({
      "p-user-service-fairlead-rest": divided,
      "p-user-service-reads": divided,
    });
  });

  test("of another policy than the entries is in the routes of theirs, and takes its own back", () => {
    const split = named("a", { trafficSplit: { backends: BACKENDS } });
    expect(Object.keys(routesOf([split]))).toEqual(["a-user-service-fairlead-rest"]);
    expect(routesOf([split, named("b", { routes: [READS] })])).toEqual({
      "b-user-service-fairlead-rest": "user-next:8080=20 user-service:8080=80",
      "b-user-service-reads": "user-next:8080=20 user-service:8080=80",
    });
  });
});

describe("a backend that is not there", () => {
  const next = { ...service(), metadata: { name: "user-next", namespace: "iam" }, spec: { ports: [{ port: 9090 }] } };
  const codes = (backend: object, objects: readonly KubernetesObject[]) => {
    const object = named("p", { circuitBreaker: {}, trafficSplit: { backends: [backend] } });
    return validate(worldOf([namespace("enforce"), service(), ...objects, object]), object).findings.map(
      ({ code, path, message }) => `${code} ${path} ${message}`,
    );
  };
  const at = "FL323 spec.trafficSplit.backends[name=user-next]";
  const told = (what: string): readonly string[] => [
    `${at} Service user-next ${what}, so its share of the requests fails`,
  ];

  test("is told", () => {
    expect(codes({ name: "user-next", weight: 1 }, [])).toEqual(told("does not exist yet"));
  });

  test("is told where it lacks the port that is asked for, or the one that is named", () => {
    expect(codes({ name: "user-next", weight: 1 }, [next])).toEqual(told("has no port 8080"));
    expect(codes({ name: "user-next", weight: 1, port: 80 }, [next])).toEqual(told("has no port 80"));
    expect(codes({ name: "user-next", weight: 1, port: 9090 }, [next])).toEqual([]);
  });
});
