import { describe, expect, test } from "vitest";
import { compilePolicy } from "../../src/core/intent/policy.ts";
import { policy } from "./worlds.ts";

/** `CODE severity path: message | fix` of every finding of a policy for itself. */
function findingsOf(spec: Record<string, unknown>): readonly string[] {
  return compilePolicy(policy(spec)).findings.map(
    ({ code, severity, path, message, fix }) => `${code} ${severity} ${path}: ${message} | ${fix}`,
  );
}

const HTTP = { maxAttempts: 2, statusCodes: ["5xx"] };
const BREAKER = "spec.circuitBreaker";

const CASES: Readonly<Record<string, readonly [spec: Record<string, unknown>, ...findings: string[]]>> = {
  "a breaker of defaults is fine": [{ circuitBreaker: {} }],
  "equal penalties with the default jitter are fine": [{ circuitBreaker: { minPenalty: "30s", maxPenalty: "30s" } }],
  "reversed penalties name both": [
    { circuitBreaker: { minPenalty: "2m", maxPenalty: "90s" } },
    `FL201 deny ${BREAKER}.minPenalty: Found minPenalty 2m above maxPenalty 90s; Linkerd would drop the whole breaker | lower minPenalty or set maxPenalty to at least 2m`,
  ],
  "a min penalty above the default maximum says so": [
    { circuitBreaker: { minPenalty: "60s1ms" } },
    `FL201 deny ${BREAKER}.minPenalty: Found minPenalty 60001ms above maxPenalty 1m (the default); Linkerd would drop the whole breaker | lower minPenalty or set maxPenalty to at least 60001ms`,
  ],
  "a max penalty below the default minimum is found at the maximum": [
    { circuitBreaker: { maxPenalty: "999ms" } },
    `FL201 deny ${BREAKER}.maxPenalty: Found minPenalty 1s (the default) above maxPenalty 999ms; Linkerd would drop the whole breaker | set minPenalty to at most 999ms`,
  ],
  "penalties of a breaker that is off are not compared": [
    { circuitBreaker: { enabled: false, minPenalty: "2m", maxPenalty: "1m" } },
    `FL207 warn ${BREAKER}: enabled is false, so maxPenalty, minPenalty do nothing | remove them, or switch the section on`,
  ],
  "one field without effect": [
    { circuitBreaker: { enabled: false, jitterPercent: 1 } },
    `FL207 warn ${BREAKER}: enabled is false, so jitterPercent does nothing | remove it, or switch the section on`,
  ],
  "a jitter that has no room": [
    { circuitBreaker: { minPenalty: "30s", maxPenalty: "30s", jitterPercent: 20 } },
    `FL208 warn ${BREAKER}.jitterPercent: Found jitter 20% with both penalties 30s; penalty plus jitter is capped at maxPenalty | raise maxPenalty or remove jitterPercent`,
  ],
  "a jitter of 0 needs no room": [{ circuitBreaker: { minPenalty: "30s", maxPenalty: "30s", jitterPercent: 0 } }],
  "a per-try timeout above the request timeout": [
    { retry: { ...HTTP, timeout: "2s1ms" }, timeout: { request: "2s" } },
    "FL202 deny spec.retry.timeout: Cannot exceed spec.timeout.request: found 2001ms, the whole request may take 2s | lower it below 2s or raise spec.timeout.request",
  ],
  "a per-try timeout equal to the request timeout leaves no time for a second try": [
    { retry: { ...HTTP, timeout: "2s" }, timeout: { request: "2s" } },
    "FL203 warn spec.retry.timeout: 3 tries of 2s need 6s, spec.timeout.request is 2s | set spec.timeout.request to at least 6s, or lower maxAttempts or the per-try timeout",
  ],
  "tries that fit exactly": [{ retry: { ...HTTP, timeout: "1s" }, timeout: { request: "3s" } }],
  "timeouts are not compared without retries": [
    { retry: { maxAttempts: 0, timeout: "3s" }, timeout: { request: "2s" } },
    "FL207 warn spec.retry: maxAttempts is 0, so timeout does nothing | remove it, or switch the section on",
  ],
  "all bad codes are reported, each with its index": [
    { retry: { maxAttempts: 1, statusCodes: ["5xx", "101", "204-404", "399-400"] } },
    'FL204 deny spec.retry.statusCodes[1]: Found "101": 1xx is never a final response, so it can never be retried | list failures only, such as 5xx or 429',
    'FL204 deny spec.retry.statusCodes[2]: Found "204-404": it contains codes that are not failures (below 400) | write "400-404"',
    'FL204 deny spec.retry.statusCodes[3]: Found "399-400": it contains codes that are not failures (below 400) | write "400-400"',
  ],
  "codes from 400 on are fine": [{ retry: { maxAttempts: 1, statusCodes: ["400", "404-599", "gateway-error"] } }],
  "tries that reach consecutiveFailures open the breaker": [
    { circuitBreaker: { consecutiveFailures: 3 }, retry: HTTP },
    `FL205 warn ${BREAKER}.consecutiveFailures: One request makes up to 3 tries and consecutiveFailures is 3: a single request can shut an endpoint | raise consecutiveFailures above 3 or lower maxAttempts`,
  ],
  "gRPC codes that the breaker counts open it too": [
    { circuitBreaker: { consecutiveFailures: 1 }, retry: { maxAttempts: 1, grpcCodes: ["internal"] } },
    `FL205 warn ${BREAKER}.consecutiveFailures: One request makes up to 2 tries and consecutiveFailures is 1: a single request can shut an endpoint | raise consecutiveFailures above 2 or lower maxAttempts`,
  ],
  "one try less than consecutiveFailures is fine": [{ circuitBreaker: { consecutiveFailures: 4 }, retry: HTTP }],
  "codes that the breaker does not count are fine": [
    {
      circuitBreaker: { consecutiveFailures: 1 },
      retry: { maxAttempts: 2, statusCodes: ["429"], grpcCodes: ["cancelled", "resource-exhausted"] },
    },
  ],
  "a breaker that is off is not opened": [{ circuitBreaker: { enabled: false }, retry: HTTP }],
  "timeouts that the request timeout always beats": [
    { timeout: { request: "1s", response: "1s", idle: "1001ms" } },
    "FL206 warn spec.timeout.idle: Found 1001ms, but spec.timeout.request ends the request after 1s | lower it below 1s or remove it",
  ],
  "timeouts without a request timeout are not compared": [{ timeout: { response: "1h", idle: "1ms" } }],
};

