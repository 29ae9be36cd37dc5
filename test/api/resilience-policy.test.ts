/** What a policy may look like. One row a sentence; the same policies meet the API server in test/cluster/crd.test.ts. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseDurationMs } from "../../src/api/v1alpha1/common.ts";
import { parseResiliencePolicy } from "../../src/api/v1alpha1/resilience-policy.ts";

const REFS = [{ kind: "Service", name: "user-service" }];
const API = { apiVersion: "fairlead.dev/v1alpha1", kind: "ResiliencePolicy" };

function policy(spec: unknown): object {
  return { ...API, metadata: { name: "a", namespace: "iam" }, spec };
}

/** `path: message | fix`, one line a problem. */
function problemsOf(object: unknown): readonly string[] {
  const parsed = parseResiliencePolicy(object);
  return parsed.ok ? [] : parsed.problems.map(({ path, message, fix }) => `${path}: ${message} | ${fix}`);
}

const DURATION = 'wanted a duration such as "300ms", "2s500ms" or "1h"';
const DURATION_FIX = "Write whole numbers of at most five digits, each with a unit h, m, s or ms, at most four of them";
const ZERO_FIX = "Leave the field out to have no limit of its own, or write a time such as 300ms";
const BREAKER_FIELDS = "enabled, consecutiveFailures, minPenalty, maxPenalty, jitterPercent, maxEjectionPercent";
const SPEC_FIELDS =
  "targetRefs, targetSelector, mesh, conflictResolution, circuitBreaker, retry, timeout, routes, trafficSplit, faultInjection, rateLimit, mtls, authorization";
const STATUS = 'wanted a status code such as "503", a range such as "500-504", "5xx" or "gateway-error"';
const STATUS_FIX = 'Write one code from 100 to 599 or one of these forms, as a string in quotes, such as "429"';

describe("parseResiliencePolicy() accepts", () => {
  test.each<readonly [string, Record<string, unknown>]>([
    ["a breaker with every default", { targetRefs: REFS, circuitBreaker: {} }],
    ["a selector", { targetSelector: { matchLabels: { "app.kubernetes.io/name": "a" } }, timeout: { idle: "30s" } }],
    [
      "both groups of HTTPRoute",
      {
        targetRefs: [
          { group: "policy.linkerd.io", kind: "HTTPRoute", name: "a" },
          { group: "gateway.networking.k8s.io", kind: "HTTPRoute", name: "a" },
        ],
        timeout: { request: "2s500ms" },
      },
    ],
    ["a retry of nothing", { targetRefs: REFS, retry: { maxAttempts: 0 } }],
    [
      "every form of a status",
      {
        targetRefs: REFS,
        retry: { maxAttempts: 10, statusCodes: ["429", "5xx", "gateway-error", "500-504", "501-501"] },
      },
    ],
    ["a zero percent", { targetRefs: REFS, circuitBreaker: { jitterPercent: 0, maxEjectionPercent: 0 } }],
  ])("%s", (_, spec) => {
    const parsed = parseResiliencePolicy(policy(spec));
    expect(parsed).toEqual({ ok: true, value: policy(spec) });
  });

  test("null fields as absent ones, as the API server does", () => {
    const spec = {
      targetRefs: [{ group: null, ...REFS[0] }],
      targetSelector: null,
      mesh: null,
      circuitBreaker: { enabled: null },
    };
    const parsed = parseResiliencePolicy({ ...policy(spec), status: null });
    expect(parsed).toEqual({ ok: true, value: policy({ targetRefs: REFS, circuitBreaker: {} }) });
  });

  test("metadata untouched, with a generated name as well", () => {
    const metadata = { generateName: "a-", labels: { x: "y" }, finalizers: ["f"], creationTimestamp: null };
    const parsed = parseResiliencePolicy({ ...policy({ targetRefs: REFS, circuitBreaker: {} }), metadata });
    expect(parsed.ok && parsed.value.metadata).toBe(metadata);
  });

  test("a status, and drops one that it cannot read", () => {
    const base = policy({ targetRefs: REFS, circuitBreaker: {} });
    const good = parseResiliencePolicy({ ...base, status: { currentRevision: "5d7f", ofTomorrow: 1 } });
    expect(good.ok && good.value.status).toEqual({ currentRevision: "5d7f" });
    const bad = parseResiliencePolicy({ ...base, status: { currentRevision: 5 } });
    expect(bad.ok && "status" in bad.value).toBe(false);
  });
});

