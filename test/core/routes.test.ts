import { describe, expect, test } from "vitest";
import { compilePolicy } from "../../src/core/intent/policy.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { generatedRoutes } from "../../src/core/routes/generate.ts";
import { routeNames } from "../../src/core/routes/names.ts";
import type { WorldDefaults } from "../../src/core/world.ts";
import { type Annotations, meshVersion, mutate, namespace, policy, service, validate, worldOf } from "./worlds.ts";

const RETRY = { maxAttempts: 2, statusCodes: ["5xx"], timeout: "300ms" };
const RETRY_KEYS = {
  "retry.linkerd.io/http": "5xx",
  "retry.linkerd.io/limit": "2",
  "retry.linkerd.io/timeout": "300ms",
};
const READS = { name: "reads", matches: [{ method: "GET" }] };
const WRITES = { name: "writes", matches: [{ method: "POST" }], retry: { maxAttempts: 0 } };
const UID = { uid: "u-1" };

interface Case {
  readonly objects?: readonly KubernetesObject[];
  readonly defaults?: Partial<WorldDefaults>;
  readonly name?: string;
}

/** What the policy of a world generates; the Service is there unless the objects bring one. */
function generate(policies: readonly KubernetesObject[], { objects = [service()], defaults, name }: Case = {}) {
  const world = worldOf([namespace("enforce"), ...objects, ...policies], defaults);
  const compiled = world.policiesIn("iam").find((item) => item.name === (name ?? "user-service"));
  if (compiled === undefined) throw new Error("The policy cannot be compiled");
  return { world, ...generatedRoutes(compiled, world) };
}

/** Annotations by name of the entry, without our own. */
function annotations(policies: readonly KubernetesObject[], made?: Case): Record<string, Annotations> {
  return Object.fromEntries(
    generate(policies, made).desired.map(({ entry, object }) => {
      const { "fairlead.dev/generated": hash, ...others } = { ...object.metadata?.annotations };
      expect(hash).toMatch(/^[0-9a-f]{12}$/);
      return [entry ?? "the rest", others];
    }),
  );
}

function codes(policies: readonly KubernetesObject[], made?: Case): readonly string[] {
  return generate(policies, made).findings.map(
    ({ code, severity, path, message, fix }) => `${code} ${severity} ${path}: ${message} | ${fix}`,
  );
}

function withPorts(ports: readonly object[], annotated?: Annotations): KubernetesObject {
  return { ...service(annotated), spec: { ports } };
}

function httpRoute(name: string, spec: object, apiVersion = "gateway.networking.k8s.io/v1"): KubernetesObject {
  return { apiVersion, kind: "HTTPRoute", metadata: { name, namespace: "iam" }, spec };
}

const PARENT = { group: "", kind: "Service", name: "user-service" };

