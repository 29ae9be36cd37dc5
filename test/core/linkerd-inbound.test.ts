import { describe, expect, test } from "vitest";
import { planCompanions } from "../../src/core/companions/plan-companions.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { companionHandler, CompanionIndex } from "../../src/k8s/companion-index.ts";
import type { Change } from "../../src/k8s/change.ts";
import { SERVER } from "../../src/core/names.ts";
import { atOnce } from "./at-once.ts";
import { meshVersion, namespace, policy, validate, worldOf } from "./worlds.ts";

const NAMESPACE = namespace("enforce", { annotations: { "linkerd.io/inject": "enabled" } });

function users(spec: object = {}): KubernetesObject {
  const ports = [{ port: 80, targetPort: 8080 }];
  const metadata = { name: "user-service", namespace: "iam" };
  return { apiVersion: "v1", kind: "Service", metadata, spec: { selector: { app: "users" }, ports, ...spec } };
}

function made(kind: string, spec: object, metadata: object = {}): KubernetesObject {
  const apiVersion = `policy.linkerd.io/${kind === "Server" ? "v1beta3" : "v1alpha1"}`;
  return { apiVersion, kind, metadata: { name: "mine", namespace: "iam", ...metadata }, spec };
}

function server(podSelector: object, port: number | string = 8080, metadata: object = {}): KubernetesObject {
  return made("Server", { podSelector, port }, metadata);
}

/** `FL310 spec.mtls`, of a policy with this spec. */
function told(spec: object, objects: readonly KubernetesObject[] = [users()], version = "2.20"): readonly string[] {
  const written = policy({ ...spec });
  const world = worldOf([NAMESPACE, ...objects], { meshVersion: meshVersion(version) });
  return validate(world, written).findings.map(({ code, path }) => `${code} ${path}`);
}

/** The specs of what is written for a policy. */
function planned(spec: object, objects: readonly KubernetesObject[], version = "2.20"): readonly unknown[] {
  const written = policy({ ...spec }, { uid: "u-1" });
  const world = worldOf([...objects, written], { meshVersion: meshVersion(version) });
  const [compiled] = world.policiesIn("iam");
  const { actions } = atOnce(planCompanions({ policy: written, compiled, live: [], serves: () => true, world }));
  return actions.map((action) => (action.kind === "apply" ? action.object.spec : undefined));
}

const LIMIT = { rateLimit: { requestsPerSecond: 100 } };
const STRICT = { mtls: { mode: "Strict" } };
const NAMED_ONLY = "FL311 spec.mtls";
const allow = (...entries: readonly object[]) => ({ authorization: { allow: entries } });
const ops = { from: { namespaces: ["ops"] } };
const batch = [{ name: "batch", namespace: "jobs" }];

