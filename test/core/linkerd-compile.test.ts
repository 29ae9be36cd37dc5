import { describe, expect, test } from "vitest";
import { lower } from "../../src/core/intent/lower.ts";
import type { KubernetesObject, StringMap } from "../../src/core/kubernetes.ts";
import { acceptsValue, groupOfKey, isFamilyKey, meshOf } from "../../src/core/mesh/all.ts";
import { compileForLinkerd } from "../../src/core/mesh/linkerd/compile.ts";
import { linkerdEligibility, serviceParents } from "../../src/core/mesh/linkerd/eligibility.ts";
import { linkerd } from "../../src/core/mesh/linkerd/linkerd.ts";
import type { TargetContext } from "../../src/core/mesh/mesh.ts";
import { TARGET_KINDS, targetKindOf } from "../../src/core/names.ts";
import { DEFAULTS, keyOf, linkerdVersion, meshVersion, namespace, service, worldOf } from "./worlds.ts";

type KindName = "Service" | "HTTPRoute" | "GRPCRoute";
const ACCRUAL = "balancer.linkerd.io/failure-accrual";

function kindOf(name: KindName) {
  const kind = TARGET_KINDS.find((entry) => entry.kind === name);
  if (kind === undefined) throw new Error(`There is no kind ${name}`);
  return kind;
}

function compile(spec: object, kind: KindName = "Service", version = "2.20") {
  const { groups, findings } = compileForLinkerd(lower(spec), kindOf(kind), linkerdVersion(version));
  return { groups: Object.fromEntries(groups.map((group) => [group.name, group.annotations])), findings };
}

const BREAKER = { circuitBreaker: { consecutiveFailures: 5, minPenalty: "2s", maxPenalty: "1m30s", jitterPercent: 7 } };
const BREAKER_KEYS = {
  [ACCRUAL]: "consecutive",
  [`${ACCRUAL}-consecutive-max-failures`]: "5",
  [`${ACCRUAL}-consecutive-min-penalty`]: "2000ms",
  [`${ACCRUAL}-consecutive-max-penalty`]: "90000ms",
  [`${ACCRUAL}-consecutive-jitter-ratio`]: "0.07",
};
const HTTP = { retry: { maxAttempts: 2, statusCodes: ["5xx", "429"], timeout: "300ms" } };
const BOTH = { retry: { maxAttempts: 1, statusCodes: ["500-504"], grpcCodes: ["unavailable", "internal"] } };

const COMPILED: Readonly<
  Record<string, readonly [result: ReturnType<typeof compile>, groups: Record<string, StringMap>, codes: string[]]>
