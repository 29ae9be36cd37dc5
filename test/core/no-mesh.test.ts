import { describe, expect, test } from "vitest";
import { policyStatus } from "../../src/core/policy/status.ts";
import { noMeshShown } from "../../src/core/mesh/all.ts";
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