describe("what Linkerd says to a section", () => {
  test.each<readonly [string, object, readonly string[]]>([
    ["a limit opens what Pods shut by themselves", LIMIT, ["FL311 spec.rateLimit"]],
    ["a limit beside mTLS does not", { ...LIMIT, ...STRICT }, [NAMED_ONLY]],
    [
      "strangers share a limit",
      { rateLimit: { requestsPerSecond: 9, perClient: 1 } },
      ["FL311 spec.rateLimit", "FL311 spec.rateLimit.perClient"],
    ],
    [
      "a client with two limits",
      { ...STRICT, rateLimit: { requestsPerSecond: 9, overrides: [1, 2].map((it) => override(it)) } },
      [NAMED_ONLY, "FL310 spec.rateLimit.overrides[1].serviceAccounts"],
    ],
    ["who may", allow(ops), ["FL311 spec.authorization"]],
    ["which requests", allow(ops, { ...ops, to: { methods: ["GET"] } }), ["FL310 spec.authorization.allow[1].to"]],
    ["who may not", { authorization: { deny: [ops] } }, ["FL310 spec.authorization.deny"]],
  ])("%s", (_what, spec, wanted) => {
    expect(told(spec)).toEqual(wanted);
  });

  test.each<readonly [string | undefined, "Strict" | "Permissive", string]>([
    [undefined, "Strict", "all-authenticated"],
    ["audit", "Strict", "all-authenticated"],
    ["all-unauthenticated", "Strict", "all-authenticated"],
    ["cluster-unauthenticated", "Strict", "cluster-authenticated"],
    ["cluster-authenticated", "Strict", "cluster-authenticated"],
    ["deny", "Strict", "deny"],
    [undefined, "Permissive", "all-unauthenticated"],
    ["all-authenticated", "Permissive", "all-unauthenticated"],
    ["cluster-authenticated", "Permissive", "cluster-unauthenticated"],
    ["deny", "Permissive", "deny"],
  ])("mTLS where the default is %s, %s: lets in %s", (said, mode, wanted) => {
    expect(planned({ mtls: { mode } }, [shutBy(said), users()])).toEqual([
      expect.objectContaining({ accessPolicy: wanted }),
    ]);
  });

  test.each<readonly [object, string, "opaque" | "unknown"]>([
    [{ port: 13306, targetPort: 3306 }, "2.20", "opaque"],
    [{ port: 13306, targetPort: "mysql" }, "2.20", "unknown"],
    [{ port: 80, targetPort: 3306, appProtocol: "http" }, "2.20", "unknown"],
    [{ port: 80, targetPort: 3306, appProtocol: "http" }, "2.17", "opaque"],
  ])("the port %j in %s: %s, and a limit where that is not opaque", (port, version, wanted) => {
    const objects = [NAMESPACE, users({ ports: [port] })];
    const limits = wanted === "opaque" ? [] : [expect.objectContaining({ total: { requestsPerSecond: 100 } })];
    expect(planned({ ...LIMIT, ...STRICT }, objects, version)).toEqual([
      expect.objectContaining({ proxyProtocol: wanted }),
      ...limits,
    ]);
    const unlimited = wanted === "opaque" ? ["FL304 spec.rateLimit"] : [];
    expect(told({ ...LIMIT, ...STRICT }, objects.slice(1), version)).toEqual([NAMED_ONLY, ...unlimited]);
  });

  test("limits came with 2.17; the rest is as old as all versions that are known", () => {
    expect(told(LIMIT, [users()], "2.16")).toEqual(["FL310 spec.rateLimit"]);
    expect(told(STRICT, [users()], "2.14")).toEqual([NAMED_ONLY]);
  });

  test.each([
    [undefined, "all-unauthenticated to Service user-service, whatever default its Pods or the installation have"],
    ["cluster-authenticated", "cluster-authenticated to Service user-service, whatever default its Pods have"],
    [
      "all-authentcated",
      "all-unauthenticated to Service user-service, whatever default its Pods or the installation have; " +
        'the namespace says "all-authentcated", which Linkerd does not know',
    ],
  ])("a limit repeats the default %s of the namespace, and tells that it replaces others", (said, wanted) => {
    const world = worldOf([shutBy(said), users()]);
    expect(validate(world, policy(LIMIT)).findings.map(({ code, message }) => `${code} ${message}`)).toEqual([
      `FL311 With a limit Linkerd lets in ${wanted}`,
    ]);
  });

  test("mTLS before 2.16 cannot keep to the networks of the cluster, and tells so", () => {
    const toldBy = (version: string, said: string) => {
      const world = worldOf([shutBy(said), users()], { meshVersion: meshVersion(version) });
      return validate(world, policy(STRICT)).findings.map(({ code, path, message }) => `${code} ${path} ${message}`);
    };
    const networks = expect.stringContaining("Linkerd 2.15 cannot keep to cluster-authenticated: clients outside");
    expect(toldBy("2.15", "cluster-unauthenticated")).toContainEqual(networks);
    expect(toldBy("2.16", "cluster-unauthenticated")).toHaveLength(1);
    expect(toldBy("2.15", "deny")).toHaveLength(1);
  });

  test("a Service without a selector has no Pods that anybody knows of", () => {
    const { findings, allowed } = validate(
      worldOf([NAMESPACE, users({ selector: {} })]),
      policy({ ...STRICT, ...LIMIT, timeout: { request: "1s" } }),
    );
    expect(allowed).toBe(true);
    expect(findings.map(({ code, path }) => `${code} ${path}`)).toEqual([
      "FL303 spec.mtls",
      NAMED_ONLY,
      "FL303 spec.rateLimit",
    ]);
  });
});

function shutBy(said: string | undefined): KubernetesObject {
  const own = said === undefined ? {} : { "config.linkerd.io/default-inbound-policy": said };
  return namespace("enforce", { annotations: { "linkerd.io/inject": "enabled", ...own } });
}

