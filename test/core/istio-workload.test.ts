import { describe, expect, test } from "vitest";
import { companionsOf } from "../../src/core/companions/wanted.ts";
import { resolvePrecedence } from "../../src/core/intent/precedence.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { ENVOY_FILTER, ISTIO_AUTHORIZATION_POLICY, PEER_AUTHENTICATION } from "../../src/core/names.ts";
import { CompanionIndex } from "../../src/k8s/companion-index.ts";
import { keyOf, namespace, policy, validate, worldOf } from "./worlds.ts";

const ISTIO = namespace("enforce", { labels: { "istio-injection": "enabled" } });
const OWN = { app: "user-service" };
const EVERYTHING = {
  rateLimit: { requestsPerSecond: 10 },
  mtls: { mode: "Strict" },
  authorization: { allow: [{ from: { namespaces: ["front"] } }] },
};

function service(spec: object = {}, name = "user-service"): KubernetesObject {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "iam" },
    spec: { selector: OWN, ports: [{ name: "http", port: 80, targetPort: 8080 }], ...spec },
  };
}

type Labels = Readonly<Record<string, string>>;
const selecting = (matchLabels?: Labels) => (matchLabels === undefined ? {} : { selector: { matchLabels } });

function people(kind: "PeerAuthentication" | "AuthorizationPolicy", spec: object, metadata: object = {}) {
  return {
    apiVersion: "security.istio.io/v1",
    kind,
    metadata: { name: "mine", namespace: "iam", creationTimestamp: "2025-01-01T00:00:00Z", ...metadata },
    spec,
  };
}

const strict = (labels?: Labels, metadata?: object) =>
  people("PeerAuthentication", { ...selecting(labels), mtls: { mode: "STRICT" } }, metadata);
const allow = (labels?: Labels, more: object = {}, metadata?: object) =>
  people("AuthorizationPolicy", { ...selecting(labels), rules: [{}], ...more }, metadata);

function envoyFilter(filter: string, labels?: Labels, more: object = {}): KubernetesObject {
  return {
    apiVersion: "networking.istio.io/v1alpha3",
    kind: "EnvoyFilter",
    metadata: { name: "mine", namespace: "iam" },
    spec: {
      ...(labels && { workloadSelector: { labels } }),
      ...more,
      configPatches: [{ applyTo: "HTTP_FILTER", patch: { value: { name: filter } } }],
    },
  };
}

const NEXT = { ...OWN, version: "next" };
const ROOT = { namespace: "istio-system" };

describe("objects of people for the same Pods", () => {
  test.each<readonly [string, KubernetesObject, readonly string[]]>([
    ["a PeerAuthentication for the same Pods", strict(OWN), ["FL320 spec.mtls"]],
    ["one for some of them", strict(NEXT), ["FL320 spec.mtls"]],
    ["one that may be for them", strict({ tier: "front" }), ["FL322 spec.mtls"]],
    ["one for others", strict({ app: "cart" }), []],
    ["one for the namespace, which ours goes before", strict(), []],
    ["one for the mesh", strict(undefined, ROOT), []],
    ["one of the root namespace with a selector, which Istio does not read", strict(OWN, ROOT), []],
    ["one that is going", strict(OWN, { deletionTimestamp: "x" }), []],
    ["an ALLOW for the same Pods", allow(OWN), ["FL327 spec.authorization"]],
    ["one for the namespace", allow(), ["FL327 spec.authorization"]],
    ["one for the mesh", allow(undefined, {}, ROOT), ["FL327 spec.authorization"]],
    ["one for some of the Pods, beside which ours would open ports", allow(NEXT), ["FL320 spec.authorization"]],
    ["one that may be for some of them", allow({ tier: "front" }), ["FL320 spec.authorization"]],
    ["one for others", allow({ app: "cart" }), []],
    ["one that is tried out", allow(NEXT, {}, { annotations: { "istio.io/dry-run": "true" } }), []],
    [
      "one that is tried out no longer",
      allow(NEXT, {}, { annotations: { "istio.io/dry-run": "false" } }),
      ["FL320 spec.authorization"],
    ],
    ["a DENY", allow(OWN, { action: "DENY" }), []],
    ["one for a waypoint", allow(undefined, { targetRefs: [{ kind: "Service", name: "user-service" }] }), []],
    ["an EnvoyFilter that limits rates", envoyFilter("envoy.filters.http.local_ratelimit"), ["FL322 spec.rateLimit"]],
    ["one that does something else", envoyFilter("envoy.filters.http.lua", OWN), []],
    ["one for others", envoyFilter("envoy.filters.http.local_ratelimit", { app: "cart" }), []],
    [
      "one for a gateway",
      envoyFilter("envoy.filters.http.local_ratelimit", undefined, { targetRefs: [{ kind: "Gateway", name: "g" }] }),
      [],
    ],
  ])("%s", (_what, object, wanted) => {
    const { findings, allowed } = validate(worldOf([ISTIO, service(), object]), policy(EVERYTHING));
    expect(findings.map(({ code, path }) => `${code} ${path}`)).toEqual(wanted);
    expect(allowed).toBe(!wanted.some((text) => text.startsWith("FL320")));
  });
});

