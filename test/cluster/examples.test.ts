import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readInput } from "../../src/cli/input.ts";
import { reviewObjects } from "../../src/cli/review.ts";
import { CLUSTER_DOMAIN, excludedNamespaces, parseMeshVersion } from "../../src/config.ts";
import type { MeshName } from "../../src/core/names.ts";
import type { ControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import type { Fairlead } from "../../src/main.ts";
import { kubectl, ROOT, startClusterWithCrds, startInProcess } from "./support.ts";

const EXAMPLES = join(ROOT, "examples");
const OUR_LABELS = ["fairlead.dev/revision"];
const NOT_SETTINGS = new Set(["fairlead.dev/injected", "kubectl.kubernetes.io/last-applied-configuration"]);

interface Example {
  /** File or directory under examples/. */
  readonly name: string;
  /** What each target has afterwards, by `kind namespace/name`: every annotation but the record. */
  readonly settings: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** What is there afterwards beside the targets, `kind namespace/name` each. */
  readonly objects?: readonly string[];
  /** Codes of the findings that `review` reports, in the order of the input. */
  readonly findings: readonly string[];
}

function breaker(failures: number, maxPenalty = "60000ms"): Readonly<Record<string, string>> {
  const prefix = "balancer.linkerd.io/failure-accrual";
  return {
    [prefix]: "consecutive",
    [`${prefix}-consecutive-max-failures`]: String(failures),
    [`${prefix}-consecutive-min-penalty`]: "1000ms",
    [`${prefix}-consecutive-max-penalty`]: maxPenalty,
    [`${prefix}-consecutive-jitter-ratio`]: "0.5",
  };
}

const ADMITTED: readonly Example[] = [
  { name: "breaker.yaml", settings: { "service shop/orders": breaker(5) }, findings: [] },
  {
    name: "retries.yaml",
    settings: {
      "service billing/invoices": {},
      "httproute billing/invoices-read": { "retry.linkerd.io/http": "5xx,429", "retry.linkerd.io/limit": "2" },
      "httproute billing/invoices-other": {},
    },
    findings: [],
  },
  {
    name: "routes.yaml",
    settings: {
      "service warehouse/stock": { "timeout.linkerd.io/request": "2000ms", "timeout.linkerd.io/idle": "1000ms" },
    },
    findings: [],
  },
  {
    name: "traffic-split.yaml",
    settings: { "service catalog/items": {} },
    objects: ["virtualservice catalog/fairlead-items"],
    findings: [],
  },
  {
    name: "faults.yaml",
    settings: { "service chaos/menu": {} },
    objects: ["virtualservice chaos/fairlead-menu"],
    findings: [],
  },
  {
    name: "rate-limit.yaml",
    settings: { "service quotes/rates": {} },
    objects: ["envoyfilter quotes/fairlead-rates"],
    findings: [],
  },
  {
    name: "mtls.yaml",
    settings: { "service vault/secrets": {} },
    objects: ["peerauthentication vault/fairlead-secrets"],
    findings: [],
  },
  {
    name: "authorization.yaml",
    settings: { "service orders/api": {} },
    objects: ["authorizationpolicy.security.istio.io orders/fairlead-api", "peerauthentication orders/fairlead-api"],
    findings: [],
  },
  {
    name: "authorization-by-request.yaml",
    settings: { "service invoices/api": {} },
    objects: [
      "authorizationpolicy.security.istio.io invoices/fairlead-api",
      "authorizationpolicy.security.istio.io invoices/fairlead-api.deny",
      "peerauthentication invoices/fairlead-api",
    ],
    findings: ["FL311"],
  },
  {
    name: "timeouts",
    settings: {
      "service search/catalog": {
        "timeout.linkerd.io/request": "2500ms",
        "timeout.linkerd.io/response": "2000ms",
        "timeout.linkerd.io/idle": "1000ms",
      },
    },
    findings: [],
  },
  {
    name: "fleet.yaml",
    settings: {
      "service payments/ledger": { ...breaker(7), "timeout.linkerd.io/request": "30000ms" },
      "service payments/cards": { ...breaker(7), "timeout.linkerd.io/request": "10000ms" },
      "service payments/legacy": {},
    },
    findings: ["FL307", "FL307"],
  },
  {
    name: "override",
    settings: {
      "service accounts/sessions": {
        "retry.linkerd.io/http": "gateway-error",
        "retry.linkerd.io/limit": "1",
        "timeout.linkerd.io/request": "4s",
      },
    },
    findings: ["FL504", "FL504"],
  },
  {
    name: "warn-mode.yaml",
    settings: { "service reports/exports": { ...breaker(7), "timeout.linkerd.io/request": "30" } },
    findings: ["FL401"],
  },
  {
    name: "iam-policy-service",
    settings: {
      "service iam-policy-service/policy-service": {
        ...breaker(7, "30000ms"),
        "retry.linkerd.io/http": "gateway-error,429",
        "retry.linkerd.io/grpc": "unavailable",
        "retry.linkerd.io/limit": "2",
        "retry.linkerd.io/timeout": "300ms",
        "timeout.linkerd.io/request": "1500ms",
      },
    },
    findings: ["FL311"],
  },
];

let cluster: ControlPlane;
let fairlead: Fairlead;

beforeAll(async () => {
  cluster = await startClusterWithCrds();
  fairlead = await startInProcess(cluster);
});

afterAll(async () => {
  await fairlead?.stop();
  await cluster?.stop();
});

interface Metadata {
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

async function metadataOf(target: string): Promise<Metadata> {
  const [kind = "", path = ""] = target.split(" ");
  const [namespace = "", name = ""] = path.split("/");
  return JSON.parse(await kubectl(cluster, ["get", kind, name, "-n", namespace, "-o", "json"])).metadata;
}

async function exists(object: string): Promise<boolean> {
  const [kind = "", path = ""] = object.split(" ");
  const [namespace = "", name = ""] = path.split("/");
  return (await kubectl(cluster, ["get", kind, name, "-n", namespace, "--ignore-not-found", "-o", "name"])) !== "";
}

async function settingsOf(target: string): Promise<Readonly<Record<string, string>>> {
  const { annotations = {} } = await metadataOf(target);
  return Object.fromEntries(Object.entries(annotations).filter(([key]) => !NOT_SETTINGS.has(key)));
}

function review(name: string, mesh?: MeshName) {
  const input = readInput({ filenames: [join(EXAMPLES, name)], recursive: false, baseDirectory: EXAMPLES });
  return reviewObjects(
    input.map(({ object }) => object),
    {
      unknownNamespaceMode: "enforce",
      mesh,
      meshVersion: parseMeshVersion(),
      clusterDomain: CLUSTER_DOMAIN,
      excludedNamespaces: excludedNamespaces("fairlead"),
    },
    Date.now(),
  );
}

test("every example is tested, and named in examples/README.md", () => {
  const names = readdirSync(EXAMPLES).filter((name) => name !== "README.md");
  // The rules are applied by rules.test.ts.
  expect([...ADMITTED.map(({ name }) => name), "refused", "rules"].sort()).toEqual(names.sort());
  const readme = readFileSync(join(EXAMPLES, "README.md"), "utf8");
  for (const name of names) expect(readme).toContain(`](${name}`);
});

describe.each(ADMITTED)("examples/$name", ({ name, settings, objects = [], findings }) => {
  test("gives its targets these settings, whatever arrived first", async () => {
    await kubectl(cluster, ["apply", "-f", join(EXAMPLES, name)]);
    for (const [target, wanted] of Object.entries(settings)) {
      await waitFor(`the settings of ${target}`, async () => sameMap(await settingsOf(target), wanted)).catch(() => {});
      expect(await settingsOf(target)).toEqual(wanted);
    }
    for (const object of objects) await waitFor(object, () => exists(object));
  });

  test("changes nothing when it is applied again", async () => {
    await fairlead.work.current?.idle();
    const before = await Promise.all(Object.keys(settings).map(metadataOf));
    await kubectl(cluster, ["apply", "-f", join(EXAMPLES, name)]);
    await fairlead.work.current?.idle();
    const after = await Promise.all(Object.keys(settings).map(metadataOf));
    expect(after.map(settingsAndLabels)).toEqual(before.map(settingsAndLabels));
  });

  test("is reviewed offline with the same result and these findings", async () => {
    const reviews = review(name);
    expect(reviews.every(({ result }) => result.allowed)).toBe(true);
    expect(reviews.flatMap(({ result }) => result.findings.map(({ code }) => code))).toEqual(findings);
    for (const { stored, result } of reviews) {
      const wanted = settings[`${result.kind.toLowerCase()} ${result.namespace}/${result.name}`];
      if (wanted === undefined) continue;
      const annotations = Object.entries(stored?.metadata?.annotations ?? {});
      expect(Object.fromEntries(annotations.filter(([key]) => !NOT_SETTINGS.has(key)))).toEqual(wanted);
    }
  });
});

test("an override warns at every apply of the same manifest, until the keys are gone from it", async () => {
  const { stderr } = await cluster.kubectl(["apply", "-f", join(EXAMPLES, "override", "service.yaml")]);
  expect(stderr).toContain("Warning: FL504 retry.linkerd.io/limit: ");
  expect(stderr).toContain("remove retry.linkerd.io/limit from your manifest");
});

test("what both meshes have is accepted for either", () => {
  for (const name of ["traffic-split.yaml", "rate-limit.yaml", "mtls.yaml", "authorization.yaml"]) {
    for (const mesh of ["Linkerd", "Istio"] as const)
      expect(review(name, mesh).every(({ result }) => result.allowed)).toBe(true);
  }
});

describe("examples/refused", () => {
  test("is refused by the API server, Service and policy, with every reason", async () => {
    const directory = join(EXAMPLES, "refused");
    await kubectl(cluster, ["apply", "-f", join(directory, "0-namespace.yaml")]);
    await waitFor("the namespace", () => fairlead.store.namespace("checkout") !== undefined);
    const { code, stdout, stderr } = await cluster.kubectl(["apply", "-f", directory]);
    expect(code).toBe(1);
    expect(stdout).toBe("namespace/checkout unchanged\n");
    expect(stderr).toContain("Service checkout/cart cannot be accepted, 3 problems:");
    expect(stderr).toContain("ResiliencePolicy checkout/cart cannot be accepted, 1 problem:");
    for (const code of ["FL202", "FL401", "FL402"]) expect(stderr).toContain(`(${code})`);
  });

  test("is refused offline with the same words", () => {
    const reviews = review("refused");
    expect(reviews.map(({ result }) => [result.kind, result.allowed])).toEqual([
      ["ResiliencePolicy", false],
      ["Service", false],
    ]);
    expect(reviews[1]?.message).toContain("Service checkout/cart cannot be accepted, 3 problems:");
  });
});

function settingsAndLabels({ labels, annotations }: Metadata): unknown {
  const own = Object.fromEntries(OUR_LABELS.map((label) => [label, labels?.[label]]));
  const { "kubectl.kubernetes.io/last-applied-configuration": _, ...settings } = annotations ?? {};
  return { own, settings };
}

function sameMap(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
