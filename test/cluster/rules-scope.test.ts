import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { installCrds } from "../../src/dev/control-plane/crds.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { ApiError } from "../../src/k8s/api-error.ts";
import { resourcePath } from "../../src/k8s/client.ts";
import { service, Session } from "./session.ts";
import { REPORT_CRD } from "./support.ts";

const CONFIGURATION = resourcePath({
  group: "admissionregistration.k8s.io",
  version: "v1",
  resource: "validatingwebhookconfigurations",
  name: "fairlead",
});
const RULES = { group: "fairlead.dev", version: "v1alpha1", resource: "admissionrules" } as const;
const REPORT = resourcePath({
  group: "openreports.io",
  version: "v1alpha1",
  resource: "reports",
  namespace: "shop",
  name: "fairlead",
});

let session: Session;
beforeAll(async () => {
  session = await Session.start();
  await installCrds(session.cluster, [REPORT_CRD]);
  await session.namespace("shop", "enforce");
  await session.kubectl("apply -f -", unnamed("old"));
});
afterAll(() => session?.stop());

/** A Service that the rule ports-named refuses. */
function unnamed(name: string): KubernetesObject {
  return { ...service("shop", name), spec: { ports: [{ port: 80 }] } };
}

function rule(name: string, resource: string, spec: object): object {
  const [plural, ...group] = resource.split(".");
  const rules = [
    { apiGroups: [group.join(".")], apiVersions: ["v1"], operations: ["CREATE", "UPDATE"], resources: [plural] },
  ];
  return {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "AdmissionRule",
    metadata: { name },
    spec: { matchConstraints: { resourceRules: rules }, ...spec },
  };
}

const PORTS_NAMED = rule("ports-named", "services", {
  validations: [{ expression: "object.spec.ports.all(p, has(p.name))", message: "every port needs a name" }],
});
const KEYS_BOUNDED = rule("keys-bounded", "configmaps", {
  validations: [{ expression: "!has(object.data) || size(object.data) < 3", message: "at most two keys" }],
  failurePolicy: "Ignore",
});

interface Entry {
  readonly name: string;
  readonly failurePolicy: string;
  readonly rules: readonly { readonly resources: readonly string[] }[];
}

async function entries(): Promise<Readonly<Record<string, readonly string[]>>> {
  const { webhooks } = (await session.client.get(CONFIGURATION)) as { readonly webhooks?: readonly Entry[] };
  const ofRules = (webhooks ?? []).filter(({ name }) => name.startsWith("rules-"));
  return Object.fromEntries(ofRules.map(({ name, rules }) => [name, rules.flatMap(({ resources }) => resources)]));
}

/** The conditions of a rule as `Ready True Registered`. */
async function conditions(name: string): Promise<readonly string[]> {
  const { status } = (await session.client.get(resourcePath({ ...RULES, name }))) as {
    readonly status?: { readonly conditions?: readonly Readonly<Record<string, string>>[] };
  };
  return (status?.conditions ?? []).map(({ type, status: holds, reason }) => `${type} ${holds} ${reason}`);
}

async function isInForce(name: string): Promise<boolean> {
  return (await conditions(name)).includes("Ready True Registered");
}

interface Report extends KubernetesObject {
  readonly summary: { readonly fail: number };
  readonly results: readonly { readonly policy: string; readonly resources: readonly { readonly name: string }[] }[];
}