> = {
  "a breaker is five keys": [compile(BREAKER), { accrual: BREAKER_KEYS }, []],
  "defaults are written out": [
    compile({ circuitBreaker: {} }),
    {
      accrual: {
        [ACCRUAL]: "consecutive",
        [`${ACCRUAL}-consecutive-max-failures`]: "7",
        [`${ACCRUAL}-consecutive-min-penalty`]: "1000ms",
        [`${ACCRUAL}-consecutive-max-penalty`]: "60000ms",
        [`${ACCRUAL}-consecutive-jitter-ratio`]: "0.5",
      },
    },
    [],
  ],
  "a breaker that is off asks for the absence of its group": [
    compile({ circuitBreaker: { enabled: false } }),
    { accrual: {} },
    [],
  ],
  "a breaker on a route is nothing": [compile(BREAKER, "HTTPRoute"), {}, []],
  "a breaker works in 2.14": [compile(BREAKER, "Service", "2.14"), { accrual: BREAKER_KEYS }, []],
  "maxEjectionPercent is a warning": [
    compile({ circuitBreaker: { ...BREAKER.circuitBreaker, maxEjectionPercent: 100 } }),
    { accrual: BREAKER_KEYS },
    ["FL311"],
  ],
  "maxEjectionPercent of a breaker that is off is none": [
    compile({ circuitBreaker: { enabled: false, maxEjectionPercent: 100 } }),
    { accrual: {} },
    [],
  ],
  "retries are a list, a limit and a timeout": [
    compile(HTTP),
    {
      retry: { "retry.linkerd.io/http": "5xx,429", "retry.linkerd.io/limit": "2", "retry.linkerd.io/timeout": "300ms" },
    },
    ["FL311"],
  ],
  "a Service takes both lists": [
    compile(BOTH),
    {
      retry: {
        "retry.linkerd.io/http": "500-504",
        "retry.linkerd.io/grpc": "unavailable,internal",
        "retry.linkerd.io/limit": "1",
      },
    },
    [],
  ],
  "an HTTPRoute leaves the gRPC codes out": [
    compile(BOTH, "HTTPRoute"),
    { retry: { "retry.linkerd.io/http": "500-504", "retry.linkerd.io/limit": "1" } },
    ["FL311"],
  ],
  "a GRPCRoute leaves the status codes out": [
    compile(BOTH, "GRPCRoute"),
    { retry: { "retry.linkerd.io/grpc": "unavailable,internal", "retry.linkerd.io/limit": "1" } },
    ["FL311"],
  ],
  "a GRPCRoute with status codes only is refused": [
    compile({ retry: { maxAttempts: 1, statusCodes: ["5xx"] } }, "GRPCRoute"),
    {},
    ["FL312"],
  ],
  "an HTTPRoute with gRPC codes only is refused": [
    compile({ retry: { maxAttempts: 1, grpcCodes: ["internal"] } }, "HTTPRoute"),
    {},
    ["FL312"],
  ],
  "no retries write nothing": [compile({ retry: { maxAttempts: 0, statusCodes: ["5xx"] } }), { retry: {} }, []],
  "no retries on a route do not work": [compile({ retry: { maxAttempts: 0 } }, "HTTPRoute"), { retry: {} }, ["FL311"]],
  "timeouts are whole milliseconds": [
    compile({ timeout: { request: "2s500ms", response: "1h", idle: "1ms" } }, "GRPCRoute"),
    {
      timeouts: {
        "timeout.linkerd.io/request": "2500ms",
        "timeout.linkerd.io/response": "3600000ms",
        "timeout.linkerd.io/idle": "1ms",
      },
    },
    [],
  ],
  "absent timeouts are not written": [
    compile({ timeout: { idle: "1s" } }),
    { timeouts: { "timeout.linkerd.io/idle": "1000ms" } },
    [],
  ],
  "retry and timeout are refused before 2.16": [
    compile({ ...BREAKER, ...HTTP, timeout: { idle: "1s" } }, "Service", "2.15"),
    { accrual: BREAKER_KEYS },
    ["FL310", "FL310"],
  ],
  "the last edge without them": [compile(HTTP, "Service", "edge-24.7.4"), {}, ["FL310"]],
  "the first edge with them": [
    compile({ timeout: { idle: "1s" } }, "Service", "edge-24.7.5"),
    { timeouts: { "timeout.linkerd.io/idle": "1000ms" } },
    [],
  ],
};

test.each(Object.entries(COMPILED))("%s", (_, [result, groups, codes]) => {
  expect(result.groups).toEqual(groups);
  expect(result.findings.map((item) => item.code)).toEqual(codes);
});

test("the per-try timeout asks for a request timeout only where there is none", () => {
  expect(compile(HTTP).findings[0]?.fix).toBe("set spec.timeout.request to bound the request as a whole");
  expect(compile({ ...HTTP, timeout: { request: "2s" } }).findings[0]?.fix).toMatch(/^nothing to do/);
});

interface Situation {
  readonly spec: unknown;
  readonly annotations?: StringMap;
  readonly ofNamespace?: StringMap;
  readonly version?: string;
}

function contextOf(
  { spec, annotations, ofNamespace, version = "2.20" }: Situation,
  kind: KindName = "Service",
): TargetContext {
  const object: KubernetesObject = { ...service(annotations), spec };
  const world = worldOf([namespace("enforce", { annotations: ofNamespace ?? {} })]);
  return {
    key: keyOf(object),
    kind: kindOf(kind),
    object,
    namespace: world.namespace("iam"),
    version: meshVersion(version),
    world,
  };
}

const OPAQUE = "config.linkerd.io/opaque-ports";
const port = (number: number, rest = {}) => ({ ports: [{ port: number, ...rest }] });