function override(requestsPerSecond: number): object {
  return { requestsPerSecond, serviceAccounts: batch };
}

describe("objects of people beside those of a policy", () => {
  const same = { matchLabels: { app: "users" } };
  const target = (kind: string, name: string) => ({ targetRef: { group: "policy.linkerd.io", kind, name } });
  const ours = "fairlead-user-service.8080";

  const letsInto = (server: object | undefined) =>
    made("ServerAuthorization", { client: { unauthenticated: true }, ...(server && { server }) });
  const labelled = (operator: string, value: string) => ({
    selector: { matchExpressions: [{ key: "app.kubernetes.io/managed-by", operator, values: [value] }] },
  });

  test.each<readonly [string, KubernetesObject, readonly string[]]>([
    ["a Server for the same Pods and port", server(same), ["FL320 spec.rateLimit"]],
    ["a Server for all Pods", server({}), ["FL320 spec.rateLimit"]],
    ["a Server for some of the Pods", server({ matchLabels: { app: "users", v: "2" } }), ["FL320 spec.rateLimit"]],
    ["a Server for Pods that may be others", server({ matchLabels: { v: "2" } }), ["FL322 spec.rateLimit"]],
    ["a Server for other Pods", server({ matchLabels: { app: "cart" } }), []],
    ["a Server for another port", server(same, 9090), []],
    ["a Server for a port by its name", server(same, "http"), ["FL322 spec.rateLimit"]],
    ["a Server elsewhere", server(same, 8080, { namespace: "web" }), []],
    ["a Server that is going", server(same, 8080, { deletionTimestamp: "x" }), []],
    ["a Server for workloads outside", made("Server", { externalWorkloadSelector: {}, port: 8080 }), []],
    ["what is no Server to speak of", made("Server", {}), []],
    ["a limit of the Server", made("HTTPLocalRateLimitPolicy", target("Server", ours)), ["FL320 spec.rateLimit"]],
    ["a limit of another Server", made("HTTPLocalRateLimitPolicy", target("Server", "mine")), []],
    ["clients of the namespace", made("AuthorizationPolicy", target("Namespace", "iam")), ["FL327 spec.mtls"]],
    ["clients of the Server", made("AuthorizationPolicy", target("Server", ours)), ["FL327 spec.mtls"]],
    ["clients of another Server", made("AuthorizationPolicy", target("Server", "mine")), []],
    ["older clients of the Server", letsInto({ name: ours }), ["FL327 spec.mtls"]],
    ["older clients of another Server", letsInto({ name: "mine" }), []],
    ["older clients of every Server", letsInto({ selector: {} }), ["FL327 spec.mtls"]],
    ["older clients of Servers with a label of ours", letsInto(labelled("In", "fairlead")), ["FL327 spec.mtls"]],
    ["older clients of Servers with another", letsInto(labelled("NotIn", "fairlead")), []],
    ["older clients of Servers with a label that ours lacks", letsInto({ selector: { matchLabels: { a: "b" } } }), []],
    ["older clients of nothing", letsInto(undefined), []],
    ["clients of a route", made("AuthorizationPolicy", target("HTTPRoute", ours)), []],
    ["Istio's object of the same kind", { ...made("AuthorizationPolicy", {}), apiVersion: "security.istio.io/v1" }, []],
  ])("%s", (_what, object, wanted) => {
    const found = told({ ...STRICT, ...LIMIT }, [users(), object]);
    expect(found.filter((text) => text !== NAMED_ONLY)).toEqual(wanted);
  });

  test("of two Servers for a port Linkerd takes the older one, also where that is the policy's", () => {
    const labels = { "app.kubernetes.io/managed-by": "fairlead", "fairlead.dev/policy-uid": "u-1" };
    const own = server(same, 8080, { name: ours, labels, creationTimestamp: "2026-01-02" });
    const beside = (creationTimestamp: string) =>
      told(STRICT, [users(), own, server(same, 8080, { creationTimestamp })]);
    expect(beside("2026-01-01")).toEqual([NAMED_ONLY, "FL320 spec.mtls"]);
    expect(beside("2026-01-03")).toEqual([NAMED_ONLY, "FL322 spec.mtls"]);
    const written = server(same, 8080, { name: ours, creationTimestamp: "2026-01-02" });
    expect(told(STRICT, [users(), written])).toEqual([NAMED_ONLY, "FL320 spec.mtls"]);
  });

  test("older clients of a Server by a label that only ours has as it stands", () => {
    const labels = { "app.kubernetes.io/managed-by": "fairlead", "fairlead.dev/policy-uid": "u-1", team: "a" };
    const theirs = letsInto({ selector: { matchLabels: { team: "a" } } });
    const own = server(same, 8080, { name: ours, labels });
    expect(told(STRICT, [users(), own, theirs])).toEqual([NAMED_ONLY, "FL327 spec.mtls"]);
    expect(told(STRICT, [users(), theirs])).toEqual([NAMED_ONLY]);
  });

  test("of two limits of a Server Linkerd takes the older one, also where that is the policy's", () => {
    const labels = { "app.kubernetes.io/managed-by": "fairlead", "fairlead.dev/policy-uid": "u-1" };
    const limit = (name: string, metadata: object) => {
      const object = made("HTTPLocalRateLimitPolicy", target("Server", ours));
      return { ...object, metadata: { ...object.metadata, name, ...metadata } };
    };
    const beside = (creationTimestamp: string, metadata: object) =>
      told(LIMIT, [users(), limit(ours, metadata), limit("mine", { creationTimestamp })]).slice(1);
    const own = { labels, creationTimestamp: "2026-01-02" };
    expect(beside("2026-01-01", own)).toEqual(["FL320 spec.rateLimit"]);
    expect(beside("2026-01-03", own)).toEqual(["FL322 spec.rateLimit"]);
    expect(beside("2026-01-02", own), "of the same second the first by name").toEqual(["FL322 spec.rateLimit"]);
    expect(beside("2026-01-03", { creationTimestamp: "2026-01-02" })).toEqual([
      "FL320 spec.rateLimit",
      "FL320 spec.rateLimit",
    ]);
  });

  test("of two Services with the same Pods the one with the older Server has it", () => {
    const labels = { "app.kubernetes.io/managed-by": "fairlead", "fairlead.dev/policy-uid": "u-9" };
    const of = (name: string, creationTimestamp: string) =>
      server(same, 8080, { name: `fairlead-${name}.8080`, labels, creationTimestamp });
    const refused = "FL320 spec.mtls";
    const beside = (...objects: readonly KubernetesObject[]) => told(STRICT, [users(), ...objects]);
    expect(beside(of("other", "2026-02-01T00:00:00Z"))).toContain(refused);
    expect(beside(of("other", "2026-02-01"), of("user-service", "2026-01-01"))).toEqual([NAMED_ONLY]);
    expect(beside(of("other", "2026-01-01"), of("user-service", "2026-02-01"))).toContain(refused);
    expect(beside(of("z", "2026-01-01"), of("user-service", "2026-01-01"))).toEqual([NAMED_ONLY]);
    expect(beside(of("a", "2026-01-01"), of("user-service", "2026-01-01"))).toContain(refused);
  });
});

