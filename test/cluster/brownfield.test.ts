import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { annotationsOf } from "../../src/core/kubernetes.ts";
import { expectCarries, expectClean, ownAnnotations, Session, service } from "./session.ts";

let session: Session;
beforeAll(async () => {
  session = await Session.start();
});
afterAll(() => session?.stop());

/** One value of each group that Linkerd drops, and a key that it does not know. */
const BAD = {
  "balancer.linkerd.io/failure-accrual": "consecutive",
  "balancer.linkerd.io/failure-accrual-consecutive-min-penalty": "2m",
  "retry.linkerd.io/http": "5xx, 429",
  "timeout.linkerd.io/request": "10 s",
  "timeout.linkerd.io/requst": "10s",
};
const BREAKER =
  'FL401 balancer.linkerd.io/failure-accrual-consecutive-min-penalty: Found min-penalty "2m", above max-penalty 60s, the default; wanted at most that; write "60s"';
const RETRY =
  'FL401 retry.linkerd.io/http: Found item " 429" in "5xx, 429", wanted 5xx, gateway-error, 100 to 599 or a range like 500-504, without spaces; write "5xx,429"';
const TIMEOUT =
  'FL401 timeout.linkerd.io/request: Found "10 s", wanted one whole number and one unit of ms, s, m, h, d, such as 500ms; Linkerd would drop every timeout annotation of this Service; write "10s"';
const TYPO =
  "FL418 timeout.linkerd.io/requst: Linkerd does not know this annotation and ignores it; remove it, or rename it to timeout.linkerd.io/request";
const WARNINGS = [BREAKER, RETRY, TIMEOUT, TYPO];

function bad(namespace: string, metadata: object = {}): object {
  const ports = [{ name: "http", port: 80 }];
  return { ...service(namespace, "web", { annotations: BAD, ...metadata }), spec: { type: "LoadBalancer", ports } };
}

function patch(namespace: string, body: object, ...more: string[]): string[] {
  return ["patch", "service", "web", "-n", namespace, "--type", "merge", "-p", JSON.stringify(body), ...more];
}

/** All that kubectl writes when a change is refused: what stays wrong as warnings, and what the change is refused for. */
function refusal(warnings: readonly string[], ...problems: readonly string[]): string {
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  return [
    ...warnings.map((text) => `Warning: ${text}`),
    `Error from server (Forbidden): admission webhook "services.fairlead.dev" denied the request: Service legacy/web cannot be accepted, ${count}:`,
    ...problems,
    "",
  ].join("\n");
}

describe("a namespace full of bad old annotations is labelled enforce", () => {
  beforeAll(async () => {
    await session.namespace("legacy");
    expect((await session.kubectl("apply -f -", bad("legacy"))).warnings).toEqual([]);
    await session.mode("legacy", "enforce");
  });

  test("and nothing is written", async () => {
    expectClean(await session.service("legacy", "web"), BAD);
    expect(await session.audited("legacy", "web")).toHaveLength(1);
  });

  test.each([
    ["a label", "label service web -n legacy team=iam"],
    ["another annotation", "annotate service web -n legacy note=mine"],
    ["ports", patch("legacy", { spec: { ports: [{ name: "http", port: 80, targetPort: 8080 }] } })],
    ["a finalizer", patch("legacy", { metadata: { finalizers: ["example.com/cleanup"] } })],
    ["no finalizer", patch("legacy", { metadata: { finalizers: null } })],
  ])("%s can be written, with warnings of all that is wrong", async (_, args) => {
    expect((await session.kubectl(args)).warnings).toEqual(WARNINGS);
  });

  test("the manifest can be applied again with a change elsewhere", async () => {
    const { warnings } = await session.kubectl("apply -f -", bad("legacy", { labels: { team: "other" } }));
    expect(warnings).toEqual(WARNINGS);
  });

  test("its status is not looked at", async () => {
    const status = { loadBalancer: { ingress: [{ ip: "192.0.2.1" }] } };
    const { warnings } = await session.kubectl(patch("legacy", { status }, "--subresource", "status"));
    expect(warnings).toEqual([]);
    expect(await session.service("legacy", "web")).toMatchObject({ status });
  });

  test("touching a bad value without mending it is refused, and only that one", async () => {
    const stderr = await session.refused("annotate service web -n legacy --overwrite retry.linkerd.io/http=5xx;429");
    expect(stderr).toBe(
      refusal(
        [BREAKER, TIMEOUT, TYPO],
        '- retry.linkerd.io/http: Found "5xx;429", wanted 5xx, gateway-error, 100 to 599 or a range like 500-504, without spaces; Linkerd would drop every HTTP retry setting of this Service (FL401)\n  fix: write "5xx,429"',
      ),
    );
    const annotations = { "timeout.linkerd.io/idle": "1w", "retry.linkerd.io/limit": "-1" };
    expect(await session.refused(patch("legacy", { metadata: { annotations } }))).toBe(
      refusal(
        WARNINGS,
        '- retry.linkerd.io/limit: Found "-1", wanted a whole number from 0 to 65535, digits only; Linkerd would drop every retry setting of this Service (FL401)\n  fix: correct it or remove it',
        '- timeout.linkerd.io/idle: Found "1w", wanted one whole number and one unit of ms, s, m, h, d, such as 500ms; Linkerd would drop every timeout annotation of this Service (FL401)\n  fix: correct it or remove it',
      ),
    );
    expect(ownAnnotations(await session.service("legacy", "web"))).toEqual({ ...BAD, note: "mine" });
  });

  test("mending or removing a value is accepted, and what is left still warned of", async () => {
    const mended = await session.kubectl("annotate service web -n legacy --overwrite retry.linkerd.io/http=5xx,429");
    expect(mended.warnings).toEqual([BREAKER, TIMEOUT, TYPO]);
    const removed = await session.kubectl("annotate service web -n legacy timeout.linkerd.io/request-");
    expect(removed.warnings).toEqual([BREAKER, TYPO]);
  });

  test("it can be deleted", async () => {
    expect((await session.kubectl("delete service web -n legacy")).warnings).toEqual([]);
  });
});

