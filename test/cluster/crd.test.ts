/**
 * The CRD and the webhook configurations on a real API server. A new case of the differential test is a YAML document
 * in test/golden/policies: whatever it is, zod and the API server must have the same opinion of it.
 */
import { Agent, request } from "node:https";
import type { IncomingMessage } from "node:http";
import { json } from "node:stream/consumers";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { parseAllDocuments } from "yaml";
import type { Checked } from "../../src/api/check.ts";
import { parseAdmissionRule } from "../../src/api/v1alpha1/admission-rule.ts";
import { parseResiliencePolicy } from "../../src/api/v1alpha1/resilience-policy.ts";
import { parseRuleException } from "../../src/api/v1alpha1/rule-exception.ts";
import { type ControlPlane, startControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { installCrds } from "../../src/dev/control-plane/crds.ts";
import { CUSTOM_KINDS } from "../../src/gen/crd.ts";

const ROOT = join(import.meta.dirname, "..", "..");
/** Each folder holds the objects of the kinds that the parser beside it reads. */
const GOLDEN = ["policies", "rules"].flatMap((folder) =>
  readdirSync(join(ROOT, "test", "golden", folder)).map((file) => join(folder, file)),
);
const CRDS = join(ROOT, "webhook-config", "crds.yaml");
const WEBHOOKS = join(ROOT, "webhook-config", "webhooks.yaml");

let controlPlane: ControlPlane;
let agent: Agent;

beforeAll(async () => {
  controlPlane = await startControlPlane({ controllerManager: false });
  const { certPem: cert, keyPem: key } = controlPlane.admin;
  agent = new Agent({ keepAlive: true, ca: controlPlane.caPem, cert, key });
  await installCrds(controlPlane, [CRDS]);
  await kubectl(["create", "namespace", "iam"]);
});

afterAll(async () => {
  agent?.destroy();
  await controlPlane?.stop();
});

describe("the CRD", () => {
  test.each(CUSTOM_KINDS.map(({ plural }) => plural))("of %s is established and structural", async (plural) => {
    const crd = JSON.parse(await kubectl(["get", "crd", `${plural}.fairlead.dev`, "--output=json"]));
    const conditions = new Map<string, string>(
      crd.status.conditions.map((condition: { type: string; status: string }) => [condition.type, condition.status]),
    );
    expect(conditions.get("Established")).toBe("True");
    expect(conditions.get("NamesAccepted")).toBe("True");
    expect(conditions.has("NonStructuralSchema")).toBe(false);
  });

  test("explains a section by its short name", async () => {
    // Discovery and OpenAPI follow the Established condition after a moment.
    const text = await vi.waitFor(() => kubectl(["explain", "rp.spec.retry"]), { timeout: 30_000, interval: 200 });
    expect(text).toContain("KIND:       ResiliencePolicy");
    expect(text).toContain("maxAttempts\t<integer> -required-");
    expect(text).toContain("statusCodes\t<[]string>");
    expect(text).toMatch(/How many times a request is tried again after the first try, 0 to 10/);
  });

  test("explains every field", async () => {
    for (const path of [
      "rp.spec",
      "rp.spec.targetSelector",
      "rp.spec.circuitBreaker",
      "rp.spec.timeout",
      "rp.spec.routes",
      "rp.spec.routes.matches",
      "rp.spec.routes.matches.path",
      "rp.spec.routes.matches.headers",
      "rp.status",
      "arule.spec",
      "arule.spec.matchConstraints.resourceRules",
      "arule.spec.validations",
      "arule.status",
      "rex.spec",
      "rex.spec.objectSelector.matchExpressions",
    ]) {
      expect(await kubectl(["explain", path])).not.toContain("<no description>");
    }
    expect(await kubectl(["explain", "rp.spec.timeout.request"])).toMatch(/all\s+retries included/);
    expect(await kubectl(["explain", "rp.spec.targetRefs.group"])).toMatch(
      /ENUM:\s+""\s+gateway.networking.k8s.io\s+policy.linkerd.io/,
    );
  });

  test("prints the columns that people look for", async () => {
    const manifest = { ...policy({ circuitBreaker: {} }), metadata: { name: "columns", namespace: "iam" } };
    await kubectl(["apply", "--filename=-"], JSON.stringify(manifest));
    const status = {
      targets: "user-service",
      currentRevision: "5d7f",
      conditions: [
        { type: "Ready", status: "True", reason: "Applied", message: "", lastTransitionTime: "2026-11-21T00:00:00Z" },
      ],
    };
    const patch = ["patch", "rp", "columns", "--namespace=iam", "--subresource=status", "--type=merge"];
    await kubectl([...patch, `--patch=${JSON.stringify({ status })}`]);
    const [header, row] = (await kubectl(["get", "fairlead", "--namespace=iam"])).split("\n");
    expect(header).toMatch(/^NAME +TARGETS +MESH +READY +REVISION +AGE$/);
    expect(row).toMatch(/^(resiliencepolicy.fairlead.dev\/)?columns +user-service +True +5d7f +\d+s$/);
  });

  test("prints the columns of rules and exceptions", async () => {
    const objects = ["match.yaml", "exceptions.yaml"].map((file) => objectsIn(join("rules", file))[0]);
    await kubectl(["create", "--filename=-"], JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }));
    const lines = async (kind: string) => (await kubectl(["get", kind, "--namespace=iam"])).trimEnd().split("\n");
    const [rules, exceptions] = [await lines("arule"), await lines("rex")];
    expect(rules[0]).toMatch(/^NAME +ACTIONS +FAILURE POLICY +ACCEPTED +READY +AGE$/);
    expect(exceptions[0]).toMatch(/^NAME +RULES +OWNER +EXPIRES +AGE$/);
    expect(exceptions[1]).toMatch(/^whole +\["timeout-required"\] +team-billing +2027-01-31T00:00:00Z +\d+s$/);
    await kubectl(["delete", "rex,arule", "--all", "--namespace=iam"]);
  });
});

