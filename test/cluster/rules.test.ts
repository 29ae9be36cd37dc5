import { globSync } from "node:fs";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { policy, Session, service } from "./session.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
/** Moves the clock by which exceptions end. */
let aheadMs = 0;

let session: Session;
beforeAll(async () => {
  session = await Session.start({ config: { nowMs: () => Date.now() + aheadMs } });
  await session.namespace("shop", "enforce");
  await session.namespace("trial", "warn");
  await session.namespace("quiet", "audit");
  await session.kubectl(
    "apply -f -",
    policy("shop", "timed", { targetSelector: { matchLabels: TIMED }, timeout: { request: "2s" } }),
  );
  await session.kubectl("apply -f examples/rules/");
  await session.kubectl("wait admissionrules --all --for=condition=Ready --timeout=30s");
  const wrong = { ...unnamed("probe"), spec: { ports: [{ port: 80 }], externalIPs: ["198.51.100.7"] } };
  for (const entry of ["rules-fail", "rules-ignore"]) {
    const isAsked = async (): Promise<boolean> =>
      (
        await session.run("create --dry-run=server -f -", entry === "rules-fail" ? wrong : unnamed("probe"))
      ).stderr.includes(`"${entry}.fairlead.dev" denied`);
    await waitFor(`the API server to ask ${entry}`, isAsked);
  }
});
afterAll(() => session?.stop());

/** Such Services get a request timeout from a policy. */
const TIMED = { timed: "yes" };

type Write = Readonly<Record<string, unknown>>;

function written(name: string, spec: object, metadata: object = {}): Write {
  return { ...service("shop", name, metadata), spec };
}

/** A Service that has neither a name for its port nor a timeout. */
function unnamed(name: string, namespace = "shop"): Write {
  return { ...service(namespace, name), spec: { ports: [{ port: 80 }] } };
}

function named(name: string, metadata: object = {}): Write {
  return written(name, { ports: [{ name: "http", port: 80 }] }, metadata);
}

const NO_TIMEOUT = [
  "- rule request-timeout: no request timeout is in force, so a caller may wait for ever; found mesh.applies = true, variables.timeout = none (FL720)",
  "  fix: set timeout.request in a ResiliencePolicy for it",
];
const NOT_IDEMPOTENT = [
  '- rule idempotent-retries: POST and PATCH requests to it would be sent again when they fail; found variables.isListed = false, variables.open = ["POST", "PATCH"] (FL720)',
  "  fix: set retry.maxAttempts 0 for them in an entry of routes, or name the Service in params.listed",
];
const BY_HAND = "  fix: remove them, and say the same in a ResiliencePolicy";
const NO_NAME = [
  '- spec.ports: rule named-ports: ports without a name: 80; found object.spec.ports = [{protocol: "TCP", port: 80, targetPort: 80}] (FL720)',
  "  fix: give each port a name, such as http or grpc",
];
const TOO_LONG =
  "  fix: lower timeout.request; what takes long belongs into a Service or route of its own, with an exception";

/** What kubectl writes after a refusal, beginning with what the rules say. */
function refusal(entry: "fail" | "ignore", subject: string, lines: readonly string[]): string {
  const count = lines.length === 2 ? "1 problem" : `${lines.length / 2} problems`;
  const denied = `admission webhook "rules-${entry}.fairlead.dev" denied the request: `;
  return `${denied}${subject} cannot be accepted, ${count}:\n${lines.join("\n")}\n`;
}

/** Names of the rules that have refused something with exactly the text that is expected. */
const told = new Set<string>();