test("a policy that finds bad old values fills only the groups that would hold", async () => {
  await session.namespace("partly");
  const { "timeout.linkerd.io/request": _timeout, ...annotations } = BAD;
  await session.kubectl("create -f -", service("partly", "web", { annotations }));
  await session.mode("partly", "enforce");
  const retry = { maxAttempts: 1, statusCodes: ["503"] };
  const targetRefs = [{ kind: "Service", name: "web" }];
  const policy = { targetRefs, circuitBreaker: {}, retry, timeout: { request: "2s" } };
  expect(await session.policy("partly", "p", policy)).toEqual([]);
  const keys = { "timeout.linkerd.io/request": "2000ms" };
  expectCarries(await session.service("partly", "web"), { policy: "p", keys, people: annotations });
  const { warnings } = await session.kubectl("label service web -n partly team=iam");
  const kept = (key: string, section: string): string =>
    `FL503 ${key}: The ${section} settings stay as written; remove them from the manifest, or set conflictResolution: Override`;
  expect(warnings).toEqual([
    kept("balancer.linkerd.io/failure-accrual", "circuitBreaker"),
    BREAKER,
    RETRY,
    kept("retry.linkerd.io/http", "retry"),
    TYPO,
  ]);
});

describe("warn mode", () => {
  test("accepts everything, injects, and warns of what enforce would refuse", async () => {
    await session.namespace("gentle", "warn");
    await session.policy("gentle", "p", {
      targetRefs: [{ kind: "Service", name: "web" }],
      retry: { maxAttempts: 1, statusCodes: ["503"] },
    });
    const { object, warnings } = await session.write(
      "create -f -",
      service("gentle", "web", { annotations: { "timeout.linkerd.io/request": "10 s" } }),
    );
    expect(warnings).toEqual([
      'FL401 would be refused: timeout.linkerd.io/request: Found "10 s", wanted one whole number and one unit of ms, s, m, h, d, such as 500ms; write "10s"',
    ]);
    const keys = { "retry.linkerd.io/http": "503", "retry.linkerd.io/limit": "1" };
    expectCarries(object, { policy: "p", keys, people: { "timeout.linkerd.io/request": "10 s" } });
    const touched = await session.kubectl("annotate service web -n gentle --overwrite timeout.linkerd.io/request=0s");
    const zero =
      "timeout.linkerd.io/request: Found zero, which Linkerd takes as a deadline of now: requests to this Service would get";
    const fix = "; remove it for no timeout, or write a duration such as 10s";
    expect(touched.warnings).toEqual([`FL402 would be refused: ${zero}…${fix}`]);
    const elsewhere = await session.kubectl("label service web -n gentle team=iam");
    expect(elsewhere.warnings).toEqual([`FL402 ${zero} 504${fix}`]);
  });
});

describe("audit mode", () => {
  test("touches nothing and says nothing, whatever is written", async () => {
    await session.namespace("silent", "audit");
    const warnings = await session.policy("silent", "p", {
      targetRefs: [{ kind: "Service", name: "web" }],
      circuitBreaker: { consecutiveFailures: 5 },
    });
    expect(warnings).toEqual([]);
    const created = await session.write("create -f -", bad("silent"));
    expect(created.warnings).toEqual([]);
    expectClean(created.object, BAD);
    const touched = await session.kubectl(
      "annotate service web -n silent --overwrite retry.linkerd.io/http=x fairlead.dev/injected={}",
    );
    expect(touched.warnings).toEqual([]);
    await session.settled("silent");
    expect(annotationsOf(await session.service("silent", "web"))).toEqual({
      ...BAD,
      "retry.linkerd.io/http": "x",
      "fairlead.dev/injected": "{}",
    });
    expect((await session.audited("silent", "web", 2)).map(({ patches }) => patches["fairlead/0"])).toEqual([
      undefined,
      undefined,
    ]);
  });
});
