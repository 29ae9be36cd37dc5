import { Buffer } from "node:buffer";
import { request } from "node:https";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { annotationsOf } from "../../src/core/kubernetes.ts";
import { expectCarries, expectClean, policy, Session, service } from "./session.ts";

let session: Session;
beforeAll(async () => {
  session = await Session.start();
  await session.namespace("iam", "enforce");
});
afterAll(() => session?.stop());

const RECORD = "fairlead.dev/injected";
const TARGET = { targetRefs: [{ kind: "Service", name: "web" }] };
const TIMEOUT = { "timeout.linkerd.io/request": "2500ms" };

/** All that kubectl writes when a create is refused. */
function forbidden(
  webhook: string,
  { warnings = [], text }: { readonly warnings?: readonly string[]; readonly text: readonly string[] },
): string {
  const refused = `Error from server (Forbidden): error when creating "STDIN": admission webhook "${webhook}.fairlead.dev" denied the request: `;
  return `${warnings.map((warning) => `Warning: ${warning}\n`).join("")}${refused}${text.join("\n")}\n`;
}

describe("kubectl shows every finding, sorted, with its fix", () => {
  test("of a policy", async () => {
    const wrong = {
      ...TARGET,
      circuitBreaker: { minPenalty: "2m" },
      retry: { maxAttempts: 2, statusCodes: ["200-299", "5xx", "101"], timeout: "3s" },
      timeout: { request: "2s" },
    };
    expect(await session.refused("create -f -", policy("iam", "p", wrong))).toBe(
      forbidden("policies", {
        warnings: [
          "FL311 spec.retry.timeout: Linkerd's per-try timeout ends with the response headers and is lifted on the last try; nothing to do: spec.timeout.request bounds the request as a whole",
          "FL301 spec.targetRefs[0]: Service iam/web does not exist yet; create it, or correct the name; the policy applies as soon as it exists",
        ],
        text: [
          "ResiliencePolicy iam/p cannot be accepted, 4 problems:",
          "- spec.circuitBreaker.minPenalty: Found minPenalty 2m above maxPenalty 1m (the default); Linkerd would drop the whole breaker (FL201)",
          "  fix: lower minPenalty or set maxPenalty to at least 2m",
          '- spec.retry.statusCodes[0]: Found "200-299": it contains codes that are not failures (below 400) (FL204)',
          "  fix: list failures only, such as 5xx or 429",
          '- spec.retry.statusCodes[2]: Found "101": 1xx is never a final response, so it can never be retried (FL204)',
          "  fix: list failures only, such as 5xx or 429",
          "- spec.retry.timeout: Cannot exceed spec.timeout.request: found 3s, the whole request may take 2s (FL202)",
          "  fix: lower it below 2s or raise spec.timeout.request",
        ],
      }),
    );
  });

  test("of a Service", async () => {
    const annotations = {
      "balancer.linkerd.io/failure-accrual": "on",
      "retry.linkerd.io/http": "200-299",
      "timeout.linkerd.io/request": "0s",
    };
    expect(await session.refused("create -f -", service("iam", "bad", { annotations }))).toBe(
      forbidden("services", {
        text: [
          "Service iam/bad cannot be accepted, 3 problems:",
          '- balancer.linkerd.io/failure-accrual: Found "on", wanted consecutive or unified, in lower case, without spaces; Linkerd would drop the circuit breaker of this Service (FL401)',
          "  fix: correct it or remove it",
          "- retry.linkerd.io/http: Found 200-299: codes below 400 are no failures, so requests that succeeded would be repeated (FL403)",
          '  fix: list failures only, such as "5xx,429"',
          "- timeout.linkerd.io/request: Found zero, which Linkerd takes as a deadline of now: requests to this Service would get 504 (FL402)",
          "  fix: remove it for no timeout, or write a duration such as 10s",
        ],
      }),
    );
  });

  test.each([
    [
      "gateway.networking.k8s.io/v1",
      "HTTPRoute",
      'retry.linkerd.io/http, so no status is retried; add retry.linkerd.io/http, for example "5xx"',
    ],
    [
      "policy.linkerd.io/v1beta3",
      "HTTPRoute",
      'retry.linkerd.io/http, so no status is retried; add retry.linkerd.io/http, for example "5xx"',
    ],
    [
      "gateway.networking.k8s.io/v1",
      "GRPCRoute",
      'retry.linkerd.io/grpc, so no status is retried; add retry.linkerd.io/grpc, for example "unavailable"',
    ],
  ])("of a route: %s %s", async (apiVersion, kind, missing) => {
    const annotations = { "timeout.linkerd.io/idle": "1 h", "retry.linkerd.io/limit": "2" };
    const parentRefs = [{ group: "", kind: "Service", name: "web", port: 80 }];
    const route = { apiVersion, kind, metadata: { name: "bad", namespace: "iam", annotations }, spec: { parentRefs } };
    expect(await session.refused("create -f -", route)).toBe(
      forbidden("routes", {
        warnings: [`FL415 retry.linkerd.io/limit: Found no ${missing}`],
        text: [
          `${kind} iam/bad cannot be accepted, 1 problem:`,
          `- timeout.linkerd.io/idle: Found "1 h", wanted one whole number and one unit of ms, s, m, h, d, such as 500ms; Linkerd would drop this whole ${kind}, matches, weights and filters included (FL401)`,
          '  fix: write "1h"',
        ],
      }),
    );
  });

  test("a policy that does not fit the schema is refused by the API server itself", async () => {
    const unknown = policy("iam", "p", { ...TARGET, circuitBreaker: {}, bulkhead: {} });
    expect(await session.refused("create -f -", unknown)).toBe(
      'Error from server (BadRequest): error when creating "STDIN": ResiliencePolicy in version "v1alpha1" cannot be handled as a ResiliencePolicy: strict decoding error: unknown field "spec.bulkhead"\n',
    );
    const bounds = policy("iam", "p", { ...TARGET, circuitBreaker: { consecutiveFailures: 0 } });
    expect(await session.refused("create -f -", bounds)).toBe(
      'The ResiliencePolicy "p" is invalid: spec.circuitBreaker.consecutiveFailures: Invalid value: 0: spec.circuitBreaker.consecutiveFailures in body should be greater than or equal to 1\n',
    );
  });
});

