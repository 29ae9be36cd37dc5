import { describe, expect, test } from "vitest";
import { planOwned } from "../../src/core/companions/plan-owned.ts";
import type { KubernetesObject, StringMap } from "../../src/core/kubernetes.ts";
import { policyStatus } from "../../src/core/policy/status.ts";
import { effectOn } from "../../src/core/rules/in-effect.ts";
import { meshVersionIn } from "../../src/core/mesh/discovery.ts";
import { SERVICE_KIND } from "../../src/core/names.ts";
import { atOnce } from "./at-once.ts";
import { keyOf, namespace, policy, validate, worldOf } from "./worlds.ts";

/** Who may come in is asked at the Pods, so it does not matter that clients speak no HTTP there. */

const MESHES: readonly (readonly [mesh: string, labels: StringMap])[] = [
  ["Istio", { "istio-injection": "enabled" }],
  ["Linkerd", {}],
];
const ACCESS = { mtls: { mode: "Strict" }, authorization: { allow: [{ from: { namespaces: ["front"] } }] } };
const POSTGRES = { selector: { app: "db" }, ports: [{ name: "tcp-postgres", port: 5432, appProtocol: "tcp" }] };
const HEADLESS = { selector: { app: "db" }, clusterIP: "None", ports: [{ name: "http", port: 8080 }] };
const GUARDS = {
  Istio: ["PeerAuthentication", "AuthorizationPolicy"],
  Linkerd: ["MeshTLSAuthentication", "AuthorizationPolicy", "Server"],
};

function seen(labels: StringMap, serviceSpec: object, spec: Record<string, unknown>) {
  const annotations = "istio-injection" in labels ? {} : { "linkerd.io/inject": "enabled" };
  const metadata = { name: "user-service", namespace: "iam" };
  const object: KubernetesObject = { apiVersion: "v1", kind: "Service", metadata, spec: serviceSpec };
  const stored = policy(spec, { uid: "u-1" });
  const objects = [namespace("enforce", { labels, annotations }), object];
  const { allowed, findings } = validate(worldOf(objects), stored);
  const world = worldOf([...objects, stored]);
  const [compiled] = world.policiesIn("iam");
  const { actions, findings: told } = atOnce(
    planOwned({
      policy: stored,
      compiled,
      live: [],
      routes: [],
      serves: () => true,
      world,
    }),
  );
  const owned = { findings: told };
  const status = policyStatus({ policy: stored, world, failures: new Map(), owned, nowText: "2026-11-26T12:00:00Z" });
  const key = keyOf(object);
  const info = world.namespace("iam");
  const target = { key, kind: SERVICE_KIND, object, namespace: info, version: meshVersionIn(info, world), world };
  return {
    allowed,
    codes: findings.map(({ code, path }) => `${code} ${path}`),
    messages: findings.map(({ message }) => message),
    kinds: actions.map((action) => (action.kind === "apply" ? action.object.kind : action.kind)),
    effective: Object.keys(effectOn(target, object).effective),
    ready: status.conditions?.find(({ type }) => type === "Ready")?.status,
  };
}

describe.each(MESHES)("on %s", (mesh, labels) => {
  const guards = GUARDS[mesh as keyof typeof GUARDS];

  test.each([
    ["ports without HTTP", POSTGRES],
    ["a headless Service", HEADLESS],
  ])("%s: who may come in is written, in force, and told to be ready", (_what, spec) => {
    const { allowed, codes, kinds, effective, ready } = seen(labels, spec, ACCESS);
    expect(allowed).toBe(true);
    expect(codes.filter((code) => !code.startsWith("FL311"))).toEqual([]);
    expect(kinds).toEqual(guards);
    expect(effective).toEqual(["mtls", "authorization"]);
    expect(ready).toBe("True");
  });

  test("what is left out beside it is told", () => {
    const { codes, messages, kinds, effective, ready } = seen(labels, POSTGRES, {
      ...ACCESS,
      timeout: { request: "1s" },
      rateLimit: { requestsPerSecond: 9 },
    });
    expect(codes).toContain("FL303 spec.targetRefs[0]");
    expect(messages.join("\n")).toContain("but for mtls and authorization");
    expect(ready).toBe("False");
    expect(kinds).toEqual(guards);
    expect(effective).toEqual(["mtls", "authorization"]);
  });

  test.each([
    ["an ExternalName Service", { ...POSTGRES, type: "ExternalName", externalName: "db.example.com" }],
    ["UDP only", { ...POSTGRES, ports: [{ port: 53, protocol: "UDP" }] }],
    ["a headless Service without a selector", { ...HEADLESS, selector: {} }],
  ])("%s has no ports of Pods that are known", (_what, spec) => {
    const { codes, kinds, effective, ready } = seen(labels, spec, ACCESS);
    expect(codes).toContain("FL303 spec.targetRefs[0]");
    expect(kinds).toEqual([]);
    expect(effective).toEqual([]);
    expect(ready).toBe("False");
  });

  test("requests cannot be told apart there, and the section is refused rather than left out", () => {
    const allow = [{ from: { namespaces: ["front"] }, to: { methods: ["GET"] } }];
    const { allowed, kinds } = seen(labels, POSTGRES, { authorization: { allow } });
    expect(allowed).toBe(false);
    expect(kinds).toEqual([]);
  });
});