test.each(Object.entries(CASES))("%s", (_, [spec, ...findings]) => {
  expect(findingsOf(spec)).toEqual(findings);
});

describe("compilePolicy()", () => {
  test("a denied policy is readable and never applied", () => {
    const compilation = compilePolicy(policy({ retry: { maxAttempts: 1, statusCodes: ["200"] } }));
    expect(compilation.policy).toBeUndefined();
    expect(compilation.readable?.intent.retry?.statusCodes).toEqual(["200"]);
  });

  test("a policy that warns is applied", () => {
    expect(compilePolicy(policy({ timeout: { request: "1s", idle: "1h" } })).policy?.name).toBe("user-service");
  });

  test("defaults are filled in, and elided in the revision", () => {
    const written = {
      minPenalty: "1000ms",
      maxPenalty: "60s",
      jitterPercent: 50,
      consecutiveFailures: 7,
      enabled: true,
    };
    const [short, long] = [
      policy({ circuitBreaker: {} }),
      policy({ mesh: "Auto", conflictResolution: "PreferExisting", circuitBreaker: written }),
    ].map((object) => compilePolicy(object).policy);
    expect(short?.intent).toEqual(long?.intent);
    expect(short?.revision).toBe(long?.revision);
  });

  test("the order of clients and paths, and what is said twice, are elided too", () => {
    const accounts = [
      { namespace: "front", name: "web" },
      { name: "batch", namespace: "jobs" },
    ];
    const allow = (from: object, paths: readonly object[]) => ({ allow: [{ from, to: { paths, methods: ["GET"] } }] });
    const [short, long] = [
      allow({ serviceAccounts: accounts, namespaces: ["a", "b"] }, [{ value: "/users" }]),
      allow({ serviceAccounts: accounts.toReversed(), namespaces: ["b", "a", "b"] }, [
        { type: "PathPrefix", value: "/users/" },
        { value: "/users" },
      ]),
    ].map((authorization) => compilePolicy(policy({ authorization })).policy);
    expect(short?.intent.authorization).toEqual(long?.intent.authorization);
    expect(short?.revision).toBe(long?.revision);
  });

  test.each([
    ["a value", { circuitBreaker: { consecutiveFailures: 8 } }],
    ["the conflict resolution", { circuitBreaker: {}, conflictResolution: "Override" }],
    ["the mesh", { circuitBreaker: {}, mesh: "Linkerd" }],
    ["the target", { circuitBreaker: {}, targetRefs: [{ kind: "Service", name: "other" }] }],
    ["a section", { circuitBreaker: {}, timeout: { idle: "1s" } }],
  ])("another revision for another spec: %s", (_, spec) => {
    const revision = compilePolicy(policy(spec)).policy?.revision;
    expect(revision).toMatch(/^[0-9a-f]{12}$/);
    expect(revision).not.toBe(compilePolicy(policy({ circuitBreaker: {} })).policy?.revision);
  });

  test("metadata and status do not change the revision", () => {
    const changed = {
      ...policy({ circuitBreaker: {} }, { generation: 9, labels: { a: "b" } }),
      status: { targets: "x" },
    };
    expect(compilePolicy(changed).policy?.revision).toBe(
      compilePolicy(policy({ circuitBreaker: {} })).policy?.revision,
    );
  });

  test.each([null, 1, "x", [], {}, { spec: null }, { metadata: null, spec: {} }, JSON.parse('{"__proto__":1}')])(
    "%j is no policy, and no reason to throw",
    (object) => {
      const { policy: compiled, findings } = compilePolicy(object);
      expect(compiled).toBeUndefined();
      expect(new Set(findings.map((item) => item.code))).toEqual(new Set(["FL101"]));
    },
  );
});