describe("parseResiliencePolicy() refuses in spec", () => {
  test.each<readonly [string, unknown, readonly string[]]>([
    ["nothing at all", undefined, ["spec: Found nothing, wanted an object | Add spec"]],
    ["a list", [], [`spec: Found a list of 0 items, wanted an object | Write its fields (${SPEC_FIELDS})`]],
    [
      "neither target nor section",
      {},
      [
        "spec: Found neither targetRefs nor targetSelector, wanted exactly one of targetRefs and targetSelector | Add targetRefs with the kind and name of what the policy is for",
        "spec: Found none of them, wanted at least one of circuitBreaker, retry, timeout, routes, trafficSplit, faultInjection, rateLimit, mtls, authorization | Add the section you want, for example circuitBreaker: {}",
      ],
    ],
    [
      "both ways to name targets",
      { targetRefs: REFS, targetSelector: { matchLabels: { a: "b" } }, circuitBreaker: {} },
      [
        "spec: Found both targetRefs and targetSelector, wanted exactly one of targetRefs and targetSelector | Remove one of the two",
      ],
    ],
    [
      "a mesh in lower case",
      { targetRefs: REFS, circuitBreaker: {}, mesh: "linkerd" },
      [
        'spec.mesh: Found "linkerd", wanted one of "Auto", "Linkerd", "Istio" | Write one of "Auto", "Linkerd", "Istio"',
      ],
    ],
    [
      "a section that is none",
      { targetRefs: REFS, circuitBreaker: {}, bulkhead: {} },
      [`spec.bulkhead: Found the unknown field "bulkhead", wanted one of ${SPEC_FIELDS} | Remove it`],
    ],
    [
      "limits above the one of all",
      {
        targetRefs: REFS,
        rateLimit: {
          requestsPerSecond: 10,
          perClient: 11,
          overrides: [{ serviceAccounts: [{ name: "web", namespace: "front" }], requestsPerSecond: 12 }],
        },
      },
      [
        "spec.rateLimit.overrides: Found 12 above 10, wanted limits of which none is above spec.rateLimit.requestsPerSecond | Lower them, or raise requestsPerSecond",
        "spec.rateLimit.perClient: Found 11 above 10, wanted a limit that is not above requestsPerSecond | Lower it, or raise requestsPerSecond",
      ],
    ],
    [
      "entries of authorization that say nothing, and what no mesh reads as it stands",
      {
        targetRefs: REFS,
        authorization: {
          allow: [{}, { from: {} }, { from: { cidrs: ["10.0.0.0"] } }],
          deny: [{ to: { paths: [{ value: "/users/*" }] } }],
        },
      },
      [
        "spec.authorization.allow[0]: Found none of them, wanted at least one of from and to | Say whose or which requests are meant; remove the section to let everybody do everything",
        "spec.authorization.allow[1].from: Found none of them, wanted at least one of serviceAccounts, namespaces and cidrs | Add the clients that are meant, or remove from to mean all of them",
        'spec.authorization.allow[2].from.cidrs[0]: Found "10.0.0.0", wanted a network such as "10.0.0.0/8" or "fd00::/8" | Write the address, a slash and the length of the prefix; for one address /32, or /128 for IPv6',
        'spec.authorization.deny[0].to.paths[0].value: Found "/users/*", wanted a path without * | Leave the star out: a path is a prefix unless type says Exact',
      ],
    ],
    [
      "a typing mistake, with what was meant",
      { targetRefs: REFS, circuitBreaker: { enabeld: true } },
      [
        `spec.circuitBreaker.enabeld: Found the unknown field "enabeld", wanted one of ${BREAKER_FIELDS} | Remove it, or rename it: did you mean enabled?`,
      ],
    ],
    [
      "another ending of the word",
      { targetRefs: REFS, circuitBreaker: {}, retries: {} },
      [
        `spec.retries: Found the unknown field "retries", wanted one of ${SPEC_FIELDS} | Remove it, or rename it: did you mean retry?`,
      ],
    ],
    [
      "a part of the name, and none that two names have",
      { targetRefs: REFS, circuitBreaker: { failures: 3, percent: 5 } },
      [
        `spec.circuitBreaker.failures: Found the unknown field "failures", wanted one of ${BREAKER_FIELDS} | Remove it, or rename it: did you mean consecutiveFailures?`,
        `spec.circuitBreaker.percent: Found the unknown field "percent", wanted one of ${BREAKER_FIELDS} | Remove it`,
      ],
    ],
    [
      "what a mesh calls it",
      { targetRefs: REFS, circuitBreaker: {}, outlierDetection: {} },
      [
        `spec.outlierDetection: Found the unknown field "outlierDetection", wanted one of ${SPEC_FIELDS} | Remove it, or rename it: did you mean circuitBreaker?`,
      ],
    ],
    [
      "one value in the place of a section, with the field that takes it",
      { targetRefs: REFS, timeout: "2s", retry: 2, mtls: "strict", rateLimit: [5], circuitBreaker: -1 },
      [
        `spec.circuitBreaker: Found -1, wanted an object | Write its fields (${BREAKER_FIELDS})`,
        'spec.mtls: Found "strict", wanted an object | Write its fields (mode)',
        "spec.rateLimit: Found a list of 1 item, wanted an object | Write its fields (requestsPerSecond, perClient, overrides)",
        "spec.retry: Found 2, wanted an object | Write its fields (maxAttempts, statusCodes, grpcCodes, timeout), such as {maxAttempts: 2}",
        'spec.timeout: Found "2s", wanted an object | Write its fields (request, response, idle), such as {request: "2s"}',
      ],
    ],
  ])("%s", (_, spec, problems) => {
    expect(problemsOf(policy(spec))).toEqual(problems);
  });
});

