import { describe, expect, test } from "vitest";
import type { AnnotationSource } from "../../src/core/mesh/linkerd/keys.ts";
import { nearestKey } from "../../src/core/mesh/linkerd/nearest.ts";
import { readAnnotations } from "../../src/core/mesh/linkerd/read.ts";
import { EMPTY_READING, type Reading } from "../../src/core/mesh/linkerd/reading.ts";
import { type RouteRule, routeTimeoutsInForce } from "../../src/core/mesh/linkerd/route.ts";
import { parseLinkerdVersion } from "../../src/core/mesh/linkerd/version.ts";

const MODE = { "balancer.linkerd.io/failure-accrual": "consecutive" };
const UNIFIED = { "balancer.linkerd.io/failure-accrual": "unified" };
const MIN_PENALTY = "balancer.linkerd.io/failure-accrual-consecutive-min-penalty";
const MAX_PENALTY = "balancer.linkerd.io/failure-accrual-consecutive-max-penalty";
const MIN_REQUESTS = "balancer.alpha.linkerd.io/failure-accrual-success-rate-min-requests";
const THRESHOLD = "balancer.alpha.linkerd.io/failure-accrual-success-rate-threshold";

function known(text: string) {
  const version = parseLinkerdVersion(text);
  if (version === undefined) throw new Error(`Cannot parse the version ${text}`);
  return version;
}

function read(
  annotations: Readonly<Record<string, string>>,
  source: AnnotationSource = "Service",
  version = "2.20",
): Reading {
  return readAnnotations(annotations, source, known(version));
}

/** Key and suggestion of each problem. */
function suggestions(reading: Reading): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries(reading.problems.map(({ key, suggestion }) => [key, suggestion]));
}

