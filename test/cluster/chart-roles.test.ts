import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { annotationsOf, type KubernetesObject, labelsOf, type StringMap } from "../../src/core/kubernetes.ts";
import { COMPANION_KINDS } from "../../src/core/names.ts";
import { runCommand } from "../../src/dev/control-plane/command.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { accountOf } from "./audited-rights.ts";
import { ChartCluster } from "./chart-cluster.ts";
import { CHART, NAMESPACE } from "./chart-support.ts";
import { expectClean, ownAnnotations, policy, service } from "./session.ts";
import { ROOT } from "./support.ts";
import { WriteStream } from "./write-stream.ts";

/** A leader that is killed is followed by another within some seconds. Refused writes show, unchecked ones do not. */
const VALUES =
  "controller.leaseDuration=4s,controller.leaseRenewDeadline=3s,controller.leaseRetryPeriod=500ms," +
  "failurePolicy.services=Fail,failurePolicy.routes=Fail";
const REQUEST = "timeout.linkerd.io/request";
const REVISION = "fairlead.dev/revision";
const WEB = { targetSelector: { matchLabels: { app: "web" } }, conflictResolution: "Override" };

let release: ChartCluster;
beforeAll(async () => {
  release = await ChartCluster.install(VALUES);
});
afterAll(() => release?.stop());

function namespace(name: string): object {
  const annotations = { "linkerd.io/inject": "enabled" };
  return {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name, labels: { "fairlead.dev/mode": "enforce" }, annotations },
  };
}

/** The policy `web` of the namespace `shop`. */
function web(request: string): object {
  return policy("shop", "web", { ...WEB, timeout: { request } });
}

async function secret(name: string): Promise<StringMap> {
  return (await release.get<{ readonly data?: StringMap }>(`secret ${name} -n ${NAMESPACE}`)).data ?? {};
}