/** `true`, or the message of the refusal; a message with `+` in front: eligible all the same. */
const ELIGIBILITY: Readonly<Record<string, readonly [Situation, true | string]>> = {
  "a plain port": [{ spec: port(8080) }, true],
  "no ports at all": [{ spec: {} }, true],
  "no spec at all": [{ spec: undefined }, true],
  ExternalName: [{ spec: { type: "ExternalName", externalName: "a.b" } }, "It is an ExternalName Service"],
  headless: [{ spec: { ...port(8080), clusterIP: "None" } }, "It is headless (clusterIP: None)"],
  "a cluster IP that is not assigned yet": [{ spec: { ...port(8080), clusterIP: "" } }, true],
  "a NodePort": [{ spec: { ...port(8080), type: "NodePort" } }, true],
  UDP: [{ spec: port(53, { protocol: "UDP" }) }, "No port speaks HTTP for Linkerd: port 53 (UDP)"],
  SCTP: [{ spec: port(53, { protocol: "SCTP" }) }, "No port speaks HTTP for Linkerd: port 53 (SCTP)"],
  "TCP said aloud": [{ spec: port(8080, { protocol: "TCP" }) }, true],
  "a default opaque port": [{ spec: port(3306) }, "No port speaks HTTP for Linkerd: port 3306 (opaque by default)"],
  "a default opaque port that the Service takes out": [{ spec: port(3306), annotations: { [OPAQUE]: "" } }, true],
  "a default opaque port that the namespace takes out": [{ spec: port(3306), ofNamespace: { [OPAQUE]: "25" } }, true],
  "opaque by the Service": [
    { spec: port(8080), annotations: { [OPAQUE]: "1-80, 8080" } },
    `No port speaks HTTP for Linkerd: port 8080 (opaque by ${OPAQUE})`,
  ],
  "opaque by a range of the namespace": [
    { spec: port(8080), ofNamespace: { [OPAQUE]: "8000-9000" } },
    `No port speaks HTTP for Linkerd: port 8080 (opaque by ${OPAQUE})`,
  ],
  "a broken list is empty": [{ spec: port(8080), annotations: { [OPAQUE]: "8080,http" } }, true],
  "a reversed range breaks the list": [{ spec: port(8080), annotations: { [OPAQUE]: "8080,9-1" } }, true],
  "appProtocol http": [{ spec: port(3306, { appProtocol: "http" }) }, true],
  "appProtocol h2c": [{ spec: port(8080, { appProtocol: "kubernetes.io/h2c" }) }, true],
  "appProtocol HTTP is not http": [
    { spec: port(8080, { appProtocol: "HTTP" }) },
    "No port speaks HTTP for Linkerd: port 8080 (appProtocol HTTP)",
  ],
  "appProtocol https": [
    { spec: port(8080, { appProtocol: "https" }) },
    "No port speaks HTTP for Linkerd: port 8080 (appProtocol https)",
  ],
  "appProtocol null is absent": [{ spec: port(8080, { appProtocol: null }) }, true],
  "appProtocol before 2.18 is not read": [{ spec: port(8080, { appProtocol: "grpc" }), version: "2.17" }, true],
  "appProtocol in the first edge that reads it": [
    { spec: port(8080, { appProtocol: "grpc" }), version: "edge-25.3.1" },
    "No port speaks HTTP for Linkerd: port 8080 (appProtocol grpc)",
  ],
  "one port of two": [
    { spec: { ports: [{ port: 80 }, { port: 25 }] } },
    "+Settings do not act on port 25 (opaque by default)",
  ],
  "two ports of three": [
    { spec: { ports: [{ port: 80 }, { port: 25 }, { port: 53, protocol: "UDP" }] } },
    "+Settings do not act on port 25 (opaque by default), port 53 (UDP)",
  ],
  "ports that are no list": [{ spec: { ports: "8080" } }, true],
  "ports that are no maps": [
    { spec: { ports: [null, 8080, { port: 25 }] } },
    "No port speaks HTTP for Linkerd: port 25 (opaque by default)",
  ],
};

test.each(Object.entries(ELIGIBILITY))("eligibility of a Service: %s", (_, [situation, expected]) => {
  const { eligible, findings } = linkerdEligibility(contextOf(situation));
  const [message = "", ...more] = findings.map((item) => item.message);
  expect(more).toEqual([]);
  expect(eligible).toBe(expected === true || expected.startsWith("+"));
  if (expected === true) expect(message).toBe("");
  else if (eligible) expect(message).toBe(expected.slice(1));
  else expect(message).toBe(`${expected}; Linkerd applies no policy, nothing is injected`);
});

test.each([
  ["2.20", port(3306), "set appProtocol: http or kubernetes.io/h2c where it is HTTP"],
  ["2.17", port(3306), `set ${OPAQUE} on the Service to a list without the port where it is HTTP`],
  ["2.20", port(53, { protocol: "UDP" }), "nothing to do: meshes leave such ports alone"],
])("what to do in %s about %j", (version, spec, fix) => {
  expect(linkerdEligibility(contextOf({ spec, version })).findings[0]?.fix).toBe(fix);
});