describe("readAnnotations() on a Service", () => {
  test("shares one frozen reading where no key is Linkerd's", () => {
    const reading = read({
      "app.kubernetes.io/name": "a",
      "linkerd.io/inject": "enabled",
      "retry.linkerd.iox/http": "",
    });
    expect(reading).toBe(EMPTY_READING);
    expect(Object.isFrozen(reading)).toBe(true);
  });

  test("reads all groups", () => {
    const reading = read({
      ...MODE,
      [MIN_PENALTY]: "500ms",
      "timeout.linkerd.io/idle": "0",
      "retry.linkerd.io/http": "5xx,429",
      "retry.linkerd.io/timeout": "300ms",
    });
    expect(reading).toEqual({
      accrual: { mode: "consecutive", maxFailures: 7, minPenaltyMs: 500, maxPenaltyMs: 60_000, jitterRatio: 0.5 },
      timeouts: { idleMs: 0 },
      httpRetry: {
        limit: 1,
        timeoutMs: 300,
        statusRanges: [
          [500, 599],
          [429, 429],
        ],
      },
      grpcRetry: { limit: 1, timeoutMs: 300, codes: [] },
      problems: [],
      unknown: [],
      notReadHere: [],
      tooNew: [],
      notConsulted: [],
    });
  });

  test("a bad value drops its own group only", () => {
    const reading = read({ ...MODE, "timeout.linkerd.io/request": "1m30s", "retry.linkerd.io/grpc": "internal" });
    expect(reading.problems).toEqual([
      {
        key: "timeout.linkerd.io/request",
        value: "1m30s",
        group: "timeouts",
        drops: "every timeout annotation of this Service",
        reason: 'found "1m30s", wanted one whole number and one unit of ms, s, m, h, d, such as 500ms',
        suggestion: "90s",
      },
    ]);
    expect(reading).toMatchObject({ accrual: { maxFailures: 7 }, grpcRetry: { codes: ["internal"] } });
    expect(reading).not.toHaveProperty("timeouts");
  });

  test.each(["retry.linkerd.io/limit", "retry.linkerd.io/timeout"])("a bad %s drops HTTP and gRPC retries", (key) => {
    const reading = read({ "retry.linkerd.io/http": "5xx", "retry.linkerd.io/grpc": "internal", [key]: "x" });
    expect(reading).not.toHaveProperty("httpRetry");
    expect(reading).not.toHaveProperty("grpcRetry");
    expect(reading.problems.map(({ drops }) => drops)).toEqual(["every retry setting of this Service"]);
  });

  test("a bad HTTP list leaves the gRPC retries", () => {
    const reading = read({ "retry.linkerd.io/http": "5xx, 429", "retry.linkerd.io/grpc": "internal" });
    expect(reading).not.toHaveProperty("httpRetry");
    expect(reading.grpcRetry).toEqual({ limit: 1, codes: ["internal"] });
    expect(reading.problems[0]?.reason).toBe(
      'found item " 429" in "5xx, 429", wanted 5xx, gateway-error, 100 to 599 or a range like 500-504, without spaces',
    );
  });

  test("all bad values of a group are reported", () => {
    const reading = read({ ...MODE, [MIN_PENALTY]: "1.5s", [MAX_PENALTY]: "1m30s" });
    expect(suggestions(reading)).toEqual({ [MIN_PENALTY]: "1500ms", [MAX_PENALTY]: "90s" });
  });

  test("problems between keys name both values", () => {
    const reading = read({ ...MODE, [MIN_PENALTY]: "10s", [MAX_PENALTY]: "5s" });
    expect(reading.problems[0]).toMatchObject({
      key: MIN_PENALTY,
      reason: 'found min-penalty "10s", above max-penalty "5s"; wanted at most that',
      suggestion: "5s",
    });
  });

  test("a lone max-penalty of 500ms is below the default min-penalty", () => {
    const [problem] = read({ ...MODE, [MAX_PENALTY]: "500ms" }).problems;
    expect(problem).toMatchObject({ key: MAX_PENALTY, group: "accrual", suggestion: "1s" });
    expect(problem?.reason).toContain("1s, the default");
  });

  test("a suggestion that its neighbours would turn bad is not made", () => {
    expect(suggestions(read({ ...MODE, [MAX_PENALTY]: "0.5s" }))).toEqual({ [MAX_PENALTY]: undefined });
    expect(suggestions(read({ ...MODE, [MAX_PENALTY]: "0.5s", [MIN_PENALTY]: "0.5s" }))).toEqual({
      [MAX_PENALTY]: "500ms",
      [MIN_PENALTY]: "500ms",
    });
  });

  test("what only the proxies refuse is a problem although the controller reads it", () => {
    const reading = read({ ...UNIFIED, [THRESHOLD]: "0", [MIN_REQUESTS]: "1000001" });
    expect(reading.accrual?.successRate?.minRequests).toBe(1_000_001);
    expect(reading.problems[0]).toMatchObject({ key: MIN_REQUESTS, suggestion: "1000000" });
    expect(reading.problems[0]?.drops).toMatch(/^the whole policy: proxies refuse it/);
  });

  test("keys without effect are told apart", () => {
    const reading = read(
      {
        [MIN_PENALTY]: "junk",
        "retry.linkerd.io/limit": "3",
        "balancer.alpha.linkerd.io/penalize-failures": "true",
        "timeout.linkerd.io/requests": "3s",
        "retry.linkerd.io/what": "3s",
      },
      "Service",
      "2.15",
    );
    expect(reading.problems).toEqual([]);
    expect(reading.notConsulted).toEqual([
      { key: MIN_PENALTY, because: "balancer.linkerd.io/failure-accrual is not set" },
    ]);
    expect(reading.tooNew).toEqual([
      { key: "retry.linkerd.io/limit", since: "2.16 (edge-24.7.5)" },
      { key: "balancer.alpha.linkerd.io/penalize-failures", since: "2.20 (edge-26.6.2)" },
    ]);
    expect(reading.unknown).toEqual([
      { key: "timeout.linkerd.io/requests", nearest: "timeout.linkerd.io/request" },
      { key: "retry.linkerd.io/what" },
    ]);
  });

  test("a reason is one short line whatever the value holds", () => {
    const [problem] = read({ "timeout.linkerd.io/idle": `1\n\t\u00a0\u2028${"x".repeat(5000)}` }).problems;
    expect(problem?.reason).toMatch(/^found "1\\u\{a\}\\u\{9\}\\u\{a0\}\\u\{2028\}x{35}…", wanted [^\n]{1,80}$/);
  });
});