describe("policies without effect are admitted, and say so", () => {
  test("where the target does not exist", async () => {
    const warnings = await session.policy("iam", "p", { ...TARGET, timeout: { request: "2s500ms" } });
    expect(warnings).toEqual([
      "FL301 spec.targetRefs[0]: Service iam/web does not exist yet; create it, or correct the name; the policy applies as soon as it exists",
    ]);
    await session.deletePolicy("iam", "p");
  });

  test("where the namespace is not opted in; what is wrong is refused there all the same", async () => {
    await session.namespace("outside");
    await session.kubectl(
      "create -f -",
      service("outside", "web", { annotations: { "retry.linkerd.io/http": "5xx, 429" } }),
    );
    expect(await session.policy("outside", "p", { ...TARGET, timeout: { request: "2s500ms" } })).toEqual([
      "FL308 metadata.namespace: Namespace outside is not opted in, so the policy has no effect yet; kubectl label namespace outside fairlead.dev/mode=enforce",
    ]);
    expectClean(await session.service("outside", "web"), { "retry.linkerd.io/http": "5xx, 429" });
    const wrong = policy("outside", "q", { ...TARGET, circuitBreaker: { minPenalty: "2m" } });
    expect(await session.refused("create -f -", wrong)).toContain(
      "ResiliencePolicy outside/q cannot be accepted, 1 problem:",
    );
  });

  test.each(["kube-system", "fairlead"])("in %s nothing is asked, whatever its label says", async (namespace) => {
    await session.mode(namespace, "enforce");
    const annotations = { "retry.linkerd.io/http": "5xx, 429", [RECORD]: "{" };
    const { warnings } = await session.kubectl("apply -f -", policy(namespace, "p", { ...TARGET, circuitBreaker: {} }));
    const created = await session.write("create -f -", service(namespace, "web", { annotations }));
    expect([...warnings, ...created.warnings]).toEqual([]);
    await session.settled(namespace);
    expect(annotationsOf(await session.service(namespace, "web"))).toEqual(annotations);
    expect((await session.audited(namespace, "web")).map(({ patches }) => patches)).toStrictEqual([{}]);
  });
});

describe("large objects", () => {
  const LIMIT_BYTES = 256 * 1024;
  beforeAll(async () => {
    await session.namespace("large", "enforce");
    const targetSelector = { matchLabels: { size: "large" } };
    await session.policy("large", "p", { targetSelector, timeout: { request: "2s500ms" } });
  });
  const large = (name: string, annotations: object): object =>
    service("large", name, { annotations, labels: { size: "large" } });
  const bytes = (annotations: object): number => Buffer.byteLength(Object.entries(annotations).flat().join(""));

  test("a Service with 1,000 annotations is injected", async () => {
    const entries = Array.from({ length: 1_000 }, (_, index) => [`example.com/key-${index}`, `value ${index}`]);
    const people = Object.fromEntries(entries) as Record<string, string>;
    const { object, warnings } = await session.write("create -f -", large("many", people));
    expect(warnings).toEqual([]);
    expectCarries(object, { policy: "p", keys: TIMEOUT, people });
  });

  test("a Service is injected up to the last byte of the limit, and left alone beyond it", async () => {
    const small = await session.write("create -f -", large("small", {}));
    const room = LIMIT_BYTES - bytes(annotationsOf(small.object)) - "filler".length;
    // Two bytes each in UTF-8.
    const filler = "é".repeat(Math.floor(room / 2)) + "x".repeat(room % 2);
    const full = await session.write("create -f -", large("full", { filler }));
    expect(full.warnings).toEqual([]);
    expectCarries(full.object, { policy: "p", keys: TIMEOUT, people: { filler } });
    expect(bytes(annotationsOf(full.object))).toBe(LIMIT_BYTES);
    const over = await session.write("create -f -", large("over", { filler: `${filler}x` }));
    expect(over.warnings).toEqual([
      "FL506 fairlead.dev/injected: With the injected settings the annotations would pass 256 KiB; the object is left as it is; remove or shorten annotations",
    ]);
    expectClean(over.object, { filler: `${filler}x` });
    await session.settled("large");
    expect(await session.audited("large", "over")).toHaveLength(1);
  });
});