/** What Fairlead wants beside a Service, as `kind name`, and the codes of what is said about it. */
function wantedBeside(name: string, objects: readonly KubernetesObject[]) {
  const world = worldOf(objects);
  const object = objects.find(({ kind, metadata }) => kind === "Service" && metadata?.name === name) ?? {};
  const key = keyOf(object);
  const made = companionsOf({ key, object }, resolvePrecedence(world.policiesIn("iam"), key, object), world);
  return {
    objects: made.wanted.map((it) => it.object),
    names: made.wanted.map((it) => `${it.kind.kind} ${it.object.metadata?.name}`),
    codes: made.findings.map(({ finding: { code } }) => code),
    messages: made.findings.map(({ finding: { code, message } }) => `${code} ${message}`),
    unwritten: [...made.unwritten],
  };
}

describe("two Services for the same Pods", () => {
  const both = policy(
    { ...EVERYTHING, targetRefs: ["user-service", "admin"].map((name) => ({ kind: "Service", name })) },
    { uid: "u-1" },
  );
  const admin = service({ ports: [{ name: "http", port: 9090 }] }, "admin");
  const objects = [ISTIO, service(), admin, both];
  const at = (list: readonly KubernetesObject[], creationTimestamp: string) =>
    list.map((it) => ({ ...it, metadata: { ...it.metadata, creationTimestamp } }));

  test("each lets in what is for the ports of the other one, so only the older one is left", () => {
    const ofAdmin = at(wantedBeside("admin", objects).objects, "2026-01-01T00:00:00Z");
    const ofService = at(wantedBeside("user-service", objects).objects, "2026-01-02T00:00:00Z");
    const live = [...objects, ...ofAdmin, ...ofService];
    expect(wantedBeside("admin", live)).toMatchObject({ codes: [], unwritten: [] });
    expect(wantedBeside("user-service", live)).toMatchObject({
      names: ["EnvoyFilter fairlead-user-service"],
      codes: ["FL320", "FL320"],
    });
  });

  test("of the same age the one with the first name stays", () => {
    const same = ["admin", "user-service"].flatMap((name) =>
      at(wantedBeside(name, objects).objects, "2026-01-01T00:00:00Z"),
    );
    expect(wantedBeside("user-service", [...objects, ...same]).codes).toEqual(["FL320", "FL320"]);
    expect(wantedBeside("admin", [...objects, ...same]).names).toHaveLength(3);
  });
});

test("what was there first stays when people add an object later", () => {
  const objects = [ISTIO, service(), policy(EVERYTHING, { uid: "u-1" })];
  const live = wantedBeside("user-service", objects).objects.map((it) => ({
    ...it,
    metadata: { ...it.metadata, creationTimestamp: "2024-01-01T00:00:00Z" },
  }));
  const found = wantedBeside("user-service", [...objects, ...live, allow(NEXT), strict(OWN)]);
  expect(found.names).toHaveLength(3);
  expect(found.messages).toEqual([
    "FL327 AuthorizationPolicy iam/mine lets in those that it lists, beside those of the policy, which lets everything in on other ports than 8080",
  ]);
});