describe("generatedRoutes()", () => {
  test("gives each entry a route and the rest another, with everything that has a default written out", () => {
    const matches = [
      { path: { value: "/users/" }, headers: [{ name: "X-Tenant", value: "b" }] },
      { path: { type: "Exact", value: "/me" }, method: "GET" },
    ];
    const made = policy({ routes: [{ name: "reads", matches, timeout: { request: "5s" } }] }, UID);
    const { desired, findings } = generate([made]);
    expect(findings).toEqual([]);
    const parentRefs = [{ group: "", kind: "Service", name: "user-service", namespace: "iam" }];
    const backendRefs = [{ ...parentRefs[0], port: 8080 }];
    expect(desired.map(({ object }) => object.metadata?.name)).toEqual([
      "user-service-user-service-fairlead-rest",
      "user-service-user-service-reads",
    ]);
    expect(desired[0]?.object.spec).toEqual({
      parentRefs,
      rules: [{ matches: [{ path: { type: "PathPrefix", value: "/" } }], backendRefs }],
    });
    expect(desired[1]?.object).toEqual({
      kind: "HTTPRoute",
      metadata: {
        name: "user-service-user-service-reads",
        namespace: "iam",
        labels: { "app.kubernetes.io/managed-by": "fairlead", "fairlead.dev/policy-uid": "u-1" },
        ownerReferences: [
          {
            apiVersion: "fairlead.dev/v1alpha1",
            kind: "ResiliencePolicy",
            name: "user-service",
            uid: "u-1",
            controller: true,
            blockOwnerDeletion: true,
          },
        ],
        annotations: {
          "timeout.linkerd.io/request": "5000ms",
          "fairlead.dev/generated": expect.stringMatching(/^[0-9a-f]{12}$/),
        },
      },
      spec: {
        parentRefs,
        rules: [
          {
            matches: [
              { path: { type: "Exact", value: "/me" }, method: "GET" },
              {
                path: { type: "PathPrefix", value: "/users" },
                headers: [{ name: "x-tenant", type: "Exact", value: "b" }],
              },
            ],
            backendRefs,
          },
        ],
      },
    });
  });

  test("fills a family up from the Service, because a route takes none of it any more", () => {
    const sections = { timeout: { request: "2s", idle: "1s" }, retry: RETRY };
    const routes = [
      { ...READS, timeout: { request: "5s" } },
      { name: "more", matches: [{ method: "PUT" }], retry: { maxAttempts: 5, statusCodes: ["503"] } },
    ];
    expect(annotations([policy({ ...sections, routes })])).toEqual({
      reads: { "timeout.linkerd.io/request": "5000ms", "timeout.linkerd.io/idle": "1000ms" },
      more: {
        "retry.linkerd.io/http": "503",
        "retry.linkerd.io/limit": "5",
        "retry.linkerd.io/timeout": "300ms",
      },
      "the rest": {},
    });
  });

  test("takes what it fills up with from the policies that decide the sections of the Service", () => {
    const other = policy({ timeout: { idle: "9s" } }, { name: "other" });
    expect(annotations([policy({ routes: [{ ...READS, timeout: { request: "5s" } }] }), other])["reads"]).toEqual({
      "timeout.linkerd.io/request": "5000ms",
      "timeout.linkerd.io/idle": "9000ms",
    });
  });

  test("moves the retries of the Service to the other routes when an entry asks for none", () => {
    const routes = [WRITES, { ...READS, timeout: { request: "5s" } }];
    const made = policy({ retry: RETRY, timeout: { idle: "1s" }, routes });
    expect(annotations([made])).toEqual({
      writes: {},
      reads: { ...RETRY_KEYS, "timeout.linkerd.io/request": "5000ms", "timeout.linkerd.io/idle": "1000ms" },
      "the rest": RETRY_KEYS,
    });
    const { world } = generate([made]);
    const patched = JSON.stringify(mutate(world, service()).patch);
    expect(patched).toContain("timeout.linkerd.io~1idle".replace("~1", "/"));
    expect(patched).not.toContain("retry.linkerd.io");
  });

  test("takes retries that Fairlead had written off the Service, also those of another policy", () => {
    const retries = policy({ retry: RETRY }, { name: "retries" });
    const before = worldOf([namespace("enforce"), retries]);
    const record = JSON.stringify(mutate(before, service()).patch);
    expect(record).toContain("retry.linkerd.io/limit");
    const injected = service(
      {
        ...RETRY_KEYS,
        "fairlead.dev/injected": JSON.stringify({ policy: "retries", revision: "x", keys: RETRY_KEYS }),
      },
      { "fairlead.dev/revision": "x" },
    );
    const made = [policy({ routes: [WRITES] }), retries];
    expect(annotations(made, { objects: [injected] })).toEqual({ writes: {}, "the rest": RETRY_KEYS });
    const { world } = generate(made, { objects: [injected] });
    expect(mutate(world, injected, injected).patch).toEqual(
      ["fairlead.dev~1injected", ...Object.keys(RETRY_KEYS).map((key) => key.replace("/", "~1"))]
        .map((key) => ({ op: "remove", path: `/metadata/annotations/${key}` }) as const)
        .concat({ op: "remove", path: "/metadata/labels/fairlead.dev~1revision" } as never),
    );
  });

  test("leaves the retries on the Service when no entry minds, or the policy retries nothing", () => {
    expect(annotations([policy({ retry: RETRY, routes: [{ ...READS, timeout: { idle: "1s" } }] })])).toEqual({
      reads: { "timeout.linkerd.io/idle": "1000ms" },
      "the rest": {},
    });
    expect(annotations([policy({ retry: { maxAttempts: 0 }, routes: [WRITES] })])).toEqual({
      writes: {},
      "the rest": {},
    });
  });

  test("respects retries that people wrote on the Service, and says which entry they reach", () => {
    const people = service({ "retry.linkerd.io/http": "503", "retry.linkerd.io/limit": "1" });
    const made = policy({ retry: RETRY, routes: [READS, WRITES].map((it) => ({ timeout: { idle: "1s" }, ...it })) });
    expect(annotations([made], { objects: [people] })["the rest"]).toEqual({});
    expect(codes([made], { objects: [people] })).toEqual([
      'FL317 warn spec.routes[1].retry.maxAttempts: Service user-service has retry.linkerd.io/http and retry.linkerd.io/limit by hand, so "writes" is retried all the same: a route has no off value | remove them from the manifest or set conflictResolution: Override',
    ]);
    const override = policy({ conflictResolution: "Override", retry: RETRY, routes: [WRITES] });
    expect(annotations([override], { objects: [people] })["the rest"]).toEqual(RETRY_KEYS);
    expect(codes([override], { objects: [people] })).toEqual([]);
    const { world } = generate([override], { objects: [people] });
    expect(JSON.stringify(mutate(world, people).patch)).toContain(
      '{"op":"remove","path":"/metadata/annotations/retry.linkerd.io~1limit"}',
    );
  });

  test("names values of people on the Service that an entry switches off", () => {
    const people = service({ "timeout.linkerd.io/idle": "3s" });
    expect(codes([policy({ routes: [{ ...READS, timeout: { request: "5s" } }] })], { objects: [people] })).toEqual([
      "FL313 warn spec.routes[0].timeout: It switches timeout.linkerd.io/idle off, which people wrote on Service user-service | set it in spec.routes[0].timeout too, where it is wanted",
    ]);
  });

  test("says that grpcCodes of another policy are lost when retries move", () => {
    const retries = policy({ retry: { ...RETRY, grpcCodes: ["internal"] } }, { name: "retries" });
    expect(codes([policy({ routes: [WRITES] }), retries])).toEqual([
      "FL311 warn spec.routes: grpcCodes of ResiliencePolicy retries no longer act on Service user-service: its retries move to HTTPRoutes | give the entry without retries a retry, or retry on statusCodes",
    ]);
  });
});