describe("parseResiliencePolicy() refuses as targets", () => {
  const route = { group: "gateway.networking.k8s.io", kind: "GRPCRoute", name: "a" };
  test.each<readonly [string, Record<string, unknown>, readonly string[]]>([
    [
      "no items",
      { targetRefs: [] },
      ["spec.targetRefs: Found a list of 0 items, wanted a list of 1 to 16 items | Write a list of 1 to 16 items"],
    ],
    [
      "a kind in lower case and a wrong name",
      { targetRefs: [{ kind: "service", name: "User" }] },
      [
        'spec.targetRefs[0].kind: Found "service", wanted one of "Service", "HTTPRoute", "GRPCRoute" | Write one of "Service", "HTTPRoute", "GRPCRoute"',
        'spec.targetRefs[0].name: Found "User", wanted the name of an object: lower-case letters, digits, - and ., 1 to 253 characters | Write the metadata.name of the target, without its namespace',
      ],
    ],
    [
      "a route without its group",
      { targetRefs: [{ kind: "HTTPRoute", name: "a" }] },
      [
        'spec.targetRefs[0].group: Found nothing, wanted "gateway.networking.k8s.io" or "policy.linkerd.io" for the kind HTTPRoute | Write group: gateway.networking.k8s.io or group: policy.linkerd.io',
      ],
    ],
    [
      "a GRPCRoute of Linkerd, which has none",
      { targetRefs: [{ ...route, group: "policy.linkerd.io" }] },
      [
        'spec.targetRefs[0].group: Found "policy.linkerd.io", wanted "gateway.networking.k8s.io" for the kind GRPCRoute | Write group: gateway.networking.k8s.io',
      ],
    ],
    [
      "a Service of another group",
      { targetRefs: [{ ...REFS[0], group: "policy.linkerd.io" }] },
      ['spec.targetRefs[0].group: Found "policy.linkerd.io", wanted "" for the kind Service | Leave group out'],
    ],
    [
      "no labels",
      { targetSelector: { matchLabels: {} } },
      [
        "spec.targetSelector.matchLabels: Found 0 labels, wanted 1 to 16 labels | Name the labels that tell the Services apart",
      ],
    ],
    [
      "a label key with a space and a label value that is a number",
      { targetSelector: { matchLabels: { "a b": 1 } } },
      [
        'spec.targetSelector.matchLabels: Found "a b", wanted label keys: an optional DNS prefix and /, then at most 63 letters, digits, -, _ and . | Write the keys as they are in metadata.labels of the Service',
        'spec.targetSelector.matchLabels["a b"]: Found 1, wanted a label value: letters, digits, -, _ and . with a letter or digit at both ends, at most 63 characters | Write the value as it is in metadata.labels of the Service, in quotes',
      ],
    ],
  ])("%s", (_, targets, problems) => {
    expect(problemsOf(policy({ ...targets, timeout: { idle: "1s" } }))).toEqual(problems);
  });

  test("a route that is to have a circuit breaker, beside a Service", () => {
    expect(problemsOf(policy({ targetRefs: [...REFS, route], circuitBreaker: { enabled: false } }))).toEqual([
      "spec.circuitBreaker: Found circuitBreaker with a GRPCRoute as target, wanted circuitBreaker for Services only | Move circuitBreaker to a policy for the Service behind the route",
    ]);
  });
});