test.each([
  ["some of the Pods", NEXT, "lets"],
  ["perhaps some of them", { tier: "front" }, "may let"],
])("where another ALLOW has closed all ports, ours opens none, and one for %s may stay", (_which, labels, lets) => {
  const nobody = allow(undefined, {}, { name: "nobody" });
  const { findings } = validate(worldOf([ISTIO, service(), allow(labels), nobody]), policy(EVERYTHING));
  expect(findings.map(({ code, message }) => `${code} ${message}`)).toEqual([
    `FL327 AuthorizationPolicy iam/mine ${lets} in those that it lists, beside those of the policy`,
    "FL327 AuthorizationPolicy iam/nobody lets in those that it lists, beside those of the policy",
  ]);
});

test("an ALLOW of people closes other ports already, and one that they try out does not", () => {
  const portsLeftOpen = (annotations: object) => {
    const objects = [ISTIO, service(), policy(EVERYTHING, { uid: "u-1" }), allow(OWN, {}, { annotations })];
    return JSON.stringify(wantedBeside("user-service", objects).objects).includes('"notPorts":["8080"]');
  };
  expect(portsLeftOpen({})).toBe(false);
  expect(portsLeftOpen({ "istio.io/dry-run": "true" })).toBe(true);
});

test("ports are those of the Pods, once each; others than TCP have none of it", () => {
  const ports = [
    { name: "http", port: 80, targetPort: 8080 },
    { name: "http-again", port: 81, targetPort: 8080 },
    { name: "grpc", port: 7070, targetPort: 0 },
    { name: "dns", port: 53, protocol: "UDP", targetPort: "dns" },
  ];
  const objects = [ISTIO, service({ ports }), policy({ mtls: { mode: "Permissive" } }, { uid: "u-1" })];
  const [made] = wantedBeside("user-service", objects).objects;
  expect(made?.spec).toMatchObject({
    portLevelMtls: { "7070": { mode: "PERMISSIVE" }, "8080": { mode: "PERMISSIVE" } },
  });
});

test.each([
  ["a path", { deny: [{ to: { methods: ["PUT"] } }, { to: { paths: [{ value: "/admin" }] } }] }, 1],
  ["the root alone", { deny: [{ to: { paths: [{ type: "Exact", value: "/" }] } }] }, 0],
  ["every path", { deny: [{ to: { paths: [{ value: "/" }] } }] }, undefined],
  ["no path", { deny: [{ to: { methods: ["PUT"] } }] }, undefined],
  ["nothing", { allow: [{ to: { paths: [{ value: "/admin" }] } }] }, undefined],
])("a path that is written otherwise gets around a deny, which is told: %s denied", (_what, authorization, index) => {
  const { findings, allowed } = validate(worldOf([ISTIO, service()]), policy({ authorization }));
  expect(allowed).toBe(true);
  expect(findings.map(({ code, path }) => `${code} ${path}`)).toEqual(
    index === undefined ? [] : [`FL311 spec.authorization.deny[${index}].to.paths`],
  );
});

test("the index keeps of people's objects which Pods they are for, since when, and whether they do anything", () => {
  const index = new CompanionIndex();
  const annotations = { "istio.io/dry-run": "true", note: "mine" };
  index.set(PEER_AUTHENTICATION, strict(OWN));
  index.set(ISTIO_AUTHORIZATION_POLICY, allow(OWN, { action: "ALLOW" }, { annotations }));
  index.set(ENVOY_FILTER, envoyFilter("envoy.filters.http.local_ratelimit", OWN));
  const kinds = [PEER_AUTHENTICATION, ISTIO_AUTHORIZATION_POLICY, ENVOY_FILTER];
  const kept = kinds.flatMap((kind) => index.of(kind, "iam"));
  expect(kept.map(({ metadata }) => metadata?.annotations)).toContainEqual({ "istio.io/dry-run": "true" });
  expect(kept.map(({ spec, metadata }) => [spec, metadata?.creationTimestamp])).toEqual([
    [{ selector: { matchLabels: OWN } }, "2025-01-01T00:00:00Z"],
    [{ selector: { matchLabels: OWN }, action: "ALLOW" }, "2025-01-01T00:00:00Z"],
    [{ workloadSelector: { labels: OWN }, configPatches: ["local_ratelimit"] }, undefined],
  ]);
});