describe("a release whose pods run as its Deployments say", () => {
  test("becomes ready: two admission replicas that the API server trusts, two controllers of which one leads", async () => {
    const { workloads } = release;
    await workloads.start();
    for (const pod of workloads.of("admission")) {
      const verbose = await pod.ask("/readyz?verbose");
      for (const check of ["certificateLoaded", "cachesSynced", "selfReview", "certificateInBundle"])
        expect(verbose).toContain(`[+]${check} ok`);
    }
    expect([workloads.of("admission").length, workloads.of("controller").length]).toEqual([2, 2]);
    const [leader, ...others] = await release.leaders();
    expect(others).toEqual([]);
    const holder = `get lease fairlead-controller -n ${NAMESPACE} -o jsonpath={.spec.holderIdentity}`;
    expect(await release.run(holder)).toMatch(new RegExp(`^${leader?.name}_[0-9a-f]{8}$`));
  });

  test("injects in the write itself, and says why when it refuses", async () => {
    await release.apply(namespace("shop"), service("shop", "web", { labels: { app: "web" } }));
    await release.apply(web("2s"));
    const revision = await release.whenApplied("shop", "web");
    expect(labelsOf(await release.get("service web -n shop"))[REVISION]).toBe(revision);
    const second = service("shop", "web-2", { labels: { app: "web" } });
    const created = JSON.parse(await release.run("create -f - -o json", second)) as KubernetesObject;
    expect(ownAnnotations(created)).toEqual({ [REQUEST]: "2000ms" });
    await release.whenEvent("shop", `1 Normal Applied ResiliencePolicy/web: 1 of 1 target has revision ${revision}`);

    const bad = service("shop", "bad", { annotations: { "retry.linkerd.io/http": "5xx, 429" } });
    expect(await release.refusal("create -f -", bad)).toBe(
      'Error from server (Forbidden): error when creating "STDIN": admission webhook "services.fairlead.dev" denied the request: ' +
        "Service shop/bad cannot be accepted, 1 problem:\n" +
        '- retry.linkerd.io/http: Found item " 429" in "5xx, 429", wanted 5xx, gateway-error, 100 to 599 or a range like 500-504, ' +
        "without spaces; Linkerd would drop every HTTP retry setting of this Service (FL401)\n" +
        '  fix: write "5xx,429"\n',
    );
    const reversed = policy("shop", "reversed", { ...WEB, circuitBreaker: { minPenalty: "2m" } });
    expect(await release.refusal("create -f -", reversed)).toContain(
      'admission webhook "policies.fairlead.dev" denied the request: ResiliencePolicy shop/reversed cannot be accepted',
    );
  });

  test("follows a change of policy, and takes everything back when the policy goes", async () => {
    await release.apply(web("3s"));
    await release.whenApplied("shop", "web", 2);
    for (const name of ["web", "web-2"])
      expect(ownAnnotations(await release.get(`service ${name} -n shop`))).toEqual({ [REQUEST]: "3000ms" });
    expect((await release.get("rp web -n shop")).metadata?.finalizers).toEqual(["fairlead.dev/cleanup"]);
    await release.run("delete rp web -n shop");
    for (const name of ["web", "web-2"]) expectClean(await release.get(`service ${name} -n shop`));
    const cleaned = "Every target is without the settings of this policy";
    await release.whenEvent("shop", `1 Normal Cleaned ResiliencePolicy/web: ${cleaned}`);
  });

  test("survives the death of the leading controller; the next one also makes a broken CA anew", async () => {
    const [leader] = await release.leaders();
    const before = await secret("fairlead-ca");
    await leader?.kill();
    const broken = { "ca.key": Buffer.from("broken").toString("base64") };
    await release.run(`patch secret fairlead-ca -n ${NAMESPACE} --type=merge -p ${JSON.stringify({ data: broken })}`);
    await release.apply(web("6s"));
    await release.whenAnnotated("shop", "web", { [REQUEST]: "6000ms" });
    await waitFor("another CA", async () => {
      const { "ca.crt": certificate, "ca.key": key } = await secret("fairlead-ca");
      return certificate !== before["ca.crt"] && key !== broken["ca.key"];
    });
    await release.workloads.start();
    const [next, ...others] = await release.leaders();
    expect(others).toEqual([]);
    expect(next?.name).not.toBe(leader?.name);
  });

  test("tells of each repair, and counts those that are alike", async () => {
    const repaired = "Somebody changed what ResiliencePolicy web had set; it is put back";
    for (const count of [1, 2]) {
      // In audit mode the edit stays; in enforce mode the webhook would undo it within the same write.
      await release.run("label namespace shop fairlead.dev/mode=audit --overwrite");
      await waitFor("an edit that stays", async () => {
        await release.run(`annotate service web -n shop --overwrite ${REQUEST}=9s`);
        return annotationsOf(await release.get("service web -n shop"))[REQUEST] === "9s";
      });
      await release.run("label namespace shop fairlead.dev/mode=enforce --overwrite");
      await release.whenAnnotated("shop", "web", { [REQUEST]: "6000ms" });
      await release.whenEvent("shop", `${count} Warning Repaired Service/web: ${repaired}`);
    }
  });

  test("keeps revisions: an earlier spec becomes the newest again, and beyond ten the oldest go", async () => {
    const changeTo = async (request: string): Promise<string> => {
      await release.apply(web(request));
      return release.whenApplied("shop", "web", 2);
    };
    const first = await changeTo("11s");
    await changeTo("12s");
    await changeTo("11s");
    type Revision = KubernetesObject & { readonly revision: number };
    const { uid = "" } = (await release.get("rp web -n shop")).metadata ?? {};
    const stored = (): Promise<readonly Revision[]> =>
      release.list<Revision>(`controllerrevisions -n shop -l fairlead.dev/policy-uid=${uid}`);
    const newest = async (): Promise<string | undefined> =>
      [...(await stored())].sort((a, b) => b.revision - a.revision)[0]?.metadata?.name;
    await waitFor("the earlier spec to be the newest", async () => (await newest()) === `web-${first}`);

    const [example] = await stored();
    const { labels, ownerReferences } = example?.metadata ?? {};
    const older = Array.from({ length: 10 }, (_, index) => ({
      ...example,
      metadata: { name: `web-${index}00000000000`, namespace: "shop", labels, ownerReferences },
      revision: 0,
    }));
    await release.apply(...older);
    await waitFor("the oldest to go", async () => (await stored()).length === 10);
    expect(await newest()).toBe(`web-${first}`);
  });

  test("writes what Istio reads beside a Service, and takes it away", async () => {
    const ofIstio = COMPANION_KINDS.filter(({ group }) => group.endsWith(".istio.io"));
    const kinds = ofIstio.map(({ group, resource }) => `${resource}.${group}`).join(",");
    const found = async (): Promise<number> => (await release.list(`${kinds} -n shop`)).length;
    // Below 100 percent the endpoints are counted, for which both roles have a right.
    const circuitBreaker = { maxEjectionPercent: 50 };
    const spec = { targetRefs: [{ kind: "Service", name: "ledger" }], mesh: "Istio", circuitBreaker };
    const faultInjection = { abort: { percent: 1, status: 503 } };
    const authorization = { allow: [{ from: { namespaces: ["shop"] } }], deny: [{ to: { methods: ["TRACE"] } }] };
    const atPods = { rateLimit: { requestsPerSecond: 9 }, mtls: { mode: "Strict" }, authorization };
    const ports = [{ name: "http", port: 80 }];
    const ledger = { ...service("shop", "ledger"), spec: { selector: { app: "ledger" }, ports } };
    await release.apply(ledger, policy("shop", "ledger", { ...spec, faultInjection, ...atPods }));
    await waitFor("all objects", async () => (await found()) === 6);
    await release.run("create clusterrolebinding pat --clusterrole=fairlead-policy-edit --user=pat");
    const patch = (change: object) => `patch rp ledger -n shop --as=pat --type=merge -p ${JSON.stringify(change)}`;
    expect(await release.refusal(patch({ spec: { faultInjection: null } }), {})).toContain(
      "Found spec.faultInjection changed, aimed elsewhere or deleted by pat",
    );
    await release.run(patch({ spec: { circuitBreaker: { consecutiveFailures: 3 } } }));
    await release.run("delete rp ledger -n shop");
    await waitFor("all objects to go", async () => (await found()) === 0);
  });

  test("writes what Linkerd reads beside a Service, and takes it away", async () => {
    const names = ["meshtlsauthentications", "networkauthentications", "authorizationpolicies", "servers"];
    const kinds = [...names, "httplocalratelimitpolicies"].map((name) => `${name}.policy.linkerd.io`).join();
    const found = async (): Promise<number> => (await release.list(`${kinds} -n shop`)).length;
    const allow = [{ from: { namespaces: ["front"], cidrs: ["10.0.0.0/8"] } }];
    const sections = { rateLimit: { requestsPerSecond: 9 }, authorization: { allow } };
    const spec = { targetRefs: [{ kind: "Service", name: "stock" }], mesh: "Linkerd", ...sections };
    const ports = [{ name: "http", port: 80 }];
    const stock = { ...service("shop", "stock"), spec: { selector: { app: "stock" }, ports } };
    await release.apply(stock, policy("shop", "stock", spec));
    await waitFor("all five objects", async () => (await found()) === 5);
    await release.run("delete rp stock -n shop");
    await waitFor("all five objects to go", async () => (await found()) === 0);
  });

  test("generates the routes of a policy, and takes them away", async () => {
    const spec = { targetRefs: [{ kind: "Service", name: "cart" }], timeout: { request: "2s" } };
    const writes = { name: "writes", matches: [{ method: "POST" }], timeout: { request: "5s" } };
    const routes = async (): Promise<readonly string[]> =>
      (await release.list("httproutes.gateway.networking.k8s.io -n shop"))
        .map(({ metadata }) => metadata?.name ?? "")
        .sort();
    await release.apply(service("shop", "cart"), policy("shop", "cart", { ...spec, routes: [writes] }));
    const wanted = "cart-cart-fairlead-rest,cart-cart-writes";
    await waitFor("the routes", async () => (await routes()).join() === wanted);
    await release.apply(policy("shop", "cart", spec));
    await waitFor("the routes to go", async () => (await routes()).length === 0);
  });

  test("cleans targets of every kind directly where a namespace is out, as soon as it is let through", async () => {
    await release.apply(namespace("kinds"), service("kinds", "web"), ...ROUTES.map(route));
    const refs = ROUTES.map(({ group, kind }) => ({ group, kind, name: "web" }));
    const targetRefs = [{ kind: "Service", name: "web" }, ...refs];
    await release.apply(policy("kinds", "all", { targetRefs, timeout: { request: "2s" } }));
    await release.whenApplied("kinds", "all", 4);

    const asController = `label service web -n kinds held=1 --dry-run=server --as=${accountOf("controller")}`;
    await release.apply(...HOLD.items);
    await waitFor(
      "the controller to be held",
      async () => (await release.cluster.kubectl(asController.split(" "))).code === 1,
    );
    await release.run("label namespace kinds fairlead.dev/mode-");
    const held = "ValidatingAdmissionPolicy 'hold' with binding 'hold' denied request: held";
    await release.whenEvent("kinds", `1 Warning WriteFailed Service/web: services "web" is forbidden: ${held}`);
    await release.run("delete validatingadmissionpolicybinding hold");
    const kinds = ["services", ...ROUTES.map(({ resource }) => resource)].join();
    await waitFor(
      "everything to be clean",
      async () => (await release.list(`${kinds} -n kinds -l ${REVISION}`)).length === 0,
    );
    const objects = await release.list(`${kinds} -n kinds`);
    expect(objects.length).toBe(4);
    for (const object of objects) expectClean(object);
  });

  test("registers rules, tells how far they are, and reports what was there before", async () => {
    const unnamed = (name: string): object => ({ ...service("shop", name), spec: { ports: [{ port: 80 }] } });
    await release.apply(unnamed("unnamed"));
    await release.apply(PORTS_NAMED);
    await release.run("wait admissionrule ports-named --for=condition=Ready --timeout=10s");
    await waitFor("a refusal", async () => {
      const { stderr } = await release.cluster.kubectl(["create", "--dry-run=server", "-f", "-"], {
        input: JSON.stringify(unnamed("another")),
      });
      return stderr.includes('admission webhook "rules-fail.fairlead.dev" denied the request');
    });
    const reports = () => release.list("reports.openreports.io -n shop");
    await waitFor("a report", async () => (await reports()).length === 1);
    await release.run("delete service unnamed -n shop");
    await waitFor("the report to go", async () => (await reports()).length === 0);
  });

  test("helm upgrade: while every pod is replaced, by one with the certificate of the new CA, no write fails", async () => {
    const { workloads } = release;
    await waitFor("a certificate of the new CA", async () => {
      return (await secret("fairlead-tls"))["ca.crt"] === (await secret("fairlead-ca"))["ca.crt"];
    });
    const running = () => [...workloads.of("admission"), ...workloads.of("controller")];
    const before = running();
    const stream = new WriteStream(release.client);
    await stream.wroteMore();
    await release.helm("upgrade", "fairlead", CHART, "--reset-then-reuse-values", "--set", "logLevel=warn");
    expect(await workloads.roll()).toEqual([0, 0, 0, 0]);
    await stream.wroteMore();
    expect(await stream.stop()).toEqual([]);
    expect(running().map(({ deployment }) => deployment.args.includes("--log-level=warn"))).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect(running().filter((pod) => before.includes(pod))).toEqual([]);
  });

  test("each role was allowed all that it asked, and has asked for all that it is allowed", async () => {
    const { forbidden, unused } = await release.usedRights();
    expect(forbidden).toEqual([]);
    expect(unused).toEqual([
      // No request is made for it: an admission plugin, which is off here, looks whether the right is there.
      "controller: update resiliencepolicies/finalizers.fairlead.dev",
    ]);
  });

  test("helm uninstall leaves every write open, and fairlead uninstall takes back what was written", async () => {
    await release.helm("uninstall", "fairlead");
    expect(await release.workloads.terminate()).toEqual([0, 0, 0, 0]);
    await release.run("label service web -n shop team=checkout");
    await release.apply(service("shop", "after"), web("7s"));
    await release.run("label namespace shop fairlead.dev/mode-");
    expect(annotationsOf(await release.get("service web -n shop"))[REQUEST]).toBe("11000ms");

    const home = { directory: release.directory, kubeconfigPath: release.cluster.kubeconfigPath };
    let { code, stderr } = { code: -1, stderr: "" };
    // The right to give the Lease back went with the chart, so it has to expire.
    await waitFor("the Lease to expire", async () => {
      const command = [process.execPath, join(ROOT, "src", "cli.ts"), "uninstall", "--yes"] as const;
      ({ code, stderr } = await runCommand([...command], home));
      return !stderr.includes("which holds the Lease");
    });
    expect([code, stderr]).toEqual([0, expect.stringContaining(`kubectl delete namespace ${NAMESPACE}\n`)]);
    for (const object of await release.list("services -n shop")) {
      // The last edit by hand, which Fairlead has put back twice, is what it had replaced.
      expectClean(object, object.metadata?.name === "web" ? { [REQUEST]: "9s" } : {});
    }
    await release.run("delete rp --all -n shop --timeout=5s");
  });
});