describe("the guardrails of examples/rules refuse, all at once and with a fix", () => {
  test.each<readonly [what: string, write: Write, text: string]>([
    [
      "a Service with neither timeout nor names",
      unnamed("a"),
      `The request is invalid: error when creating "STDIN": ${refusal("ignore", "Service shop/a", [...NO_TIMEOUT, ...NO_NAME])}`,
    ],
    [
      "settings by hand that retry too often, what must not be sent twice, and for too long",
      named("a", {
        annotations: {
          "retry.linkerd.io/http": "5xx",
          "retry.linkerd.io/limit": "5",
          "timeout.linkerd.io/request": "1m",
        },
      }),
      `The request is invalid: error when creating "STDIN": ${refusal("ignore", "Service shop/a", [
        "- rule bounded-retries: a request may be retried 5 times, wanted at most 3; found variables.most = 5, params.max = 3 (FL720)",
        "  fix: lower retry.maxAttempts",
        ...NOT_IDEMPOTENT,
        '- rule no-handwritten-settings: settings by hand: retry.linkerd.io/http, retry.linkerd.io/limit, timeout.linkerd.io/request; found variables.isGenerated = false, variables.byHand = ["retry.linkerd.io/http", "retry.linkerd.io/limit", "timeout… (FL720)',
        BY_HAND,
        '- rule request-timeout: the request timeout in force is 60s, wanted at most 30s; found variables.timeout = 60s, params.max = "30s" (FL720)',
        TOO_LONG,
      ])}`,
    ],
    [
      "a critical Service without a breaker",
      named("b", { labels: { "fairlead.dev/tier": "critical" } }),
      `The request is invalid: error when creating "STDIN": ${refusal("ignore", "Service shop/b", [
        '- rule breaker-at-critical: no circuit breaker is in force, which fairlead.dev/tier: critical wants; found variables.tier = "critical", params.tiers = ["critical"], mesh.applies = true (FL720)',
        "  fix: add circuitBreaker: {} to a ResiliencePolicy for it; the defaults are a good start",
        ...NO_TIMEOUT,
      ])}`,
    ],
    [
      "retries that nothing ends",
      named("b", { annotations: { "retry.linkerd.io/http": "5xx", "retry.linkerd.io/limit": "1" } }),
      `The request is invalid: error when creating "STDIN": ${refusal("ignore", "Service shop/b", [
        ...NOT_IDEMPOTENT,
        '- rule no-handwritten-settings: settings by hand: retry.linkerd.io/http, retry.linkerd.io/limit; found variables.isGenerated = false, variables.byHand = ["retry.linkerd.io/http", "retry.linkerd.io/limit"] (FL720)',
        BY_HAND,
        ...NO_TIMEOUT,
        "- rule retry-needs-timeout: a request may be retried 1 times, and no request timeout ends it; found effective.retry.maxAttempts = 1, effective.timeout.request is not set (FL720)",
        "  fix: set timeout.request where retry is set",
      ])}`,
    ],
    [
      "tries that the request timeout cuts off",
      named("b", {
        annotations: {
          "retry.linkerd.io/http": "5xx",
          "retry.linkerd.io/limit": "2",
          "retry.linkerd.io/timeout": "2s",
          "timeout.linkerd.io/request": "5s",
        },
      }),
      `The request is invalid: error when creating "STDIN": ${refusal("ignore", "Service shop/b", [
        ...NOT_IDEMPOTENT,
        '- rule no-handwritten-settings: settings by hand: retry.linkerd.io/http, retry.linkerd.io/limit, retry.linkerd.io/timeout, timeout.linkerd.io/request; found variables.isGenerated = false, variables.byHand = ["retry.linkerd.io/http", "retry.linkerd.io/limit", "retry.l… (FL720)',
        BY_HAND,
        "- rule tries-fit-timeout: 3 tries of 2000 ms each do not fit into the request timeout of 5000 ms; found variables.wholeMs = 5000, variables.tries = 3, variables.eachMs = 2000 (FL720)",
        "  fix: raise timeout.request, lower retry.timeout, or retry less often",
      ])}`,
    ],
    [
      "an address that is not its own",
      written("b", { ports: [{ name: "http", port: 80 }], externalIPs: ["198.51.100.7"] }, { labels: TIMED }),
      // The API server's own warning comes first.
      `Warning: spec.externalIPs is deprecated and may no longer be implemented in some clusters\nError from server (Forbidden): error when creating "STDIN": ${refusal(
        "fail",
        "Service shop/b",
        [
          '- rule no-external-ips: spec.externalIPs holds 198.51.100.7; found variables.claimed = ["198.51.100.7"] (FL720)',
          "  fix: remove them; use type: LoadBalancer, or an Ingress or Gateway",
        ],
      )}`,
    ],
    [
      "an ExternalName that leads into the cluster",
      written("a", { type: "ExternalName", externalName: "admin.kube-system.svc.cluster.local" }),
      `Error from server (Forbidden): error when creating "STDIN": ${refusal("fail", "Service shop/a", [
        '- rule no-internal-external-name: spec.externalName is admin.kube-system.svc.cluster.local, which is not outside of the cluster; found variables.target = "admin.kube-system.svc.cluster.local", params.allowed = [], params.internal = [".cluster.local", ".svc", ".internal", ".local", ".localhos… (FL720)',
        "  fix: call the Service itself, or name a host outside of the cluster",
      ])}`,
    ],
    [
      "a ServiceProfile with routes",
      {
        apiVersion: "linkerd.io/v1alpha2",
        kind: "ServiceProfile",
        metadata: { name: "a.shop.svc.cluster.local", namespace: "shop" },
        spec: { routes: [{ name: "all", condition: { pathRegex: "/.*" } }] },
      },
      `The request is invalid: error when creating "STDIN": ${refusal(
        "ignore",
        "ServiceProfile shop/a.shop.svc.cluster.local",
        [
          "- rule no-service-profile: it has 1 routes and 0 dstOverrides, which switch off the policies of its Service; found variables.routes = 1, variables.overrides = 0 (FL720)",
          "  fix: say the same in a ResiliencePolicy, per-route settings in its routes",
        ],
      )}`,
    ],
  ])("%s", async (_, write, text) => {
    expect(await session.refused("create -f -", write)).toBe(text);
    for (const [, name = ""] of text.matchAll(/^- .*?rule ([a-z-]+): /gm)) told.add(name);
  });

  test("a policy for what it would do to its target", async () => {
    const withTimeout = (request: string): object =>
      policy("shop", "orders", { targetRefs: [{ kind: "Service", name: "orders" }], timeout: { request } });
    await session.kubectl("apply -f -", withTimeout("2s"));
    await session.settled("shop");
    expect((await session.kubectl("create -f -", named("orders"))).warnings).toEqual([]);
    await session.settled("shop");
    expect(await session.refused("apply -f -", withTimeout("2m"))).toContain(
      refusal("ignore", "ResiliencePolicy shop/orders", [
        '- spec.targetRefs[0]: Service shop/orders: rule request-timeout: the request timeout in force is 120s, wanted at most 30s; found variables.timeout = 120s, params.max = "30s" (FL727)',
        TOO_LONG,
      ]),
    );
  });
});

