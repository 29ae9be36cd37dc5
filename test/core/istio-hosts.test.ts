import { describe, expect, test } from "vitest";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { ANY_HOST, hostKeys, mentionOf } from "../../src/core/mesh/istio/hosts.ts";
import type { Change } from "../../src/k8s/change.ts";
import { companionHandler, CompanionIndex } from "../../src/k8s/companion-index.ts";
import {
  type CompanionKind,
  DESTINATION_RULE,
  ISTIO_AUTHORIZATION_POLICY,
  VIRTUAL_SERVICE,
} from "../../src/core/names.ts";
import { namespace, policy, service, validate, worldOf } from "./worlds.ts";

const HOST = "user-service.iam.svc.cluster.local";

function rule(host: string, namespace = "iam", more: object = { trafficPolicy: {} }): KubernetesObject {
  const metadata = { namespace, name: "mine" };
  return { apiVersion: "networking.istio.io/v1", kind: "DestinationRule", metadata, spec: { host, ...more } };
}

function virtual(hosts: readonly string[], namespace = "iam", more: object = {}): KubernetesObject {
  const metadata = { namespace, name: "mine" };
  return { apiVersion: "networking.istio.io/v1", kind: "VirtualService", metadata, spec: { hosts, ...more } };
}

interface Found {
  readonly keys: readonly string[];
  /** How it speaks of HOST. */
  readonly mention?: ReturnType<typeof mentionOf>;
}

test.each<readonly [string, KubernetesObject, Found]>([
  [
    "a short name, in the namespace of the object",
    rule("user-service"),
    { keys: ["user-service.iam.svc"], mention: "name" },
  ],
  ["a short name elsewhere is another host", rule("user-service", "web"), { keys: ["user-service.web.svc"] }],
  ["the whole name", rule(HOST, "web"), { keys: ["user-service.iam.svc"], mention: "name" }],
  ["a name with a dot is not completed", rule("user-service.iam"), { keys: [] }],
  ["a pattern that fits", rule("*.iam.svc.cluster.local"), { keys: [ANY_HOST], mention: "pattern" }],
  ["a pattern that does not", rule("*.example.com"), { keys: [ANY_HOST] }],
  ["another domain", rule("user-service.iam.svc.other"), { keys: ["user-service.iam.svc"] }],
  ["a host outside the cluster", rule("example.com"), { keys: [] }],
  [
    "several hosts",
    virtual(["cart", "user-service", "cart"]),
    { keys: ["cart.iam.svc", "user-service.iam.svc"], mention: "name" },
  ],
  ["no hosts at all", { kind: "VirtualService", spec: 7 }, { keys: [] }],
])("hosts: %s", (_what, object, { keys, mention }) => {
  expect(hostKeys(object)).toEqual(keys);
  expect(mentionOf(HOST, object)).toBe(mention);
});

describe("objects of people beside those of a policy", () => {
  const spec = { circuitBreaker: {}, retry: { maxAttempts: 0 } };

  test.each<readonly [string, KubernetesObject, readonly string[]]>([
    ["a DestinationRule with a trafficPolicy", rule("user-service"), ["FL320 spec.circuitBreaker"]],
    ["one with subsets only", rule("user-service", "iam", { subsets: [] }), []],
    ["one of clients", rule(HOST, "web"), ["FL322 spec.circuitBreaker"]],
    ["one of clients with subsets only", rule(HOST, "web", { subsets: [] }), ["FL322 spec.circuitBreaker"]],
    ["one for the whole mesh with subsets only", rule(HOST, "istio-system", { subsets: [] }), []],
    ["one for the whole mesh", rule("*.local", "istio-system"), ["FL322 spec.circuitBreaker"]],
    ["a pattern beside the Service", rule("*.iam.svc.cluster.local"), ["FL322 spec.circuitBreaker"]],
    ["a VirtualService", virtual(["user-service"]), ["FL320 spec.retry"]],
    ["one of another namespace", virtual([HOST], "web"), ["FL320 spec.retry"]],
    ["one that another namespace keeps to itself", virtual([HOST], "web", { exportTo: ["."] }), ["FL322 spec.retry"]],
    ["one for some namespaces", virtual([HOST], "web", { exportTo: [".", "app"] }), ["FL322 spec.retry"]],
    ["one for some namespaces and all", virtual([HOST], "web", { exportTo: [".", "*"] }), ["FL320 spec.retry"]],
    ["one that nobody sees", virtual([HOST], "web", { exportTo: ["~"] }), []],
    ["one of a gateway", virtual([HOST], "web", { gateways: ["web/public"] }), []],
    ["one of a gateway and the mesh", virtual([HOST], "web", { gateways: ["public", "mesh"] }), ["FL320 spec.retry"]],
    ["one that is going", { ...virtual([HOST]), metadata: { namespace: "iam", deletionTimestamp: "x" } }, []],
  ])("%s", (_what, object, wanted) => {
    const made = policy(spec);
    const world = worldOf([namespace("enforce", { labels: { "istio-injection": "enabled" } }), service(), object]);
    const { findings, allowed } = validate(world, made);
    expect(findings.map(({ code, path }) => `${code} ${path}`)).toEqual(wanted);
    expect(allowed).toBe(!wanted.some((text) => text.startsWith("FL320")));
  });
});