describe("parseResiliencePolicy() refuses in sections", () => {
  test.each<readonly [string, Record<string, unknown>, readonly string[]]>([
    [
      "a breaker that is true",
      { circuitBreaker: true },
      [
        `spec.circuitBreaker: Found true, wanted an object | Write its fields (${BREAKER_FIELDS}), such as {enabled: true}`,
      ],
    ],
    [
      "failures and percents out of bounds, in quotes, or broken",
      { circuitBreaker: { consecutiveFailures: 0, jitterPercent: "50", maxEjectionPercent: 0.5 } },
      [
        "spec.circuitBreaker.consecutiveFailures: Found 0, wanted an integer from 1 to 65535 | Write an integer from 1 to 65535",
        'spec.circuitBreaker.jitterPercent: Found "50", wanted an integer from 0 to 100 | Write the number without quotes',
        "spec.circuitBreaker.maxEjectionPercent: Found 0.5, wanted an integer from 0 to 100 | Write an integer from 0 to 100",
      ],
    ],
    [
      "durations of another grammar and of zero",
      { timeout: { request: "1.5s", response: "0s", idle: 5 } },
      [
        `spec.timeout.idle: Found 5, ${DURATION} | ${DURATION_FIX}`,
        `spec.timeout.request: Found "1.5s", ${DURATION} | ${DURATION_FIX}`,
        `spec.timeout.response: Found "0s", wanted a duration above zero | ${ZERO_FIX}`,
      ],
    ],
    [
      "a timeout without any",
      { timeout: {} },
      [
        "spec.timeout: Found none of them, wanted at least one of request, response and idle | Add the limit you want, for example request: 5s, or remove timeout",
      ],
    ],
    [
      "a retry without number",
      { retry: {} },
      ["spec.retry.maxAttempts: Found nothing, wanted an integer from 0 to 10 | Add maxAttempts"],
    ],
    [
      "a retry of nothing in particular",
      { retry: { maxAttempts: 1 } },
      [
        'spec.retry: Found neither statusCodes nor grpcCodes, wanted at least one of statusCodes and grpcCodes when maxAttempts is above 0 | Add what is to be retried, for example statusCodes: ["5xx"]',
      ],
    ],
    [
      "status codes as a number, as Linkerd's list, downwards and twice",
      { retry: { maxAttempts: 1, statusCodes: [429, "5xx, 429", "504-500", "5xx", "5xx"] } },
      [
        'spec.retry.statusCodes: Found "5xx" twice, wanted each status code once | Remove the repetition',
        `spec.retry.statusCodes[0]: Found 429, ${STATUS} | ${STATUS_FIX}`,
        `spec.retry.statusCodes[1]: Found "5xx, 429", ${STATUS} | ${STATUS_FIX}`,
        'spec.retry.statusCodes[2]: Found "504-500", wanted a range that goes up | Write the lower code first',
      ],
    ],
    [
      "a gRPC status in capitals",
      { retry: { maxAttempts: 1, grpcCodes: ["Unavailable"] } },
      [
        'spec.retry.grpcCodes[0]: Found "Unavailable", wanted one of "cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable" | Write one of "cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"',
      ],
    ],
  ])("%s", (_, sections, problems) => {
    expect(problemsOf(policy({ targetRefs: REFS, ...sections }))).toEqual(problems);
  });
});

describe("parseResiliencePolicy() refuses around spec", () => {
  const good = { targetRefs: REFS, circuitBreaker: {} };
  test.each<readonly [string, unknown, readonly string[]]>([
    [
      "null",
      null,
      [": Found null, wanted an object | Write apiVersion: fairlead.dev/v1alpha1 and kind: ResiliencePolicy"],
    ],
    [
      "another version and kind, a misplaced section and no name",
      { apiVersion: "fairlead.dev/v1", kind: "Policy", metadata: {}, retry: {}, spec: good },
      [
        'apiVersion: Found "fairlead.dev/v1", wanted "fairlead.dev/v1alpha1" | Write apiVersion: fairlead.dev/v1alpha1',
        'kind: Found "Policy", wanted "ResiliencePolicy" | Write kind: ResiliencePolicy',
        "metadata.name: Found neither name nor generateName, wanted one of them | Add metadata.name",
        'retry: Found the unknown field "retry", wanted one of apiVersion, kind, metadata, spec, status | Remove it, or move it into spec',
      ],
    ],
    [
      "a name that is a number",
      { ...API, metadata: { name: 1 }, spec: good },
      ["metadata.name: Found 1, wanted a string | Write a name in quotes"],
    ],
    [
      "no metadata",
      { ...API, spec: good },
      ["metadata.name: Found neither name nor generateName, wanted one of them | Add metadata.name"],
    ],
  ])("%s", (_, object, problems) => {
    expect(problemsOf(object)).toEqual(problems);
  });
});