describe("a forged record", () => {
  const forged = JSON.stringify({
    policy: "p",
    revision: "000000000000",
    keys: { "timeout.linkerd.io/request": "9s", "example.com/note": "mine" },
    replaced: { "timeout.linkerd.io/response": "1s", "retry.linkerd.io/http": "5xx, 429", "example.com/other": "x" },
  });
  const people = { "timeout.linkerd.io/request": "9s", "example.com/note": "mine" };

  test("on create makes no key ours, and brings none in", async () => {
    await session.namespace("forged", "enforce");
    await session.policy("forged", "p", { ...TARGET, timeout: { request: "2s500ms", idle: "1m" } });
    const manifest = service("forged", "web", { annotations: { ...people, [RECORD]: forged } });
    const { object, warnings } = await session.write("create -f -", manifest);
    expect(warnings).toEqual([
      'FL502 timeout.linkerd.io/request: Kept "9s"; ResiliencePolicy p wants "2500ms"; remove it from the manifest, or set conflictResolution: Override',
    ]);
    expectCarries(object, { policy: "p", keys: { "timeout.linkerd.io/idle": "60000ms" }, people });
    await session.deletePolicy("forged", "p");
    expectClean(await session.service("forged", "web"), people);
  });

  test.each([
    ["forged", forged],
    ["broken", "{"],
    ["empty", ""],
    ["of another shape", "[1]"],
  ])("written over ours (%s) is written anew in the same write", async (kind, record) => {
    const namespace = `over-${kind.replaceAll(" ", "-")}`;
    await session.namespace(namespace, "enforce");
    await session.policy(namespace, "p", { ...TARGET, timeout: { request: "2s500ms" } });
    const { object } = await session.write("create -f -", service(namespace, "web"));
    const { warnings } = await session.kubectl([
      "annotate",
      "service",
      "web",
      "-n",
      namespace,
      "--overwrite",
      `${RECORD}=${record}`,
    ]);
    expect(warnings).toEqual([]);
    const after = await session.service(namespace, "web");
    expect(annotationsOf(after)).toEqual(annotationsOf(object));
    await session.kubectl(`annotate service web -n ${namespace} ${RECORD}-`);
    expect(annotationsOf(await session.service(namespace, "web"))).toEqual(annotationsOf(object));
    await session.settled(namespace);
    expect(await session.audited(namespace, "web", 3)).toHaveLength(3);
  });

  test("on a Service without policy is taken off", async () => {
    const { object, warnings } = await session.write(
      "create -f -",
      service("iam", "plain", { annotations: { ...people, [RECORD]: forged } }),
    );
    expect(warnings).toEqual([]);
    expectClean(object, people);
  });
});

describe("duplicate requests", () => {
  test("one of several equal creates wins, the others are told that it exists", async () => {
    await session.namespace("duplicate", "enforce");
    await session.policy("duplicate", "p", { ...TARGET, timeout: { request: "2s500ms" } });
    const creates = await Promise.all(
      Array.from({ length: 4 }, () => session.run("create -f -", service("duplicate", "web"))),
    );
    const exists = 'Error from server (AlreadyExists): error when creating "STDIN": services "web" already exists\n';
    expect(creates.map(({ stderr }) => stderr).sort()).toEqual(["", exists, exists, exists]);
    expectCarries(await session.service("duplicate", "web"), { policy: "p", keys: TIMEOUT });
  });

  test("the same review sent twice is answered alike", async () => {
    const review = JSON.stringify({
      apiVersion: "admission.k8s.io/v1",
      kind: "AdmissionReview",
      request: {
        uid: "705ab4f5-6393-11e8-b7cc-42010a800002",
        kind: { group: "", version: "v1", kind: "Service" },
        operation: "CREATE",
        namespace: "duplicate",
        name: "web",
        object: service("duplicate", "web"),
      },
    });
    const { stdout } = await session.kubectl("get mutatingwebhookconfiguration fairlead -o json");
    const { url, caBundle } = JSON.parse(stdout).webhooks[0].clientConfig as { url: string; caBundle: string };
    const answers: string[] = [];
    for (let time = 0; time < 2; time++) {
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      const ca = Buffer.from(caBundle, "base64");
      const headers = { "content-type": "application/json", connection: "close" };
      request(url, { method: "POST", ca, headers }, (response) => resolve(text(response)))
        .on("error", reject)
        .end(review);
      answers.push(await promise);
    }
    expect(answers[0]).toContain('"patch":');
    expect(answers[1]).toBe(answers[0]);
  });
});