test("CompanionIndex keeps of a Server what tells its Pods and port, and tells its namespace", () => {
  const changes: Change[] = [];
  const index = new CompanionIndex();
  const handler = companionHandler(SERVER, index, {
    emit: (change) => changes.push(change),
    optedIn: () => ["iam", "web"],
    clusterDomain: "cluster.local",
  });
  const spec = { podSelector: {}, port: 8080, proxyProtocol: "opaque" };
  handler.set(made("Server", spec));
  expect(index.of(SERVER, "iam").map((object) => object.spec)).toEqual([{ podSelector: {}, port: 8080 }]);
  expect(index.of(SERVER, "web")).toEqual([]);
  const labels = { "app.kubernetes.io/managed-by": "fairlead", "fairlead.dev/policy-uid": "u-1" };
  const ownerReferences = [{ apiVersion: "x", kind: "ResiliencePolicy", name: "p", uid: "u-1" }];
  handler.set(made("Server", spec, { name: "fairlead-web.8080", labels, ownerReferences }));
  handler.delete("iam", "fairlead-web.8080");
  handler.delete("iam", "mine");
  const owned = { type: "owned", namespace: "iam", policyUid: "u-1" };
  const others = { type: "hostObject", namespace: "iam" };
  expect(changes).toEqual([others, owned, owned, others, others]);
});
