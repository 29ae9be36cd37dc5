import { describe, expect, test } from "vitest";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { ENVOY_FILTER, ISTIO_AUTHORIZATION_POLICY, PEER_AUTHENTICATION } from "../../src/core/names.ts";
import type { Change } from "../../src/k8s/change.ts";
import { companionHandler, CompanionIndex } from "../../src/k8s/companion-index.ts";
import { wantedBeside } from "./wanted-beside.ts";
import { namespace, policy, validate, worldOf } from "./worlds.ts";

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

type Written = ReturnType<typeof wantedBeside>;

/** The ports of the Pods that are not left open to all by the ALLOW among these, and the modes of those with one. */
function shut({ objects }: Written) {
  const specs = objects.map(({ spec }) => spec as { rules?: object[]; portLevelMtls?: Record<string, object> });
  return {
    closed: specs.flatMap(({ rules = [] }) => JSON.stringify(rules).match(/"notPorts":\[[^\]]*/g) ?? []).join(),
    modes: specs.flatMap(({ portLevelMtls = {} }) =>
      Object.entries(portLevelMtls).map((entry) => JSON.stringify(entry)),
    ),
  };
}

const since = (list: readonly KubernetesObject[], creationTimestamp: string) =>
  list.map((it) => ({ ...it, metadata: { ...it.metadata, creationTimestamp } }));
const aimedAt = (names: readonly string[], spec: object, name: string) =>
  policy({ ...spec, targetRefs: names.map((it) => ({ kind: "Service", name: it })) }, { name, uid: name });
const byPolicies = (...names: readonly string[]) => names.map((name) => aimedAt([name], EVERYTHING, name));

