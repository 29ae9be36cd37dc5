import { describe, expect, test } from "vitest";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { type FinalizerInput, planFinalizer } from "../../src/core/policy/finalizer.ts";
import { recordsNaming } from "../../src/core/policy/recorded.ts";
import { namespace, policy, service, worldOf } from "./worlds.ts";

const OURS = "fairlead.dev/cleanup";
const DELETED = { deletionTimestamp: "2026-01-01T00:00:00Z" };

function stored(metadata: Record<string, unknown> = {}): KubernetesObject {
  return policy({ timeout: { request: "2s" } }, { uid: "u-1", resourceVersion: "41", ...metadata });
}

function recorded(policies: string, metadata: Record<string, unknown> = {}): KubernetesObject {
  const object = service({ "fairlead.dev/injected": JSON.stringify({ policy: policies, revision: "r", keys: {} }) });
  return { ...object, metadata: { ...object.metadata, ...metadata } };
}

function plan(
  object: KubernetesObject,
  given: Partial<FinalizerInput> & { readonly objects?: readonly KubernetesObject[] } = {},
) {
  const { objects = [namespace("enforce")], ...rest } = given;
  return planFinalizer({ policy: object, world: worldOf(objects, { unknownNamespaceMode: undefined }), ...rest });
}

function writing(finalizers: readonly string[]) {
  const ref = { group: "fairlead.dev", resource: "resiliencepolicies", namespace: "iam", name: "user-service" };
  return { kind: "merge", ref, resourceVersion: "41", body: { metadata: { finalizers } } };
}

describe("planFinalizer()", () => {
  test("an accepted policy gets it, after those of others, once", () => {
    expect(plan(stored())).toEqual({ action: writing([OURS]) });
    expect(plan(stored({ finalizers: ["a/b"] }))).toEqual({ action: writing(["a/b", OURS]) });
    expect(plan(stored({ finalizers: [OURS, "a/b"] }))).toEqual({});
  });

  test("not one that is refused, nor where nothing is ever cleaned", () => {
    const refused = policy({ retry: { maxAttempts: 1, statusCodes: ["200"] } });
    expect(plan(refused)).toEqual({});
    expect(plan(stored(), { objects: [namespace("audit")] })).toEqual({});
    expect(plan(stored(), { objects: [] })).toEqual({});
    expect(plan(stored(), { namespaceTerminating: true })).toEqual({});
    expect(plan(stored({ namespace: "kube-system" }), { objects: [] })).toEqual({});
    expect(plan(stored(), { objects: [namespace(undefined)] })).toEqual({ action: writing([OURS]) });
  });

  const dying = stored({ finalizers: ["a/b", OURS, "c/d"], ...DELETED });
  const withTarget = [namespace("enforce"), recorded("other,user-service")];

  test("waits while a target carries settings of the policy, a minute in all", () => {
    expect(plan(dying, { objects: withTarget })).toEqual({ againInMs: 60_000 });
    expect(plan(dying, { objects: withTarget, deletingForMs: 59_999 })).toEqual({ againInMs: 1 });
    expect(plan(dying, { objects: withTarget, deletingForMs: 60_000 })).toEqual({
      action: writing(["a/b", "c/d"]),
      giveUp: true,
    });
  });

  test("takes only itself away once no target names the policy", () => {
    const others = [namespace("enforce"), recorded("user-service-2,other"), recorded("user-service", DELETED)];
    for (const object of others.slice(1)) {
      expect(plan(dying, { objects: [namespace("enforce"), object] })).toEqual({ action: writing(["a/b", "c/d"]) });
    }
    expect(plan(stored({ finalizers: [OURS], ...DELETED }))).toEqual({ action: writing([]) });
    expect(plan(stored({ finalizers: ["a/b"], ...DELETED }), { objects: withTarget })).toEqual({});
  });

  test("a namespace that goes, is unknown, never touched or in audit mode holds nothing back", () => {
    const gone = { action: writing(["a/b", "c/d"]) };
    expect(plan(dying, { objects: withTarget, namespaceTerminating: true })).toEqual(gone);
    expect(plan(dying, { objects: withTarget.slice(1) })).toEqual(gone);
    expect(plan(dying, { objects: [namespace("audit"), ...withTarget.slice(1)] })).toEqual(gone);
    expect(plan(dying, { objects: [namespace(undefined), ...withTarget.slice(1)] })).toEqual({ againInMs: 60_000 });
  });
});

test("recordsNaming(): by the whole name, whatever else stands in the annotation", () => {
  const odd = ["", "null", "[]", "user-service", '{"policy":5,"x":"user-service"}', '{"policy":"","x":"user-service"}'];
  const targets = [
    ...odd.map((text) => service({ "fairlead.dev/injected": text })),
    recorded("a,user-service"),
    recorded("user-service-2"),
    recorded("user-service", DELETED),
    service(),
  ];
  expect(recordsNaming("user-service", targets)).toEqual([targets[odd.length]]);
});