describe("ports", () => {
  const made = [policy({ routes: [{ ...READS, timeout: { idle: "1s" } }] })];

  function places(ports: readonly object[]): readonly string[] {
    return generate(made, { objects: [withPorts(ports)] }).desired.map(({ object }) => {
      const spec = object.spec as {
        parentRefs: { port?: number }[];
        rules: { backendRefs: { port: number }[] }[];
      };
      return `${object.metadata?.name} ${spec.parentRefs[0]?.port} ${spec.rules[0]?.backendRefs[0]?.port}`;
    });
  }

  test("each port that speaks HTTP has routes of its own, which lead to that port only", () => {
    expect(places([{ port: 80 }, { port: 8080, protocol: "TCP" }])).toEqual([
      "user-service-user-service-fairlead-rest-80 80 80",
      "user-service-user-service-fairlead-rest-8080 8080 8080",
      "user-service-user-service-reads-80 80 80",
      "user-service-user-service-reads-8080 8080 8080",
    ]);
  });

  test("ports that are opaque, UDP or spoken otherwise have none", () => {
    expect(
      places([{ port: 80 }, { port: 3306 }, { port: 53, protocol: "UDP" }, { port: 81, appProtocol: "grpc" }]),
    ).toEqual(["user-service-user-service-fairlead-rest 80 80", "user-service-user-service-reads 80 80"]);
    expect(places([{ port: 3306 }])).toEqual([]);
    expect(places([])).toEqual([]);
  });

  test.each<readonly [string, KubernetesObject]>([
    ["headless", { ...service(), spec: { clusterIP: "None", ports: [{ port: 80 }] } }],
    ["ExternalName", { ...service(), spec: { type: "ExternalName", ports: [{ port: 80 }] } }],
    ["opted out", service(undefined, { "fairlead.dev/inject": "disabled" })],
    [
      "owned by another controller",
      {
        ...service(),
        metadata: {
          ...service().metadata,
          ownerReferences: [{ apiVersion: "a/v1", kind: "A", name: "a", uid: "a", controller: true }],
        },
      },
    ],
    ["being deleted", { ...service(), metadata: { ...service().metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } }],
  ])("a Service that is %s gets none", (_, object) => {
    expect(generate(made, { objects: [object] }).desired).toEqual([]);
  });

  test("neither does one that does not exist, nor any where the mesh is Istio", () => {
    expect(generate(made, { objects: [] }).desired).toEqual([]);
    expect(generate(made, { defaults: { mesh: "Istio" } }).desired).toEqual([]);
  });
});