describe("two Services for the same Pods", () => {
  const admin = (spec: object = {}) => service({ ports: [{ name: "http", port: 9090 }], ...spec }, "admin");
  const policies = byPolicies("user-service", "admin");

  test.each([
    ["of one policy", [aimedAt(["user-service", "admin"], EVERYTHING, "both")]],
    ["of two policies", policies],
  ])("each keeps out of the ports of the other, whichever is older: %s", (_what, deciding) => {
    const objects = [ISTIO, service(), admin(), ...deciding];
    const live = [
      ...since(wantedBeside("admin", objects).objects, "2026-01-01T00:00:00Z"),
      ...since(wantedBeside("user-service", objects).objects, "2026-01-02T00:00:00Z"),
    ];
    for (const name of ["user-service", "admin"]) {
      const found = wantedBeside(name, [...objects, ...live]);
      expect(found).toMatchObject({ codes: [], unwritten: [] });
      expect(shut(found)).toEqual({
        closed: '"notPorts":["8080","9090"',
        modes: ['["8080",{"mode":"STRICT"}]', '["9090",{"mode":"STRICT"}]'],
      });
    }
  });

  test("a Service that is led to guarded Pods later opens none of their ports, though it is older", () => {
    const before = [ISTIO, service(), admin({ selector: { app: "decoy" } }), ...policies];
    const live = [
      ...since(wantedBeside("admin", before).objects, "2026-01-01T00:00:00Z"),
      ...since(wantedBeside("user-service", before).objects, "2026-01-02T00:00:00Z"),
    ];
    const led = [ISTIO, service(), admin(), ...policies, ...live];
    expect(wantedBeside("user-service", led)).toMatchObject({ codes: [], unwritten: [] });
    expect(shut(wantedBeside("admin", led)).closed).toBe('"notPorts":["8080","9090"');
  });

  test("where they have some Pods in common, or perhaps some, the ports are shut on all of them, which is told", () => {
    for (const selector of [NEXT, { tier: "back" }]) {
      const objects = [ISTIO, service(), admin({ selector }), ...policies];
      const { messages, ...found } = wantedBeside("user-service", objects);
      expect(shut({ ...found, messages }).closed).toBe('"notPorts":["8080","9090"');
      expect(messages).toEqual([
        expect.stringMatching(/^FL311 Port 9090, which Service admin leads to and a policy guards/),
      ]);
    }
  });

  test("a policy for both is told so when it is written", () => {
    const world = worldOf([ISTIO, service(), admin({ selector: { tier: "back" } })]);
    const { findings } = validate(world, aimedAt(["user-service", "admin"], EVERYTHING, "both"));
    expect(findings.map(({ code, path }) => `${code} ${path}`)).toEqual([
      "FL311 spec.authorization",
      "FL311 spec.authorization",
    ]);
  });

  test.each([
    ["the same Pods", OWN, "FL320"],
    ["perhaps the same Pods", { tier: "back" }, "FL327"],
  ])("one port of %s is for one policy", (_what, selector, code) => {
    const objects = [ISTIO, service(), admin({ selector, ports: [{ port: 8080 }] }), ...policies];
    const live = since(wantedBeside("admin", objects).objects, "2026-01-02T00:00:00Z");
    const found = wantedBeside("user-service", [...objects, ...live]);
    expect(found.messages.filter((text) => text.includes("on port 8080"))).toEqual([expect.stringContaining(code)]);
    expect(found.names.includes("AuthorizationPolicy fairlead-user-service")).toBe(code === "FL327");
  });

  test("one policy may decide of one port twice", () => {
    const both = aimedAt(["user-service", "admin"], EVERYTHING, "both");
    const objects = [ISTIO, service(), admin({ ports: [{ port: 8080 }] }), both];
    const live = since(wantedBeside("admin", objects).objects, "2026-01-02T00:00:00Z");
    expect(wantedBeside("user-service", [...objects, ...live])).toMatchObject({ codes: [], unwritten: [] });
  });

  const ORDERS = [
    ["user-service", "admin"],
    ["admin", "user-service"],
  ] as const;
  /** A port that no Pod has, added to the one that is guarded, or in its place. */
  const TO_UNKNOWN = { name: "http-metrics", port: 81, targetPort: "metrics" };
  const BY_NAME = { name: "http", port: 80, targetPort: "admin" };
  const byName = admin({ ports: [BY_NAME] });
  const slice = {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name: "admin-1",
      namespace: "iam",
      labels: {
        "kubernetes.io/service-name": "admin",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
      },
    },
    addressType: "IPv4",
    endpoints: [{}],
    ports: [{ name: "http", port: 9090 }],
  };

  function liveBefore(order: readonly string[], deciding: readonly KubernetesObject[]): readonly KubernetesObject[] {
    const before = [ISTIO, service(), byName, slice, ...deciding];
    return order.flatMap((name, index) => since(wantedBeside(name, before).objects, `2026-01-0${index + 1}T00:00:00Z`));
  }

  test.each(ORDERS)("a port that nobody knows lifts nothing from the others, %s being older", (...order) => {
    for (const deciding of [policies, [aimedAt(order, { mtls: { mode: "Strict" } }, "both")]]) {
      const live = liveBefore(order, deciding);
      const waiting = admin({ ports: [BY_NAME, TO_UNKNOWN] });
      for (const name of order) {
        const found = wantedBeside(name, [ISTIO, service(), waiting, slice, ...deciding, ...live]);
        expect(found.codes.filter((code) => code !== "FL328")).toEqual([]);
        expect(shut(found).modes).toEqual(['["8080",{"mode":"STRICT"}]', '["9090",{"mode":"STRICT"}]']);
        expect(shut(found).closed).toBe(deciding === policies ? '"notPorts":["8080","9090"' : "");
      }
    }
  });

  test.each(ORDERS)("beside ports that nothing tells any more nothing is written, %s being older", (...order) => {
    const live = liveBefore(order, policies).map((object) => ({
      ...object,
      metadata: { ...object.metadata, annotations: {} },
    }));
    const after = [ISTIO, service(), admin({ ports: [TO_UNKNOWN] }), ...policies];
    expect(wantedBeside("user-service", [...after, ...live])).toMatchObject({
      names: ["EnvoyFilter fairlead-user-service"],
      codes: ["FL320", "FL320"],
      unwritten: ["mtls", "authorization"],
    });
    expect(shut(wantedBeside("user-service", after)).closed).toBe('"notPorts":["8080"');
  });

  test.each<readonly [string, readonly KubernetesObject[]]>([
    [
      "lets in whom it likes",
      [admin(), aimedAt(["admin"], { authorization: { deny: [{ to: { methods: ["PUT"] } }] } }, "admin")],
    ],
    ["is in the other mesh", [admin(), aimedAt(["admin"], { ...EVERYTHING, mesh: "Linkerd" }, "admin")]],
    ["has other Pods", [admin({ selector: { app: "cart" } }), ...byPolicies("admin")]],
    ["has no Pods", [admin({ type: "ExternalName" }), ...byPolicies("admin")]],
    [
      "has opted out",
      [
        { ...admin(), metadata: { ...admin().metadata, labels: { "fairlead.dev/inject": "disabled" } } },
        ...byPolicies("admin"),
      ],
    ],
  ])("nothing is shut for one that %s", (_what, others) => {
    const found = wantedBeside("user-service", [ISTIO, service(), ...byPolicies("user-service"), ...others]);
    expect(shut(found)).toEqual({ closed: '"notPorts":["8080"', modes: ['["8080",{"mode":"STRICT"}]'] });
  });

  test("the strict mode holds where they do not agree on a port", () => {
    const modes = ["Strict", "Permissive"].map((mode, index) =>
      aimedAt([index === 0 ? "admin" : "user-service"], { mtls: { mode } }, `p-${index}`),
    );
    const found = wantedBeside("user-service", [ISTIO, service(), admin({ ports: [{ port: 8080 }] }), ...modes]);
    expect(shut(found).modes).toEqual(['["8080",{"mode":"STRICT"}]']);
  });

  test("the policies of the others hear of a change, so that what they have follows", () => {
    const changes: Change[] = [];
    const objects = [ISTIO, service(), admin(), ...policies];
    const index = new CompanionIndex();
    const handler = companionHandler(ISTIO_AUTHORIZATION_POLICY, index, {
      emit: (change) => changes.push(change),
      optedIn: () => [],
      clusterDomain: "cluster.local",
    });
    const allows = ["user-service", "admin"].flatMap((name) =>
      wantedBeside(name, objects).objects.filter(({ kind }) => kind === "AuthorizationPolicy"),
    );
    for (const object of allows) handler.set(object);
    const [ofService, ofAdmin] = ["user-service", "admin"].map((policyUid) => ({
      type: "owned",
      namespace: "iam",
      policyUid,
    }));
    expect(changes).toEqual([ofService, ofAdmin, ofService]);
    changes.length = 0;
    for (const object of allows) handler.set(object);
    expect(changes, "nothing has changed").toEqual([ofService, ofAdmin]);
    const [away] = wantedBeside("admin", [
      ISTIO,
      service(),
      admin({ selector: { app: "cart" } }),
      ...policies,
    ]).objects.filter(({ kind }) => kind === "AuthorizationPolicy");
    changes.length = 0;
    if (away) handler.set(away);
    expect(changes, "it was for the same Pods").toEqual([ofAdmin, ofService]);
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
    "FL327 AuthorizationPolicy iam/mine lets in those that it lists, beside those of the policy, which leaves open all ports that no policy is for",
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