const PARENTS: Readonly<Record<string, readonly [parentRefs: unknown, count: number]>> = {
  "kind and group written out": [[{ group: "", kind: "Service", name: "a" }], 1],
  "the group core": [[{ group: "core", kind: "Service", name: "a" }], 1],
  "no group is the Gateway API's": [[{ kind: "Service", name: "a" }], 0],
  "no kind is a Gateway": [[{ group: "", name: "a" }], 0],
  "a Gateway": [[{ name: "a" }], 0],
  "one of two": [[{ name: "a" }, { group: "", kind: "Service", name: "b" }], 1],
  none: [undefined, 0],
  "no list": [{}, 0],
  "no maps": [[null, "Service"], 0],
};

test.each(Object.entries(PARENTS))("Service parents of a route: %s", (_, [parentRefs, count]) => {
  const context = contextOf({ spec: { parentRefs } }, "HTTPRoute");
  expect(serviceParents(context.object as never)).toHaveLength(count);
  expect(linkerdEligibility(context).eligible).toBe(count > 0);
});

describe("families", () => {
  test.each([
    [ACCRUAL, "accrual"],
    ["balancer.alpha.linkerd.io/failure-accrual-success-rate-window", "accrual"],
    ["balancer.alpha.linkerd.io/penalize-failures", undefined],
    ["balancer.alpha.linkerd.io/failure-accrual-honor-retry-after", undefined],
    ["retry.linkerd.io/http", "retry"],
    ["retry.linkerd.io/grpc", "retry"],
    ["retry.linkerd.io/limits", undefined],
    ["timeout.linkerd.io/idle", "timeouts"],
    ["constructor", undefined],
    ["__proto__", undefined],
  ])("groupOfKey(%s) is %s", (key, group) => {
    expect(groupOfKey(key)).toBe(group);
    expect(isFamilyKey(key)).toBe(group !== undefined);
    expect(acceptsValue(key, "5xx", DEFAULTS.meshVersion)).toBe(key === "retry.linkerd.io/http");
  });

  test.each([
    ["timeout.linkerd.io/idle", "2s", "2000ms", true],
    ["timeout.linkerd.io/idle", "2s", "3s", false],
    ["timeout.linkerd.io/idle", "soon", "soon", true],
    ["timeout.linkerd.io/idle", "2s", "2", false],
    [`${ACCRUAL}-consecutive-jitter-ratio`, "0.50", ".5", true],
    ["retry.linkerd.io/http", "gateway-error", "502-504", true],
    ["retry.linkerd.io/http", "5xx", "500", false],
    ["a/b", "1", "01", false],
  ])("meansTheSame(%s, %s, %s) is %s", (key, ...[value, other, expected]) => {
    expect(linkerd.meansTheSame({ key, value, other }, DEFAULTS.meshVersion)).toBe(expected);
  });
});

describe("meshOf()", () => {
  const shown = (labels: StringMap, annotations: StringMap = {}) => ({ name: "iam", labels, annotations });
  test.each([
    ["nothing", shown({}), "Linkerd"],
    ["linkerd.io/inject", shown({}, { "linkerd.io/inject": "enabled" }), "Linkerd"],
    ["ingress mode", shown({ "istio-injection": "enabled" }, { "linkerd.io/inject": "ingress" }), "Linkerd"],
    ["istio-injection", shown({ "istio-injection": "enabled" }), "Istio"],
    ["a revision", shown({ "istio.io/rev": "1-30" }), "Istio"],
    ["a revision that is switched off", shown({ "istio.io/rev": "1-30", "istio-injection": "disabled" }), "Linkerd"],
    ["ambient", shown({ "istio.io/dataplane-mode": "ambient" }), "Istio"],
    ["not ambient", shown({ "istio.io/dataplane-mode": "none" }), "Linkerd"],
  ])("a namespace that shows %s", (_, info, mesh) => {
    expect(meshOf(info, DEFAULTS).name).toBe(mesh);
    expect(meshOf(info, { ...DEFAULTS, mesh: "Istio" }).name).toBe("Istio");
  });

  test("an unknown namespace has Linkerd", () => {
    expect(meshOf(undefined, DEFAULTS).name).toBe("Linkerd");
  });
});

test.each([
  ["", "Service", true],
  ["apps", "Service", false],
  ["gateway.networking.k8s.io", "HTTPRoute", true],
  ["policy.linkerd.io", "HTTPRoute", true],
  ["policy.linkerd.io", "GRPCRoute", false],
  ["constructor", "__proto__", false],
])("targetKindOf(%j, %j) is known: %j", (group, kind, known) => {
  expect(targetKindOf(group, kind) !== undefined).toBe(known);
});
