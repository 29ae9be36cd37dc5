import { describe, expect, test } from "vitest";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import type { ControlPlane } from "../../src/core/mesh/control-plane.ts";
import { policyStatus } from "../../src/core/policy/status.ts";
import { noMeshShown } from "../../src/core/mesh/all.ts";
import { changedWorld } from "../../src/core/policy/world-with-policy.ts";
import type { NamespaceInfo, World } from "../../src/core/world.ts";
import { DEFAULTS, mutate, namespace, policy, service, validate, worldOf } from "./worlds.ts";

const BARE = namespace("enforce", {});
const POLICY = policy({ timeout: { request: "2s" } });

function shown(labels: NamespaceInfo["labels"], annotations: NamespaceInfo["annotations"] = {}): NamespaceInfo {
  return { name: "iam", labels, annotations };
}

function codesOf(world: World, object: object): readonly string[] {
  return validate(world, object).findings.map(({ code }) => code);
}

describe("a namespace", () => {
  test.each<[string, NamespaceInfo | undefined, boolean]>([
    ["without a word of any mesh", shown({}), true],
    ["with Linkerd's annotation switched off", shown({}, { "linkerd.io/inject": "disabled" }), true],
    [
      "with Istio's label switched off, whatever its revision",
      shown({ "istio-injection": "disabled", "istio.io/rev": "a" }),
      true,
    ],
    ["with ambient switched off", shown({ "istio.io/dataplane-mode": "none" }), true],
    ["of Linkerd", shown({}, { "linkerd.io/inject": "enabled" }), false],
    ["of Linkerd's ingress mode", shown({}, { "linkerd.io/inject": "ingress" }), false],
    ["of Istio", shown({ "istio-injection": "enabled" }), false],
    ["of a revision of Istio", shown({ "istio.io/rev": "canary" }), false],
    ["of ambient", shown({ "istio.io/dataplane-mode": "ambient" }), false],
    ["that the watch has not brought yet", undefined, false],
    ["that no file holds", { ...shown({}), assumed: true }, false],
  ])("%s", (_, info, isTold) => {
    expect(noMeshShown(info, DEFAULTS) !== undefined).toBe(isTold);
  });

  test("without a mesh is not told of where --mesh says which it is", () => {
    expect(noMeshShown(shown({}), { ...DEFAULTS, mesh: "Istio" })).toBeUndefined();
  });
});

describe("without a mesh", () => {
  test("policy and Service are admitted with a warning, and get Linkerd's settings", () => {
    const world = worldOf([BARE, POLICY, service()]);
    expect(validate(world, POLICY)).toMatchObject({ allowed: true, findings: [{ code: "FL324", path: "spec.mesh" }] });
    expect(mutate(world, service()).patch).not.toEqual([]);
    expect(codesOf(world, service())).toContain("FL324");
  });

  test("the status of the policy repeats it", () => {
    const { conditions = [] } = policyStatus({
      policy: POLICY,
      world: worldOf([BARE, POLICY, service()]),
      failures: new Map(),
      nowText: "2026-11-26T12:00:00Z",
    });
    expect(conditions[0]).toMatchObject({ type: "Accepted", status: "True", reason: "AcceptedWithWarnings" });
    expect(conditions[0]?.message).toContain(
      "FL324 spec.mesh: Namespace iam shows no mesh, so the settings are Linkerd's",
    );
  });

  test.each([
    ["a policy that names the mesh itself", [BARE, policy({ timeout: { request: "2s" }, mesh: "Linkerd" })]],
    ["a Service that no policy is aimed at", [BARE]],
    ["a policy that has no effect anyway", [namespace(undefined, {}), POLICY]],
  ])("nothing is said of %s", (_, objects) => {
    const world = worldOf([...objects, service()], { unknownNamespaceMode: undefined });
    const [, written = service()] = objects;
    expect(codesOf(world, written)).not.toContain("FL324");
    expect(codesOf(world, service())).not.toContain("FL324");
  });
});

describe("a policy that comes before the watch has brought its namespace", () => {
  const DEFAULT_NONE = { unknownNamespaceMode: undefined };
  const FAULTS = { faultInjection: { abort: { status: 503, percent: 1 } } };
  const newlyMade = (spec: object, defaults: object = {}) =>
    validate(worldOf([], { ...DEFAULT_NONE, ...defaults }), policy({ ...spec }));

  test.each([
    ["faults", FAULTS],
    ["denied requests", { authorization: { deny: [{ from: { namespaces: ["front"] } }] } }],
  ])("is warned of what Linkerd does not have and not refused: %s", (_, spec) => {
    const { allowed, findings } = newlyMade(spec);
    expect(allowed).toBe(true);
    const [told] = findings.filter(({ code }) => code === "FL310");
    expect(told?.severity).toBe("warn");
    expect(told?.message).toMatch(/^If namespace iam, which is not known yet, is Linkerd's: /);
  });

  test.each<[string, object, object]>([
    ["the policy names the mesh", { ...FAULTS, mesh: "Linkerd" }, {}],
    ["--mesh does", FAULTS, { mesh: "Linkerd" }],
    ["a policy is wrong for every mesh", { timeout: { request: "2 s" } }, {}],
  ])("is refused where %s", (_, spec, defaults) => {
    expect(newlyMade(spec, defaults).allowed).toBe(false);
  });

  test("is refused once the namespace is known, and where a file only assumes it", () => {
    expect(validate(worldOf([BARE]), policy(FAULTS)).allowed).toBe(false);
    expect(validate(worldOf([]), policy(FAULTS)).allowed).toBe(false);
  });

  test("is not told for which revision of Istio its settings are", () => {
    const planes = ["1.24.0", "1.29.0"].map((version) => ({ mesh: "Istio", revision: version, version, source: "a" }));
    const world = (objects: readonly KubernetesObject[]): World =>
      changedWorld(worldOf(objects, DEFAULT_NONE), { controlPlanes: () => planes as readonly ControlPlane[] });
    const written = policy({ timeout: { request: "2s" }, mesh: "Istio" });
    expect(codesOf(world([BARE]), written)).toContain("FL326");
    expect(codesOf(world([]), written)).not.toContain("FL326");
  });
});