describe("readAnnotations() on a route", () => {
  test("a bad value drops the whole route", () => {
    const reading = read({ "timeout.linkerd.io/request": "3s", "retry.linkerd.io/limit": "3.0" }, "HTTPRoute");
    expect(reading).not.toHaveProperty("timeouts");
    expect(reading.problems[0]).toMatchObject({ suggestion: "3" });
    expect(reading.problems[0]?.drops).toBe("this whole HTTPRoute, matches, weights and filters included");
  });

  test("each route reads the list of its protocol", () => {
    const annotations = { "retry.linkerd.io/http": "5xx", "retry.linkerd.io/grpc": "internal" };
    expect(read(annotations, "HTTPRoute")).toMatchObject({ httpRetry: {}, notReadHere: ["retry.linkerd.io/grpc"] });
    expect(read(annotations, "GRPCRoute")).toMatchObject({ grpcRetry: {}, notReadHere: ["retry.linkerd.io/http"] });
  });

  test.each([
    ["2.15", []],
    ["2.16", ["the write itself: Linkerd's webhook refuses this HTTPRoute"]],
    ["2.19", ["the write itself: Linkerd's webhook refuses this HTTPRoute"]],
    ["2.20", []],
  ])("in %s a bad accrual key there means %j", (version, drops) => {
    const annotations = { "balancer.linkerd.io/failure-accrual": "on", "timeout.linkerd.io/request": "3s" };
    const reading = read(annotations, "HTTPRoute", version);
    expect(reading.notReadHere).toEqual(["balancer.linkerd.io/failure-accrual"]);
    expect(reading.problems.map((problem) => problem.drops)).toEqual(drops);
    expect(reading.timeouts).toEqual(version === "2.15" ? undefined : { requestMs: 3000 });
  });
});

describe("nearestKey()", () => {
  test.each([
    ["retries.linkerd.io/http", "retry.linkerd.io/http"],
    ["retry.linkerd.io/limt", "retry.linkerd.io/limit"],
    ["timeout.linkerd.io/reqeust", "timeout.linkerd.io/request"],
    ["balancer.linkerd.io/failure-acrual", "balancer.linkerd.io/failure-accrual"],
    [
      "balancer.linkerd.io/failure-accrual-max-failures",
      "balancer.linkerd.io/failure-accrual-consecutive-max-failures",
    ],
    ["balancer.linkerd.io/failure-accrual-success-rate-window", THRESHOLD.replace("threshold", "window")],
    ["balancer.linkerd.io/penalise-failures", "balancer.alpha.linkerd.io/penalize-failures"],
    ["retry.linkerd.io/status", undefined],
    ["retry.linkerd.io/", undefined],
    ["a".repeat(300), undefined],
  ])("%s is close to %s", (key, expected) => {
    expect(nearestKey(key)).toBe(expected);
  });
});

describe("routeTimeoutsInForce()", () => {
  const gateway = (request?: string): RouteRule => ({ apiGroup: "gateway.networking.k8s.io", request });
  const linkerd = (request?: string): RouteRule => ({ apiGroup: "policy.linkerd.io", request });
  const service = { requestMs: 9000, idleMs: 1000 };
  const cases = [
    ["nothing", gateway(), {}, "2.20", "none", {}],
    ["the Service alone", gateway(), { service }, "2.20", "service", service],
    ["the field switches the Service off", gateway("5s"), { service }, "2.20", "route", { requestMs: 5000 }],
    ["the gateway field before 2.20", gateway("5s"), { service }, "2.19", "service", service],
    ["a compound gateway field", gateway("1m30s"), { service }, "2.20", "service", service],
    ["a compound Linkerd field", linkerd("1m30.5s"), { service }, "2.16", "route", { requestMs: 90_500 }],
    ["a Linkerd field of microseconds", linkerd("1ms5us"), {}, "2.14", "route", { requestMs: 1.005 }],
    ["a Linkerd field with a stray zero", linkerd("1h0"), { service }, "2.20", "service", service],
    ["an unreadable Linkerd field", linkerd("5"), { service }, "2.20", "service", service],
    ["a zero field", linkerd("0s"), { service }, "2.20", "service", service],
    ["an annotation over the field", linkerd("5s"), { route: { requestMs: 3 } }, "2.20", "route", { requestMs: 3 }],
    ["a zero annotation over the field", linkerd("5s"), { route: { requestMs: 0 } }, "2.20", "route", { requestMs: 0 }],
    ["both", gateway("5s"), { route: { idleMs: 7 }, service }, "2.20", "route", { idleMs: 7, requestMs: 5000 }],
    ["one annotation", gateway(), { route: { idleMs: 7 }, service }, "2.16", "route", { idleMs: 7 }],
  ] as const;
  test.each(
    cases.map(([name, rule, annotated, version, ...expected]) => ({ name, rule, annotated, version, expected })),
  )("$name", ({ rule, annotated, version, expected: [from, timeouts] }) => {
    expect(routeTimeoutsInForce(rule, annotated, known(version))).toEqual({ from, timeouts });
  });
});