async function report(): Promise<Report | undefined> {
  try {
    return (await session.client.get(REPORT)) as Report;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}

describe("what the API server asks about", () => {
  test("follows the first rule within seconds, and the rule says that it is in force", async () => {
    expect(await entries()).toEqual({});
    await session.kubectl("apply -f -", PORTS_NAMED);
    await waitFor("the rule to be in force", () => isInForce("ports-named"), { timeoutMs: 5_000 });
    expect(await conditions("ports-named")).toEqual(["Accepted True Compiled", "Ready True Registered"]);
    expect(await entries()).toEqual({ "rules-fail.fairlead.dev": ["services", "resiliencepolicies"] });
  });

  test("so a write that the rule refuses is refused", async () => {
    await waitFor("the API server to ask", async () => {
      return (await session.run("create --dry-run=server -f -", unnamed("new"))).code === 1;
    });
    expect(await session.refused("create -f -", unnamed("new"))).toContain(
      'admission webhook "rules-fail.fairlead.dev" denied the request: Service shop/new cannot be accepted, 1 problem:\n' +
        "- spec.ports: rule ports-named: every port needs a name",
    );
  });

  test("grows with a rule of the other failure policy, is put right, and shrinks when it goes", async () => {
    const both = {
      "rules-fail.fairlead.dev": ["services", "resiliencepolicies"],
      "rules-ignore.fairlead.dev": ["configmaps"],
    };
    await session.kubectl("apply -f -", KEYS_BOUNDED);
    await waitFor("the second rule to be in force", () => isInForce("keys-bounded"));
    expect(await entries()).toEqual(both);
    const { webhooks } = (await session.client.get(CONFIGURATION)) as { readonly webhooks?: readonly Entry[] };
    const index = webhooks?.findIndex(({ name }) => name === "rules-fail.fairlead.dev");
    await session.client.patch({
      path: CONFIGURATION,
      type: "json",
      body: [{ op: "remove", path: `/webhooks/${index}` }],
    });
    expect(await entries()).not.toEqual(both);
    await session.fairlead.rules.check();
    expect(await entries()).toEqual(both);
  });
});

describe("what was there before the rule", () => {
  test("is reported, without a write to it", async () => {
    const { metadata } = await session.service("shop", "old");
    await waitFor("the report", async () => (await report()) !== undefined);
    const found = await report();
    expect(found?.summary.fail).toBe(1);
    expect(found?.results.map(({ policy, resources }) => [policy, resources[0]?.name])).toEqual([
      ["ports-named", "old"],
    ]);
    expect((await session.service("shop", "old")).metadata?.resourceVersion).toBe(metadata?.resourceVersion);
  });

  test("nothing is written again while nothing changes", async () => {
    const versions = async (): Promise<readonly (string | undefined)[]> => {
      const paths = [CONFIGURATION, REPORT, resourcePath({ ...RULES, name: "ports-named" })];
      const objects = await Promise.all(paths.map((path) => session.client.get(path)));
      return objects.map((object) => object.metadata?.resourceVersion);
    };
    const before = await versions();
    const metrics = async (): Promise<string> => (await fetch(`${session.fairlead.operationsUrl}/metrics`)).text();
    const runs = async (): Promise<string | undefined> =>
      /fairlead_audit_duration_seconds_count (\d+)/.exec(await metrics())?.[1];
    const earlier = await runs();
    // A namespace that changes is looked at again.
    await session.kubectl("annotate namespace shop touched=1");
    await session.fairlead.rules.check();
    await waitFor("another look", async () => (await runs()) !== earlier);
    expect(await versions()).toEqual(before);
    expect(await metrics()).toContain(
      'fairlead_rule_violations{rule="ports-named",severity="high",namespace="shop"} 1\n',
    );
  });

  test("is no longer reported once it is right", async () => {
    await session.kubectl("delete service old -n shop");
    await waitFor("the report to go", async () => (await report()) === undefined);
  });
});

describe("with no replica that answers", () => {
  beforeAll(async () => {
    await session.kubectl("apply -f -", service("shop", "leaving", { finalizers: ["example.com/hold"] }));
    await session.kubectl("delete service leaving -n shop --wait=false");
    await session.stopFairlead();
  });

  test("Fail refuses what the rules match, and no more", async () => {
    const refused = await session.refused("create -f -", service("shop", "later"));
    expect(refused).toContain('failed calling webhook "rules-fail.fairlead.dev"');
    await session.kubectl("create secret generic later -n shop");
  });

  test("Ignore lets it pass", async () => {
    await session.kubectl("create configmap later -n shop --from-literal=a=1 --from-literal=b=2 --from-literal=c=3");
  });

  test("what is being deleted can lose its finalizers", async () => {
    await session.kubectl([
      "patch",
      "service",
      "leaving",
      "-n",
      "shop",
      "--type=json",
      '-p=[{"op":"remove","path":"/metadata/finalizers"}]',
    ]);
    await waitFor("it to go", async () => (await session.run("get service leaving -n shop")).code === 1);
  });

  test("afterwards the entries lead to the new replica, and go with the last rule", async () => {
    await session.restart();
    await waitFor("the rule to be asked again", async () => {
      const { stderr } = await session.run("create --dry-run=server -f -", unnamed("new"));
      return stderr.includes("every port needs a name");
    });
    await session.kubectl("delete admissionrules --all");
    await waitFor("the entries to go", async () => Object.keys(await entries()).length === 0);
    await session.kubectl("create -f -", unnamed("new"));
  });
});