const PORTS_NAMED = {
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "AdmissionRule",
  metadata: { name: "ports-named" },
  spec: {
    matchConstraints: {
      resourceRules: [
        { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE", "UPDATE"], resources: ["services"] },
      ],
    },
    validations: [{ expression: "object.spec.ports.all(p, has(p.name))" }],
  },
};

const ROUTES = [
  {
    group: "gateway.networking.k8s.io",
    kind: "HTTPRoute",
    version: "v1",
    resource: "httproutes.gateway.networking.k8s.io",
  },
  {
    group: "gateway.networking.k8s.io",
    kind: "GRPCRoute",
    version: "v1",
    resource: "grpcroutes.gateway.networking.k8s.io",
  },
  { group: "policy.linkerd.io", kind: "HTTPRoute", version: "v1beta3", resource: "httproutes.policy.linkerd.io" },
] as const;

function route({ group, kind, version }: (typeof ROUTES)[number]): object {
  const parentRefs = [{ group: "", kind: "Service", name: "web", port: 80 }];
  return {
    apiVersion: `${group}/${version}`,
    kind,
    metadata: { name: "web", namespace: "kinds" },
    spec: { parentRefs },
  };
}

/** Refuses the controller with 422, which it must tell from a conflict by reading the object again. */
const HOLD = {
  apiVersion: "v1",
  kind: "List",
  items: [
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingAdmissionPolicy",
      metadata: { name: "hold" },
      spec: {
        matchConstraints: {
          resourceRules: [
            {
              apiGroups: ["", "gateway.networking.k8s.io", "policy.linkerd.io"],
              apiVersions: ["*"],
              operations: ["UPDATE"],
              resources: ["services", "httproutes", "grpcroutes"],
            },
          ],
        },
        validations: [
          {
            expression: `request.userInfo.username != "${accountOf("controller")}"`,
            message: "held",
            reason: "Invalid",
          },
        ],
      },
    },
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingAdmissionPolicyBinding",
      metadata: { name: "hold" },
      spec: {
        policyName: "hold",
        validationActions: ["Deny"],
        matchResources: { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "kinds" } } },
      },
    },
  ],
};