describe("CompanionIndex", () => {
  const ours = {
    ...rule("user-service"),
    metadata: {
      namespace: "iam",
      name: "fairlead-user-service",
      labels: { "app.kubernetes.io/managed-by": "fairlead", "fairlead.dev/policy-uid": "u-1" },
      ownerReferences: ["u-1", "u-2"].map((uid) => ({ apiVersion: "x", kind: "ResiliencePolicy", name: uid, uid })),
    },
  };

  test("finds objects by host and by namespace, and keeps of people's what decides", () => {
    const objects = new CompanionIndex();
    const theirs = rule("user-service", "iam", { trafficPolicy: { tls: {} }, subsets: [1] });
    for (const object of [ours, theirs, rule("*.local", "istio-system")]) objects.set(DESTINATION_RULE, object);
    expect(objects.for("user-service", "iam")).toHaveLength(3);
    expect(objects.for("cart", "iam")).toHaveLength(1);
    expect(objects.in("iam").map(({ spec }) => spec)).toEqual([ours.spec, { host: "user-service", trafficPolicy: {} }]);
    objects.set(DESTINATION_RULE, rule("cart", "iam"));
    expect(objects.for("user-service", "iam")).toHaveLength(2);
    objects.delete(DESTINATION_RULE, "iam", "mine");
    objects.delete(DESTINATION_RULE, "iam", "never-there");
    expect(objects.for("cart", "iam")).toHaveLength(1);
  });

  test("tells the owners of ours, and the namespaces whose Services people's speak of, before and after", () => {
    const changes: Change[] = [];
    const handler = companionHandler(DESTINATION_RULE, new CompanionIndex(), {
      emit: (change) => changes.push(change),
      optedIn: () => ["iam", "shop", "web"],
      clusterDomain: "cluster.local",
    });
    handler.set(ours);
    expect(changes.splice(0)).toEqual(
      ["u-1", "u-2"].map((policyUid) => ({ type: "owned", namespace: "iam", policyUid })),
    );
    handler.delete("iam", "fairlead-user-service");
    expect(changes.splice(0)).toHaveLength(2);
    handler.set(rule(HOST, "web"));
    handler.set(rule("cart.shop.svc.cluster.local", "web"));
    expect(changes).toEqual([
      { type: "hostObject", namespace: "iam" },
      { type: "hostObject", namespace: "iam" },
      { type: "hostObject", namespace: "shop" },
    ]);
  });

  /** What is told when it comes; the same when it goes. */
  function toldOf(kind: CompanionKind, written: KubernetesObject): readonly string[] {
    const told: string[] = [];
    const handler = companionHandler(kind, new CompanionIndex(), {
      emit: ({ type, namespace: of }) => told.push(`${type} ${of}`),
      optedIn: () => ["iam", "shop"],
      clusterDomain: "cluster.local",
    });
    handler.set(written);
    const first = told.splice(0);
    handler.delete(written.metadata?.namespace ?? "", written.metadata?.name ?? "");
    expect(told).toEqual(first);
    return first;
  }

  test("tells every namespace that has opted in of what acts in all of them from Istio's root namespace", () => {
    const nothing = (of: string) => ({ kind: "AuthorizationPolicy", metadata: { namespace: of, name: "nothing" } });
    const everyone = ["istio-system", "iam", "shop"].map((of) => `hostObject ${of}`);
    expect(toldOf(ISTIO_AUTHORIZATION_POLICY, nothing("istio-system"))).toEqual(everyone);
    expect(toldOf(ISTIO_AUTHORIZATION_POLICY, nothing("iam"))).toEqual(["hostObject iam"]);
    expect(toldOf(DESTINATION_RULE, rule("*.local", "istio-system"))).toEqual(everyone);
    expect(toldOf(DESTINATION_RULE, rule(HOST, "istio-system"))).toEqual(["hostObject iam"]);
  });

  test.each<readonly [string, readonly string[]]>([
    ["*", ["iam", "shop"]],
    ["*.svc.cluster.local", ["iam", "shop"]],
    ["*.shop.svc.cluster.local", ["shop"]],
    ["*-api.iam.svc.cluster.local", ["iam"]],
    ["*.workshop.svc.cluster.local", []],
    ["*.shop.svc.other", []],
    ["*.example.com", []],
  ])(
    "tells of %s, wherever it stands, the namespaces that have opted in and have hosts that it may fit",
    (host, of) => {
      const told = ["web", ...of].map((name) => `hostObject ${name}`);
      expect(toldOf(DESTINATION_RULE, rule(host, "web"))).toEqual(told);
      expect(toldOf(VIRTUAL_SERVICE, virtual(["cart", host], "web", { gateways: ["public", "mesh"] }))).toEqual(told);
      expect(toldOf(VIRTUAL_SERVICE, virtual([host], "web", { gateways: ["public"] }))).toEqual(["hostObject web"]);
    },
  );
});