describe("zod and the API server agree on every object of", () => {
  test.each(GOLDEN)("%s", async (file) => {
    const disagreements = [];
    for (const object of objectsIn(file)) {
      const own = parse(object);
      const server = await create(object);
      if (own.ok === (server.status === 201)) continue;
      disagreements.push({ object, own: own.ok ? "accepted" : own.problems, server: server.message ?? "accepted" });
    }
    expect(disagreements).toEqual([]);
  });

  test("enough of both verdicts for every kind", () => {
    const objects = GOLDEN.flatMap(objectsIn);
    for (const [kind, [accepted, refused]] of Object.entries({
      ResiliencePolicy: [50, 100],
      AdmissionRule: [25, 50],
      RuleException: [7, 25],
    } as const)) {
      const verdicts = objects.filter((object) => object.kind === kind).map((object) => parse(object).ok);
      expect(verdicts.filter((ok) => ok).length).toBeGreaterThan(accepted);
      expect(verdicts.filter((ok) => !ok).length).toBeGreaterThan(refused);
    }
  });
});

interface Golden {
  readonly kind: string;
}

function objectsIn(file: string): readonly Golden[] {
  const text = readFileSync(join(ROOT, "test", "golden", file), "utf8");
  return parseAllDocuments(text).map((document) => document.toJS() as Golden);
}

const PARSERS: Readonly<Record<string, typeof parse>> = {
  AdmissionRule: parseAdmissionRule,
  RuleException: parseRuleException,
};

/** What is no kind of ours is read as a policy, and refused. */
function parse(object: Golden): Checked<unknown> {
  return (PARSERS[object.kind] ?? parseResiliencePolicy)(object);
}