describe("routes that people wrote", () => {
  const made = [policy({ routes: [{ ...READS, timeout: { idle: "1s" } }] })];

  test.each<readonly [string, KubernetesObject]>([
    ["HTTPRoute", httpRoute("mine", { parentRefs: [PARENT] })],
    ["HTTPRoute of Linkerd", httpRoute("mine", { parentRefs: [PARENT] }, "policy.linkerd.io/v1beta3")],
    ["GRPCRoute", { ...httpRoute("mine", { parentRefs: [{ ...PARENT, port: 8080 }] }), kind: "GRPCRoute" }],
  ])("a %s of the Service refuses the policy, and takes the generated ones back", (_, route) => {
    const objects = [service(), route];
    const group = route.apiVersion?.split("/")[0];
    expect(generate(made, { objects }).desired).toEqual([]);
    const found = `FL315 deny spec.routes: Service user-service has ${route.kind} mine (${group}), which people wrote; generated routes would compete with it | move its matches to spec.routes and delete it, or remove the Service from the targets`;
    expect(codes(made, { objects })).toEqual([found]);
    const verdict = validate(worldOf([namespace("enforce"), ...objects]), made[0] ?? {});
    expect(verdict.allowed).toBe(false);
    expect(verdict.message).toContain("(FL315)");
  });

  test.each<readonly [string, KubernetesObject]>([
    ["of another Service", httpRoute("mine", { parentRefs: [{ ...PARENT, name: "other" }] })],
    ["of a Gateway", httpRoute("mine", { parentRefs: [{ name: "user-service" }] })],
    ["of the same name in another namespace", httpRoute("mine", { parentRefs: [{ ...PARENT, namespace: "shop" }] })],
    ["of a port that has no generated routes", httpRoute("mine", { parentRefs: [{ ...PARENT, port: 9 }] })],
    [
      "that Fairlead made for some policy",
      {
        ...httpRoute("theirs", { parentRefs: [PARENT] }),
        metadata: {
          name: "theirs",
          namespace: "iam",
          labels: { "app.kubernetes.io/managed-by": "fairlead", "fairlead.dev/policy-uid": "u-2" },
        },
      },
    ],
  ])("one %s is in nobody's way", (_, route) => {
    const objects = [service(), route];
    expect(codes(made, { objects })).toEqual([]);
    expect(generate(made, { objects }).desired).toHaveLength(2);
    expect(validate(worldOf([namespace("enforce"), service(), ...made]), route).findings).toEqual(
      expect.not.arrayContaining([expect.objectContaining({ code: "FL316" })]),
    );
  });

  test("whoever writes one later is told which policy it is that steps back", () => {
    const world = worldOf([namespace("enforce"), service(), ...made]);
    const route = httpRoute("mine", { parentRefs: [PARENT] });
    expect(validate(world, route)).toMatchObject({
      allowed: true,
      warnings: [
        "FL316 spec.parentRefs: ResiliencePolicy user-service generates routes of Service user-service and takes them back beside this one; move its matches to spec.routes of the policy",
      ],
    });
  });
});

describe("several policies", () => {
  test("the routes of a Service come from one of them", () => {
    const older = policy(
      { routes: [{ ...READS, timeout: { idle: "1s" } }] },
      { name: "older", creationTimestamp: "2026-01-01T00:00:00Z" },
    );
    const younger = policy({ routes: [WRITES] }, { name: "younger", creationTimestamp: "2026-02-01T00:00:00Z" });
    expect(generate([younger, older], { name: "older" }).desired).toHaveLength(2);
    expect(generate([younger, older], { name: "younger" }).desired).toEqual([]);
  });
});