test("every guardrail of examples/rules has refused something above", () => {
  const rules = globSync("*.yaml", { cwd: join(import.meta.dirname, "../../examples/rules") });
  const unseen = rules.map((file) => basename(file, ".yaml")).filter((name) => !told.has(name));
  expect(unseen).toEqual([]);
});

test("the action Warn warns, Audit speaks to the audit log alone, and both let it pass", async () => {
  const labels = { ...TIMED, probe: "actions" };
  const rule = (name: string, action: string): object => ({
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "AdmissionRule",
    metadata: { name },
    spec: {
      matchConstraints: {
        resourceRules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["*"], resources: ["services"] }],
        objectSelector: { matchLabels: { probe: "actions" } },
      },
      validations: [
        { expression: "object.metadata.name.startsWith('shop-')", message: "whose it is stays open", fix: "say it" },
      ],
      actions: [action],
    },
  });
  await session.kubectl("apply -f -", rule("warned", "Warn"));
  await session.kubectl("apply -f -", rule("recorded", "Audit"));
  await session.kubectl("wait admissionrule/warned admissionrule/recorded --for=condition=Ready --timeout=30s");
  expect((await session.kubectl("create -f -", named("nobodys", { labels }))).warnings).toEqual([
    'FL721 metadata.name: rule warned: whose it is stays open; found object.metadata.name = "nobodys"; say it',
  ]);
  const [write] = await session.audited("shop", "nobodys");
  expect(write).toMatchObject({
    code: 201,
    ruleAnnotations: { "rules-fail.fairlead.dev/recorded.validation_failure": "whose it is stays open" },
  });
  await session.kubectl("delete admissionrule warned recorded");
});

