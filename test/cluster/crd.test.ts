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
import { parseResiliencePolicy } from "../../src/api/v1alpha1/resilience-policy.ts";
import { type ControlPlane, startControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { installCrds } from "../../src/dev/control-plane/crds.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const POLICIES = join(ROOT, "test", "golden", "policies");
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
  test("is established and structural", async () => {
    const crd = JSON.parse(await kubectl(["get", "crd", "resiliencepolicies.fairlead.dev", "--output=json"]));
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
    expect(row).toMatch(/^columns +user-service +True +5d7f +\d+s$/);
  });
});

describe("zod and the API server agree on every policy of", () => {
  test.each(readdirSync(POLICIES))("%s", async (file) => {
    const disagreements = [];
    for (const document of parseAllDocuments(readFileSync(join(POLICIES, file), "utf8"))) {
      const object = document.toJS();
      const own = parseResiliencePolicy(object);
      const server = await create(object);
      if (own.ok === (server.status === 201)) continue;
      disagreements.push({ object, own: own.ok ? "accepted" : own.problems, server: server.message ?? "accepted" });
    }
    expect(disagreements).toEqual([]);
  });

  test("enough of both kinds", () => {
    const verdicts = readdirSync(POLICIES)
      .flatMap((file) => parseAllDocuments(readFileSync(join(POLICIES, file), "utf8")))
      .map((document) => parseResiliencePolicy(document.toJS()).ok);
    expect(verdicts.filter((ok) => ok).length).toBeGreaterThan(50);
    expect(verdicts.filter((ok) => !ok).length).toBeGreaterThan(100);
  });
});

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

/** As `kubectl create` does it, nothing stored unless asked for. */
async function create(object: unknown, { dryRun = true } = {}): Promise<Answer> {
  const query = `fieldValidation=Strict${dryRun ? "&dryRun=All" : ""}`;
  const path = `/apis/fairlead.dev/v1alpha1/namespaces/iam/resiliencepolicies?${query}`;
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
