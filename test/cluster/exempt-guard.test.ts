/** The guard of RuleExceptions, by itself: Fairlead does not run here at all. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ControlPlane, startControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { NAMESPACE, renderChart } from "./chart-support.ts";
import { kubectl } from "./support.ts";

/** What of the chart this is about. */
const PARTS =
  /^(CustomResourceDefinition|ValidatingAdmissionPolicy.* fairlead-exempt-guard|ClusterRole fairlead-(exempt|policy))/;
const EXEMPT = ["--verb=exempt", "--resource=admissionrules.fairlead.dev"];

let cluster: ControlPlane;

beforeAll(async () => {
  cluster = await startControlPlane({ controllerManager: false });
  for (const namespace of [NAMESPACE, "shop", "other"]) await kubectl(cluster, ["create", "namespace", namespace]);
  const parts = (await renderChart(cluster)).filter(({ kind, metadata }) => PARTS.test(`${kind} ${metadata?.name}`));
  await kubectl(cluster, ["create", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items: parts }));
  await kubectl(cluster, ["wait", "--for=condition=Established", "crd", "--all"]);
  for (const user of ["dana", "robin", "kim", "lee"])
    await bind("clusterrolebinding", `author-${user}`, "fairlead-policy-edit", user);
  await kubectl(cluster, ["create", "clusterrole", "exempt-timeouts", ...EXEMPT, "--resource-name=timeout-required"]);
  await bind("clusterrolebinding", "exempt-robin", "fairlead-exempt-admin", "robin");
  await bind("rolebinding", "exempt-kim", "fairlead-exempt-admin", "kim", "--namespace=shop");
  await bind("clusterrolebinding", "exempt-lee", "exempt-timeouts", "lee");
  // A policy is in force some moments after it was written.
  await waitFor("the guard", async () => (await write({ user: "dana" }, "--dry-run=server")).includes("exempt-guard"));
});

afterAll(() => cluster?.stop());

async function bind(...[kind, name, role, user, ...flags]: readonly [string, string, string, string, ...string[]]) {
  await kubectl(cluster, ["create", kind, name, `--clusterrole=${role}`, `--user=${user}`, ...flags]);
}

interface Writing {
  readonly user: string;
  readonly namespace?: string;
  readonly rules?: readonly string[];
  readonly reason?: string;
  readonly labels?: object;
}

/** What kubectl says on stderr; empty when the exception was written. */
async function write(
  { user, namespace = "shop", rules = ["timeout-required"], reason = "Migration", labels = {} }: Writing,
  ...flags: readonly string[]
): Promise<string> {
  const exception = {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "RuleException",
    metadata: { name: "billing", namespace, labels },
    spec: { rules, objectNames: ["billing"], owner: "team-billing", reason, expiresAt: "2027-01-31T00:00:00Z" },
  };
  const args = ["apply", "--server-side", "--force-conflicts", "-f", "-", `--as=${user}`, ...flags];
  return (await cluster.kubectl(args, { input: JSON.stringify(exception) })).stderr;
}

function refusal(user: string, rule: string): string {
  return (
    'Error from server (Forbidden): ruleexceptions.fairlead.dev "billing" is forbidden: ' +
    "ValidatingAdmissionPolicy 'fairlead-exempt-guard' with binding 'fairlead-exempt-guard' denied request: " +
    `Found an exception from AdmissionRule ${rule} by ${user}, wanted one by somebody who has the verb exempt on that rule; ` +
    "fix: ask who keeps the rule, or to be bound to the ClusterRole fairlead-exempt-admin\n"
  );
}

describe("to write an exception", () => {
  test("the right to write RuleExceptions is not enough", async () => {
    expect(await write({ user: "dana" })).toBe(refusal("dana", "timeout-required"));
  });

  test("takes the verb exempt, in every namespace or in that of a RoleBinding", async () => {
    expect(await write({ user: "robin", namespace: "other" })).toBe("");
    expect(await write({ user: "kim" })).toBe("");
    expect(await write({ user: "kim", namespace: "other", reason: "changed" })).toBe(
      refusal("kim", "timeout-required"),
    );
  });

  test("takes it on every rule that is named", async () => {
    expect(await write({ user: "lee" })).toBe("");
    expect(await write({ user: "lee", rules: ["timeout-required", "ports-named"] })).toBe(
      refusal("lee", "ports-named"),
    );
  });

  test("takes it on as many rules as an exception can name", async () => {
    const rules = Array.from({ length: 16 }, (_, index) => `rule-${index}`);
    expect(await write({ user: "robin", rules })).toBe("");
    expect(await write({ user: "dana", rules: [...rules.slice(1), "rule-x"] })).toBe(refusal("dana", "rule-1"));
    expect(await write({ user: "robin", rules: [...rules, "rule-16"] })).toContain("must have at most 16 items");
  });
});

describe("free is", () => {
  test("a write that leaves the spec as it is", async () => {
    expect(await write({ user: "robin" })).toBe("");
    expect(await write({ user: "dana", labels: { team: "billing" } })).toBe("");
    expect(await write({ user: "dana", reason: "Another one" })).toBe(refusal("dana", "timeout-required"));
  });

  test("to delete it, and to take its finalizers off on the way", async () => {
    expect(await write({ user: "robin" })).toBe("");
    const held = ["patch", "ruleexception", "billing", "-n", "shop", "--type=merge", "--as=dana"];
    const finalizers = (list: readonly string[]) => [
      ...held,
      `--patch=${JSON.stringify({ metadata: { finalizers: list } })}`,
    ];
    await kubectl(cluster, finalizers(["example.com/held"]));
    await kubectl(cluster, ["delete", "ruleexception", "billing", "-n", "shop", "--wait=false", "--as=dana"]);
    await kubectl(cluster, finalizers([]));
    expect((await cluster.kubectl(["get", "ruleexception", "billing", "-n", "shop"])).code).toBe(1);
  });
});