describe("versions", () => {
  test("before 2.16 every entry is refused", () => {
    const world = worldOf([namespace("enforce"), service()], { meshVersion: meshVersion("2.15") });
    const made = policy({
      routes: [
        { ...READS, retry: RETRY },
        { ...WRITES, timeout: { idle: "1s" } },
      ],
    });
    const found = validate(world, made).findings.map(({ code, path }) => `${code} ${path}`);
    expect(found).toEqual(["FL310 spec.routes[0].retry", "FL310 spec.routes[1].retry", "FL310 spec.routes[1].timeout"]);
  });
});

describe("names", () => {
  const name = { policy: "p", service: "s", entry: undefined, port: undefined };

  test("say what they are for", () => {
    expect(routeNames([name, { ...name, entry: "e" }, { ...name, entry: "e", port: 80 }])).toEqual([
      "p-s-fairlead-rest",
      "p-s-e",
      "p-s-e-80",
    ]);
  });

  test("that read alike, or are too long, get a hash", () => {
    const alike = routeNames([
      { ...name, service: "a", entry: "b-c" },
      { ...name, service: "a-b", entry: "c" },
      { ...name, entry: "fairlead-rest" },
      name,
    ]);
    expect(new Set(alike).size).toBe(4);
    for (const made of alike) expect(made).toMatch(/^p-(a-b-c|s-fairlead-rest)-[0-9a-f]{8}$/);
    const long = routeNames([
      { ...name, policy: `${"p".repeat(243)}-.q-..-q-q`, entry: "e" },
      { ...name, policy: `${"p".repeat(243)}-.q-..-q-q`, entry: "f" },
    ]);
    expect(new Set(long).size).toBe(2);
    for (const made of long) expect(made).toMatch(/^p{243}-[0-9a-f]{8}$/);
  });

  test("of somebody else's are never taken, and then the Service has no routes at all", () => {
    const made = policy({ routes: [{ ...READS, timeout: { idle: "1s" } }] });
    const objects = [service(), httpRoute("user-service-user-service-reads", { parentRefs: [] })];
    expect(generate([made], { objects }).desired).toEqual([]);
    expect(codes([made], { objects })).toEqual([
      "FL318 deny spec.routes: HTTPRoute user-service-user-service-reads exists and is not of this policy, so Service user-service gets no routes | delete it, or rename the policy or the entry",
    ]);
  });
});

describe("the revision of a policy", () => {
  const revision = (spec: Record<string, unknown>) => compilePolicy(policy(spec)).policy?.revision;
  const entry = { ...READS, timeout: { request: "1s" } };
  const other = { name: "other", matches: [{ method: "PUT" }, { path: { value: "/a" } }], timeout: { idle: "1s" } };
  const before = revision({ routes: [entry, other] });

  test.each<readonly [string, readonly object[]]>([
    ["the entries stand in another order", [other, entry]],
    ["the matches do", [entry, { ...other, matches: other.matches.toReversed() }]],
    [
      "a default is written out",
      [{ ...entry, matches: [{ method: "GET", path: { type: "PathPrefix", value: "/" } }] }, other],
    ],
    ["a prefix ends in a slash", [entry, { ...other, matches: [{ method: "PUT" }, { path: { value: "/a/" } }] }]],
    ["a duration is spelt otherwise", [{ ...entry, timeout: { request: "1000ms" } }, other]],
  ])("stays when %s", (_, routes) => {
    expect(before).toBeDefined();
    expect(revision({ routes })).toBe(before);
  });

  test.each<readonly [string, readonly object[]]>([
    ["an entry", [entry]],
    ["a name", [{ ...entry, name: "gets" }, other]],
    ["a match", [{ ...entry, matches: [{ method: "HEAD" }] }, other]],
    ["a setting", [{ ...entry, timeout: { request: "2s" } }, other]],
  ])("changes with %s", (_, routes) => {
    expect(revision({ routes })).not.toBe(before);
  });

  test("of a policy without routes is what it was before there were any", () => {
    expect(revision({ timeout: { request: "2s500ms" } })).toBe("0affe6784d92");
  });
});