describe("hostile input", () => {
  test("keys of the prototype are unknown fields, and pollute nothing", () => {
    const text =
      '{"__proto__": {"retry": {"maxAttempts": 1}}, "constructor": 1, "circuitBreaker": {"__proto__": {"enabled": false}}}';
    const problems = problemsOf(policy({ targetRefs: REFS, ...JSON.parse(text), ["__proto__"]: { polluted: true } }));
    expect(problems.map((problem) => problem.slice(0, problem.indexOf(":")))).toEqual([
      "spec.__proto__",
      "spec.circuitBreaker.__proto__",
      "spec.constructor",
    ]);
    expect(problemsOf(JSON.parse('{"__proto__": {"apiVersion": "fairlead.dev/v1alpha1"}}'))).toHaveLength(5);
    expect("polluted" in {}).toBe(false);
  });

  test("a label key __proto__ is refused although zod would drop it", () => {
    const matchLabels = JSON.parse('{"a": "b", "__proto__": "x"}');
    expect(problemsOf(policy({ targetSelector: { matchLabels }, circuitBreaker: {} }))).toEqual([
      'spec.targetSelector.matchLabels.__proto__: Found the key "__proto__", which cannot be used here | Remove it',
    ]);
  });

  test("endless input gives a short answer", () => {
    const keys = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`key${index}`.padEnd(500, "x"), 1]));
    const parsed = parseResiliencePolicy(policy({ ...keys, mesh: "x".repeat(1_000_000) }));
    expect(parsed.ok ? 0 : parsed.problems.length).toBe(100);
    expect(JSON.stringify(parsed).length).toBeLessThan(60_000);
  });

  test("depth is no matter", () => {
    let deep: unknown = {};
    for (let level = 0; level < 50_000; level++) deep = { retry: deep };
    expect(problemsOf(policy({ ...(deep as object), targetRefs: REFS }))).toHaveLength(2);
  });

  test("any JSON at any field is answered, the same in every order of its keys", () => {
    const fields = ["targetRefs", "targetSelector", "mesh", "circuitBreaker", "retry", "timeout", "__proto__"];
    const key = fc.constantFrom(
      ...fields,
      "matchLabels",
      "kind",
      "group",
      "statusCodes",
      "maxAttempts",
      "request",
      "routes",
      "matches",
      "path",
      "headers",
      "name",
      "value",
      "x",
    );
    const { json } = fc.letrec((tie) => ({
      json: fc.oneof(
        { depthSize: "small", withCrossShrink: true },
        fc.constantFrom(null, true, 0, -1, 1e308, "", "5xx", "0s", "1s", "Service", "HTTPRoute"),
        fc.array(tie("json"), { maxLength: 4 }),
        fc
          .uniqueArray(fc.tuple(key, tie("json")), { maxLength: 5, selector: ([name]) => name })
          .map(Object.fromEntries),
      ),
    }));
    fc.assert(
      fc.property(json, (spec) => {
        const reversed = isPlain(spec) ? Object.fromEntries(Object.entries(spec).reverse()) : spec;
        expect(parseResiliencePolicy(policy(reversed))).toEqual(parseResiliencePolicy(policy(spec)));
      }),
      { numRuns: 2_000 },
    );
  });
});

function isPlain(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

describe("parseDurationMs()", () => {
  test.each([
    ["1ms", 1],
    ["300ms", 300],
    ["2s500ms", 2_500],
    ["1m", 60_000],
    ["1h1m1s1ms", 3_661_001],
    ["1s1s", 2_000],
    ["007s", 7_000],
    ["99999h99999h99999h99999h", 1_439_985_600_000],
  ])("reads %s as %d", (text, ms) => {
    expect(parseDurationMs(text)).toBe(ms);
  });
});
