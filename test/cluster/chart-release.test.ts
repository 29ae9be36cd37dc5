import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { planRuleWebhooks } from "../../src/core/admission/plan-rule-webhooks.ts";
import type { Webhook } from "../../src/core/admission/registration.ts";
import { ruleWebhooks } from "../../src/core/admission/rule-webhooks.ts";
import { RIGHTS, type Right, ROLES } from "../../src/core/rights.ts";
import { type ControlPlane, startControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { admissionPaths } from "../../src/roles/path-secret.ts";
import { rule } from "../core/rule-support.ts";
import { CHART, NAMESPACE } from "./chart-support.ts";
import { kubectl } from "./support.ts";

let cluster: ControlPlane;
beforeAll(async () => {
  cluster = await startControlPlane();
  await kubectl(cluster, ["create", "namespace", NAMESPACE]);
  await helm("install", "fairlead", CHART);
});
afterAll(() => cluster?.stop());

async function helm(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await cluster.helm([...args, "-n", NAMESPACE]);
  if (code !== 0) throw new Error(`helm ${args.join(" ")} ended with ${code}: ${stderr}`);
  return stdout;
}

async function get<T>(...args: readonly string[]): Promise<T> {
  return JSON.parse(await kubectl(cluster, ["get", ...args, "-o", "json"])) as T;
}

describe("a release", () => {
  test("tells what to do next", async () => {
    const notes = await helm("get", "notes", "fairlead");
    expect(notes).toContain("Fairlead 0.1.0 is installed in the namespace fairlead. No namespace is opted in yet.");
    expect(notes).toContain("kubectl label namespace NAME fairlead.dev/mode=warn");
    expect(notes).toContain("Set image.repository.");
  });

  describe("gives each role", () => {
    async function can(role: string, ...args: readonly string[]): Promise<string> {
      const { stdout } = await cluster.kubectl([
        "auth",
        "can-i",
        ...args,
        `--as=system:serviceaccount:${NAMESPACE}:fairlead-${role}`,
      ]);
      return stdout.trim();
    }

    test.each(ROLES)("%s every right of src/core/rights.ts", async (role) => {
      const asked = RIGHTS[role].flatMap((right) => reviewsOf(role, right));
      const input = JSON.stringify({ apiVersion: "v1", kind: "List", items: asked });
      const allowed = await kubectl(cluster, ["create", "-f", "-", "-o", "jsonpath={.status.allowed} "], input);
      const answers = allowed.trimEnd().split(" ");
      expect(asked.filter((_, index) => answers[index] !== "true")).toEqual([]);
      expect(answers.length).toBe(asked.length);
    });

    test.each([
      ["admission", "get", "secrets", "-n", NAMESPACE],
      ["admission", "get", "secrets/fairlead-ca", "-n", NAMESPACE],
      ["admission", "patch", "services", "--all-namespaces"],
      ["admission", "patch", "validatingwebhookconfigurations/fairlead"],
      ["admission", "update", "leases.coordination.k8s.io/fairlead-controller", "-n", NAMESPACE],
      ["controller", "create", "validatingwebhookconfigurations"],
      ["controller", "delete", "mutatingwebhookconfigurations/fairlead"],
      ["controller", "patch", "validatingwebhookconfigurations/other"],
      ["controller", "get", "secrets/other", "-n", NAMESPACE],
      ["controller", "get", "secrets/fairlead-ca", "-n", "default"],
      ["controller", "list", "secrets", "-n", NAMESPACE],
      ["controller", "delete", "services", "--all-namespaces"],
      ["controller", "create", "clusterrolebindings"],
      ["controller", "lower-mode", "namespaces.fairlead.dev"],
    ])("%s no right to %s %s", async (role, ...args) => {
      expect(await can(role, ...args)).toBe("no");
    });
  });

  test("asks for a verb of its own where a section grants more than a policy does", async () => {
    const spec = (more: object) => ({ targetRefs: [{ kind: "Service", name: "web" }], mesh: "Istio", ...more });
    const faults = { faultInjection: { abort: { percent: 10, status: 503 } } };
    const write = (user: string, more: object) => {
      const metadata = { name: "faulty", namespace: "default" };
      const input = { apiVersion: "fairlead.dev/v1alpha1", kind: "ResiliencePolicy", metadata, spec: spec(more) };
      return cluster.kubectl(["apply", "-f", "-", `--as=${user}`], { input: JSON.stringify(input) });
    };
    await kubectl(cluster, ["create", "clusterrolebinding", "pat", "--clusterrole=fairlead-policy-edit", "--user=pat"]);
    await kubectl(cluster, ["create", "clusterrolebinding", "ada", "--clusterrole=fairlead-policy-edit", "--user=ada"]);
    await kubectl(cluster, ["create", "rolebinding", "ada", "--clusterrole=fairlead-inject-faults", "--user=ada"]);
    const refusal =
      "Found spec.faultInjection changed, aimed elsewhere or deleted by pat, wanted that by somebody who has the verb inject-faults " +
      "on the policy; fix: leave the policy as it is, or ask to be bound to the ClusterRole fairlead-inject-faults";
    expect((await write("pat", faults)).stderr).toContain(refusal);
    for (const [more, verb] of [
      [{ rateLimit: { requestsPerSecond: 1 } }, "limit-requests"],
      [{ mtls: { mode: "Permissive" } }, "change-mtls"],
      [{ authorization: { deny: [{ to: { methods: ["GET"] } }] } }, "change-authorization"],
    ] as const)
      expect((await write("ada", more)).stderr).toContain(`the verb ${verb} on the policy`);
    // Past the guard the webhook is next, which nobody serves here.
    expect((await write("pat", { circuitBreaker: {} })).stderr).toContain("no endpoints available");
    expect((await write("ada", faults)).stderr).toContain("no endpoints available");
  });

  test("lets those who edit a namespace write policies, and those who view it read them", async () => {
    for (const [group, role] of [
      ["authors", "edit"],
      ["readers", "view"],
    ] as const) {
      await kubectl(cluster, ["create", "rolebinding", group, `--clusterrole=${role}`, `--group=${group}`]);
    }
    const can = async (group: string, verb: string): Promise<string> => {
      const who = ["--as=somebody", `--as-group=${group}`];
      return (await cluster.kubectl(["auth", "can-i", verb, "resiliencepolicies.fairlead.dev", ...who])).stdout.trim();
    };
    // The controller manager aggregates ClusterRoles in its own time.
    await waitFor("aggregation", async () => (await can("authors", "create")) === "yes");
    await waitFor("aggregation", async () => (await can("readers", "list")) === "yes");
    expect(await can("readers", "create")).toBe("no");
  });

  describe("guards the mode of a namespace", () => {
    beforeAll(async () => {
      const edit = "--verb=get,list,update,patch";
      const resources = "--resource=namespaces,namespaces/status,namespaces/finalize";
      await kubectl(cluster, ["create", "clusterrole", "namespace-editor", edit, resources]);
      for (const user of ["dana", "robin", "kim"]) {
        await kubectl(cluster, [
          "create",
          "clusterrolebinding",
          `editor-${user}`,
          "--clusterrole=namespace-editor",
          `--user=${user}`,
        ]);
      }
      await kubectl(cluster, ["create", "namespace", "shop"]);
      await kubectl(cluster, ["create", "namespace", "other"]);
      await kubectl(cluster, [
        "create",
        "clusterrolebinding",
        "mode-admin",
        "--clusterrole=fairlead-mode-admin",
        "--user=robin",
      ]);
      await kubectl(cluster, [
        "create",
        "rolebinding",
        "mode-admin",
        "-n",
        "shop",
        "--clusterrole=fairlead-mode-admin",
        "--user=kim",
      ]);
      // A policy is in force some moments after it was written.
      await mode("shop", "enforce");
      await waitFor(
        "the mode guard",
        async () => (await label("shop", "audit", "--as=dana", "--dry-run=server")).code === 1,
      );
    });

    function label(namespace: string, value: string | undefined, ...flags: readonly string[]) {
      const change = value === undefined ? "fairlead.dev/mode-" : `fairlead.dev/mode=${value}`;
      return cluster.kubectl(["label", "namespace", namespace, change, "--overwrite", ...flags]);
    }

    /** As an administrator. */
    async function mode(namespace: string, value: string | undefined): Promise<void> {
      const { code, stderr } = await label(namespace, value);
      if (code !== 0) throw new Error(stderr);
    }

    function refusal(before: string, after: string, { user = "dana", namespace = "shop" } = {}): string {
      return (
        `Error from server (Forbidden): namespaces "${namespace}" is forbidden: ` +
        "ValidatingAdmissionPolicy 'fairlead-mode-guard' with binding 'fairlead-mode-guard' denied request: " +
        `Found fairlead.dev/mode: ${after} in place of ${before} on Namespace ${namespace}, ` +
        "wanted the same mode or a higher one (none, audit, warn, enforce) from " +
        `${user}, who has no verb lower-mode on it; ` +
        "fix: ask an administrator of the cluster, or to be bound to the ClusterRole fairlead-mode-admin\n"
      );
    }

    test.each<readonly [string, string | undefined]>([
      ["enforce", "warn"],
      ["enforce", "audit"],
      ["enforce", undefined],
      ["warn", "audit"],
      ["warn", undefined],
      ["audit", undefined],
      ["Enforce", "warn"],
    ])("from %s to %s: refused to one who may only edit namespaces", async (before, after) => {
      await mode("shop", before);
      const { code, stderr } = await label("shop", after, "--as=dana");
      expect([code, stderr]).toEqual([1, refusal(before, after ?? "none")]);
    });

    test.each<readonly [string | undefined, string]>([
      [undefined, "audit"],
      ["audit", "warn"],
      ["warn", "enforce"],
      ["enforce", "enforce"],
      ["enforce", "Enforce"],
    ])("from %s to %s: free", async (before, after) => {
      await mode("shop", before);
      expect((await label("shop", after, "--as=dana")).stderr).toBe("");
    });

    test("other labels of an opted-in namespace are free", async () => {
      await mode("shop", "enforce");
      await kubectl(cluster, ["label", "namespace", "shop", "team=checkout", "--as=dana"]);
    });

    test("the verb lowers it: in every namespace, or in that of a RoleBinding only", async () => {
      await mode("shop", "enforce");
      await mode("other", "enforce");
      expect((await label("shop", "warn", "--as=robin")).stderr).toBe("");
      expect((await label("shop", "audit", "--as=kim")).stderr).toBe("");
      expect((await label("other", "warn", "--as=kim")).stderr).toBe(
        refusal("enforce", "warn", { user: "kim", namespace: "other" }),
      );
    });

    test("the subresources are no way around it", async () => {
      await mode("shop", "enforce");
      const patch = JSON.stringify({ metadata: { labels: { "fairlead.dev/mode": null } } });
      const { stderr } = await cluster.kubectl([
        "patch",
        "namespace",
        "shop",
        "--subresource=status",
        "--type=merge",
        `--patch=${patch}`,
        "--as=dana",
      ]);
      expect(stderr).toBe(refusal("enforce", "none"));
      const shop = await get<{ metadata: { labels: Record<string, string> } }>("namespace", "shop");
      delete shop.metadata.labels["fairlead.dev/mode"];
      const finalize = ["replace", "--raw", "/api/v1/namespaces/shop/finalize", "-f", "-", "--as=dana"];
      expect((await cluster.kubectl(finalize, { input: JSON.stringify(shop) })).stderr).toBe(
        refusal("enforce", "none"),
      );
    });

    test("a namespace that is deleted goes, and may lose its label on the way", async () => {
      await kubectl(cluster, ["create", "namespace", "short-lived"]);
      await mode("short-lived", "enforce");
      const held = JSON.stringify({ metadata: { finalizers: ["example.com/held"] } });
      const patched = ["create", "configmap", "held", "-n", "short-lived"];
      await kubectl(cluster, patched);
      await kubectl(cluster, ["patch", "configmap", "held", "-n", "short-lived", "--type=merge", `--patch=${held}`]);
      await kubectl(cluster, ["delete", "namespace", "short-lived", "--wait=false"]);
      expect((await label("short-lived", undefined, "--as=dana")).stderr).toBe("");
      const freed = JSON.stringify({ metadata: { finalizers: null } });
      await kubectl(cluster, ["patch", "configmap", "held", "-n", "short-lived", "--type=merge", `--patch=${freed}`]);
      await waitFor(
        "the namespace to go",
        async () => (await cluster.kubectl(["get", "ns", "short-lived"])).code === 1,
      );
    });
  });

  test("is upgraded without losing the CA and the paths that were patched in, and uninstalled without the policies", async () => {
    const caBundle = Buffer.from(cluster.caPem).toString("base64");
    const webhooks = {
      mutatingwebhookconfiguration: "/mutate/secret",
      validatingwebhookconfiguration: "/validate/secret",
    };
    const configurations = () => get<{ items: Configuration[] }>(Object.keys(webhooks).join(","));
    for (const [kind, path] of Object.entries(webhooks)) {
      const { webhooks: entries } = await get<Configuration>(kind, "fairlead");
      const operations = entries.flatMap((_, index) => [
        { op: "add", path: `/webhooks/${index}/clientConfig/caBundle`, value: caBundle },
        { op: "add", path: `/webhooks/${index}/clientConfig/service/path`, value: path },
      ]);
      const flags = ["--type=json", "--field-manager=fairlead", `--patch=${JSON.stringify(operations)}`];
      await kubectl(cluster, ["patch", kind, "fairlead", ...flags]);
    }
    await addRuleEntry();

    await helm("upgrade", "fairlead", CHART, "--set", "failurePolicy.services=Fail,logLevel=debug");
    const clients = (await configurations()).items.flatMap((item) =>
      item.webhooks.map(({ name, failurePolicy, clientConfig }) => [name, failurePolicy, clientConfig]),
    );
    const service = { name: "fairlead-admission", namespace: "fairlead", port: 443 };
    const mutate = { caBundle, service: { ...service, path: "/mutate/secret" } };
    const validate = { caBundle, service: { ...service, path: "/validate/secret" } };
    expect(clients).toEqual([
      ["services.inject.fairlead.dev", "Ignore", mutate],
      ["routes.inject.fairlead.dev", "Ignore", mutate],
      ["policies.fairlead.dev", "Fail", validate],
      ["admission-rules.fairlead.dev", "Fail", validate],
      ["rule-exceptions.fairlead.dev", "Fail", validate],
      ["services.fairlead.dev", "Fail", validate],
      ["routes.fairlead.dev", "Ignore", validate],
      ["rules-fail.fairlead.dev", "Fail", { caBundle, service: { ...service, path: "/rules-fail/secret" } }],
    ]);

    // No replica runs, so the way of docs/operations.md for when Fairlead is in the way.
    await kubectl(cluster, ["delete", Object.keys(webhooks).join(","), "fairlead"]);
    await waitFor("policies to be written unchecked", async () => (await createPolicy()).code === 0);
    await kubectl(cluster, ["scale", "deployment", "fairlead-controller", "--replicas=0", "-n", NAMESPACE]);
    await helm("upgrade", "fairlead", CHART);
    expect((await configurations()).items.length).toBe(2);
    expect(await get("deployment", "fairlead-controller", "-n", NAMESPACE)).toMatchObject({ spec: { replicas: 2 } });

    await helm("uninstall", "fairlead");
    const kinds = "deploy,svc,sa,pdb,role,rolebinding,clusterrole,clusterrolebinding";
    const guard = "validatingadmissionpolicy,validatingadmissionpolicybinding";
    const all = [`${kinds},${guard},${Object.keys(webhooks).join(",")}`, "-A", "-l", "app.kubernetes.io/name=fairlead"];
    await waitFor("what is left to go", async () => (await get<{ items: unknown[] }>(...all)).items.length === 0);
    expect(await kubectl(cluster, ["get", "resiliencepolicies", "-A", "-o", "name"])).toBe(
      "resiliencepolicy.fairlead.dev/orders\n",
    );

    await helm("install", "fairlead", CHART);
    expect(await kubectl(cluster, ["get", "resiliencepolicies", "-n", "default", "-o", "name"])).toBe(
      "resiliencepolicy.fairlead.dev/orders\n",
    );
  });

  /** As the leader does for a rule. */
  async function addRuleEntry(): Promise<void> {
    const { webhooks: stored } = await get<Configuration>("validatingwebhookconfiguration", "fairlead");
    const wanted = ruleWebhooks([rule({ validations: ["true"] })], [NAMESPACE]);
    const { operations } = planRuleWebhooks({ stored, wanted, paths: admissionPaths("secret") });
    const flags = ["--type=json", "--field-manager=fairlead", `--patch=${JSON.stringify(operations)}`];
    await kubectl(cluster, ["patch", "validatingwebhookconfiguration", "fairlead", ...flags]);
  }

  function createPolicy() {
    const policy = {
      apiVersion: "fairlead.dev/v1alpha1",
      kind: "ResiliencePolicy",
      metadata: { name: "orders", namespace: "default" },
      spec: { targetRefs: [{ kind: "Service", name: "orders" }], timeout: { request: "2s" } },
    };
    return cluster.kubectl(["apply", "-f", "-"], { input: JSON.stringify(policy) });
  }
});

/** One question to the API server for each verb on each object. */
function reviewsOf(role: string, { apiGroup, resources, resourceNames = [], verbs, scope }: Right) {
  const names = resourceNames.length === 0 ? [{}] : resourceNames.map((name) => ({ name }));
  const where = scope === "Cluster" ? {} : { namespace: NAMESPACE };
  return resources.flatMap((path) => {
    const [resource, subresource] = path.split("/");
    const attributes = {
      ...(apiGroup && { group: apiGroup }),
      resource,
      ...(subresource && { subresource }),
      ...where,
    };
    return names.flatMap((name) =>
      verbs.map((verb) => ({
        apiVersion: "authorization.k8s.io/v1",
        kind: "SubjectAccessReview",
        spec: {
          user: `system:serviceaccount:${NAMESPACE}:fairlead-${role}`,
          resourceAttributes: { ...attributes, ...name, verb },
        },
      })),
    );
  });
}

interface Configuration {
  readonly webhooks: readonly {
    readonly name: string;
    readonly failurePolicy: string;
    readonly clientConfig: Webhook["clientConfig"];
  }[];
}