describe("the API server's own refusal", () => {
  test("names the same fields with the same words", async () => {
    const wrong = policy({
      targetRefs: [{ kind: "HTTPRoute", name: "a" }],
      targetSelector: { matchLabels: { app: "a" } },
      circuitBreaker: { minPenalty: "0s" },
      retry: { maxAttempts: 1 },
      timeout: {},
    });
    const own = parseResiliencePolicy(wrong);
    const server = await create(wrong);
    const problems = own.ok ? [] : own.problems;
    expect(server.causes?.map((cause) => cause.field).sort()).toEqual(problems.map((problem) => problem.path));
    for (const { path, message, fix } of problems) {
      const cause = server.causes?.find((cause) => cause.field === path);
      const wanted = message.slice(message.indexOf(", wanted ") + ", wanted ".length);
      expect(cause?.message.toLowerCase()).toContain(`wanted ${wanted}: ${fix}`.toLowerCase());
    }
  });

  test("has no CEL error in it when a pattern did not match", async () => {
    const server = await create(
      policy({ timeout: { request: "10x" }, retry: { maxAttempts: 1, statusCodes: ["a-b", "5xx, 429"] } }),
    );
    expect(server.causes?.map((cause) => cause.field).sort()).toEqual([
      "spec.retry.statusCodes[0]",
      "spec.retry.statusCodes[1]",
      "spec.timeout.request",
    ]);
  });
});

describe("the webhook configurations", () => {
  test("are accepted, and with a dead webhook hold back new policies but not the removal of finalizers", async () => {
    const held = {
      ...policy({ circuitBreaker: {} }),
      metadata: { name: "held", namespace: "iam", finalizers: ["a.b/c"] },
    };
    await kubectl(["create", "--filename=-"], JSON.stringify(held));
    await kubectl(["apply", `--filename=${WEBHOOKS}`]);
    await vi.waitFor(
      async () => {
        const answer = await create(policy({ circuitBreaker: {} }), { dryRun: false });
        expect(answer.message).toContain('failed calling webhook "policies.fairlead.dev"');
      },
      { timeout: 30_000, interval: 200 },
    );
    await kubectl(["delete", "rp", "held", "--namespace=iam", "--wait=false"]);
    await kubectl([
      "patch",
      "rp",
      "held",
      "--namespace=iam",
      "--type=merge",
      '--patch={"metadata":{"finalizers":null}}',
    ]);
    expect(await kubectl(["get", "rp", "--namespace=iam", "--output=name"])).not.toContain("/held");
  });
});

interface Answer {
  readonly status: number;
  readonly message?: string;
  readonly causes?: readonly { readonly field: string; readonly message: string }[];
}

const PATHS: Readonly<Record<string, string>> = {
  AdmissionRule: "admissionrules",
  RuleException: "namespaces/iam/ruleexceptions",
};

/** As `kubectl create` does it, nothing stored unless asked for. */
async function create(object: unknown, { dryRun = true } = {}): Promise<Answer> {
  const query = `fieldValidation=Strict${dryRun ? "&dryRun=All" : ""}`;
  const { kind } = object as Golden;
  const path = `/apis/fairlead.dev/v1alpha1/${PATHS[kind] ?? "namespaces/iam/resiliencepolicies"}?${query}`;
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const headers = { "content-type": "application/json" };
  request(`${controlPlane.url}${path}`, { method: "POST", agent, headers }, resolve)
    .once("error", reject)
    .end(JSON.stringify(object));
  const response = await promise;
  const { statusCode = 0 } = response;
  const answer = (await json(response)) as { message?: string; details?: { causes?: Answer["causes"] } };
  if (statusCode === 201) return { status: statusCode };
  if (![400, 422, 500].includes(statusCode)) throw new Error(`Cannot post a policy: ${statusCode} ${answer.message}`);
  return { status: statusCode, message: String(answer.message), causes: answer.details?.causes ?? [] };
}

function policy(sections: object): object {
  const spec = { targetRefs: [{ kind: "Service", name: "user-service" }], ...sections };
  return {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "ResiliencePolicy",
    metadata: { name: "a", namespace: "iam" },
    spec,
  };
}

async function kubectl(args: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await controlPlane.kubectl(args, input === undefined ? {} : { input });
  if (code !== 0) throw new Error(`kubectl ${args.join(" ")} ended with ${code}: ${stderr}`);
  return stdout;
}