describe("the mode of the namespace", () => {
  test("warn lets it pass with warnings", async () => {
    const { warnings } = await session.kubectl("create -f -", unnamed("a", "trial"));
    expect(warnings).toEqual([
      "FL720 would be refused: rule request-timeout: no request timeout is in force, so a caller may wait for ever; set timeout.request in a ResiliencePolicy for it",
      'FL720 would be refused: spec.ports: rule named-ports: ports without a name: 80; found object.spec.ports = [{protocol: "TCP", port: 80, targetPort: 80}]; give each port a name, such as http or grpc',
    ]);
  });

  test("audit lets it pass without a word", async () => {
    expect((await session.kubectl("create -f -", unnamed("a", "quiet"))).warnings).toEqual([]);
  });
});

test("a rule that would match Nodes is refused", async () => {
  const nodes = {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "AdmissionRule",
    metadata: { name: "nodes" },
    spec: {
      matchConstraints: {
        resourceRules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["*"], resources: ["nodes", "services"] }],
      },
      validations: [{ expression: "true" }],
    },
  };
  expect(await session.refused("create -f -", nodes)).toBe(
    'Error from server (Forbidden): error when creating "STDIN": admission webhook "admission-rules.fairlead.dev" denied the request: AdmissionRule nodes cannot be accepted, 1 problem:\n' +
      '- spec.matchConstraints.resourceRules[0].resources[0]: Found "nodes", wanted resources that rules may judge: it belongs to no namespace, and rules hold in namespaces (FL705)\n' +
      "  fix: remove it\n",
  );
});

describe("an exception", () => {
  const DRY_RUN = "create --dry-run=server -f -";

  function exception(days: number): object {
    const expiresAt = `${new Date(Date.now() + days * DAY_MS).toISOString().slice(0, 19)}Z`;
    const spec = {
      rules: ["named-ports", "request-timeout"],
      objectNames: ["legacy"],
      owner: "shop",
      reason: "legacy",
    };
    return {
      apiVersion: "fairlead.dev/v1alpha1",
      kind: "RuleException",
      metadata: { name: "legacy", namespace: "shop" },
      spec: { ...spec, expiresAt },
    };
  }

  test("of more than 90 days is refused", async () => {
    expect(await session.refused("create -f -", exception(91))).toMatch(
      /"rule-exceptions\.fairlead\.dev" denied the request: RuleException shop\/legacy cannot be accepted, 1 problem:\n- spec\.expiresAt: Found .*Z, wanted a time within the next 90 days \(FL712\)\n {2}fix: write a time until .*\n$/,
    );
  });

  test("lets pass what it names and nothing else, warns near its end, and then no longer works", async () => {
    await session.kubectl("create -f -", exception(30));
    const { store } = session.fairlead;
    await waitFor("the exception in Fairlead's world", () => store.exceptionsIn("shop").length === 1);
    expect((await session.kubectl(DRY_RUN, unnamed("legacy"))).warnings).toEqual([]);
    expect(await session.refused(DRY_RUN, unnamed("other"))).toContain(
      "Service shop/other cannot be accepted, 2 problems",
    );
    aheadMs = 24 * DAY_MS;
    const { warnings } = await session.kubectl(DRY_RUN, unnamed("legacy"));
    expect(warnings.map((text) => text.replace(/ends at \S+;/, "ends at T;"))).toEqual([
      "FL726 rule named-ports: only RuleException legacy lets this pass, which ends at T; meet the rule before then, or ask shop to renew it",
      "FL726 rule request-timeout: only RuleException legacy lets this pass, which ends at T; meet the rule before then, or ask shop to renew it",
    ]);
    aheadMs = 30 * DAY_MS;
    expect(await session.refused(DRY_RUN, unnamed("legacy"))).toContain(
      refusal("ignore", "Service shop/legacy", [...NO_TIMEOUT, ...NO_NAME]),
    );
  });
});
