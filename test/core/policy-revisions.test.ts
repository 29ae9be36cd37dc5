import { describe, expect, test } from "vitest";
import type { Action } from "../../src/core/action.ts";
import { compilePolicy, type CompiledPolicy } from "../../src/core/intent/policy.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { revisionFor } from "../../src/core/policy/revision-for.ts";
import { type ControllerRevisionObject, planRevisions, revisionName } from "../../src/core/policy/revisions.ts";
import { ModelCluster } from "../property/model-cluster.ts";
import { keyOf, policy, service } from "./worlds.ts";

const POLICY = withTimeout("2s");
const COMPILED = compiledOf(POLICY);
const NAME = `user-service-${COMPILED.revision}`;

function withTimeout(request: string, metadata: Record<string, unknown> = {}): KubernetesObject {
  return policy({ timeout: { request } }, { uid: "u-1", ...metadata });
}

function compiledOf(object: KubernetesObject): CompiledPolicy {
  const compiled = compilePolicy(object).policy;
  if (compiled === undefined) throw new Error("The policy is not acceptable");
  return compiled;
}

/** A revision of some spec; `hash` has the twelve digits of a real one. */
function stored(hash: string, revision: number, uid = "u-1"): ControllerRevisionObject {
  const owner = { apiVersion: "fairlead.dev/v1alpha1", kind: "ResiliencePolicy", name: "user-service", uid };
  const metadata = {
    name: `user-service-${hash}`,
    namespace: "iam",
    uid: `uid-${hash}`,
    resourceVersion: `9${revision}`,
    ownerReferences: [{ ...owner, controller: true }],
  };
  return { apiVersion: "apps/v1", kind: "ControllerRevision", metadata, revision };
}

function hashes(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => String(index + 1).padStart(12, "0"));
}

function plan(of: readonly ControllerRevisionObject[], keep: readonly string[] = []) {
  return planRevisions({ policy: POLICY, compiled: COMPILED, stored: of, keep: new Set(keep) });
}

function deleted(actions: readonly Action[]): readonly string[] {
  return actions.flatMap((action) => (action.kind === "delete" ? [action.ref.name.slice(-2)] : []));
}

describe("planRevisions()", () => {
  test("stores an accepted spec as it was written, owned by the policy", () => {
    expect(plan([])).toEqual({
      actions: [
        {
          kind: "create",
          ref: { group: "apps", resource: "controllerrevisions", namespace: "iam", name: NAME },
          object: {
            apiVersion: "apps/v1",
            kind: "ControllerRevision",
            metadata: {
              name: NAME,
              namespace: "iam",
              labels: { "app.kubernetes.io/managed-by": "fairlead", "fairlead.dev/policy-uid": "u-1" },
              ownerReferences: [
                {
                  apiVersion: "fairlead.dev/v1alpha1",
                  kind: "ResiliencePolicy",
                  name: "user-service",
                  uid: "u-1",
                  controller: true,
                  blockOwnerDeletion: true,
                },
              ],
            },
            data: { spec: POLICY.spec },
            revision: 1,
          },
        },
      ],
    });
  });

  test("a new spec gets the next number, the same spec again is raised to it, the newest is left alone", () => {
    expect(plan([stored("000000000001", 7)]).actions).toMatchObject([{ kind: "create", object: { revision: 8 } }]);
    expect(plan([stored("000000000001", 7), stored(COMPILED.revision, 3)])).toEqual({
      actions: [
        {
          kind: "merge",
          ref: { group: "apps", resource: "controllerrevisions", namespace: "iam", name: NAME },
          resourceVersion: "93",
          body: { revision: 8 },
        },
      ],
    });
    expect(plan([stored("000000000001", 2), stored(COMPILED.revision, 3)])).toEqual({ actions: [] });
  });

  test("deletes the oldest beyond ten, with the preconditions of what was read", () => {
    const ten = hashes(10).map((hash, index) => stored(hash, index + 1));
    expect(plan(ten).actions[1]).toEqual({
      kind: "delete",
      ref: { group: "apps", resource: "controllerrevisions", namespace: "iam", name: "user-service-000000000001" },
      uid: "uid-000000000001",
      resourceVersion: "91",
    });
    expect(deleted(plan(ten.toReversed()).actions)).toEqual(["01"]);
    expect(deleted(plan(ten.slice(1)).actions)).toEqual([]);
    const many = hashes(14).map((hash, index) => stored(hash, 20 - index));
    expect(deleted(plan(many).actions)).toEqual(["14", "13", "12", "11", "10"]);
  });

  test("never deletes what is to be kept, nor the one in force", () => {
    const many = hashes(12).map((hash, index) => stored(hash, index + 1));
    expect(deleted(plan(many, ["000000000001", "000000000003"]).actions)).toEqual(["02", "04", "05"]);
    expect(deleted(plan(many, hashes(12)).actions)).toEqual([]);
    const inForce = [...many, stored(COMPILED.revision, 0)];
    expect(plan(inForce).actions.map((action) => action.kind)).toEqual(["merge", "delete", "delete", "delete"]);
  });

  test("one of the name that belongs to somebody else is not touched, and said", () => {
    expect(plan([stored(COMPILED.revision, 1, "u-0"), stored("000000000001", 7)])).toEqual({
      actions: [],
      problem: `ControllerRevision iam/${NAME} belongs to somebody else, so the spec is not kept; delete it`,
    });
  });

  test("one that a deleted policy of the same name has left is deleted, without waiting for the garbage collector", () => {
    const left = stored(COMPILED.revision, 1, "u-0");
    const ours = { ...left, metadata: { ...left.metadata, labels: { "app.kubernetes.io/managed-by": "fairlead" } } };
    const { uid = "", resourceVersion = "" } = left.metadata ?? {};
    const ref = { group: "apps", resource: "controllerrevisions", namespace: "iam", name: NAME };
    expect(plan([ours])).toEqual({ actions: [{ kind: "delete", ref, uid, resourceVersion }] });
  });

  test("those of a policy of the same name that was deleted are neither counted nor pruned", () => {
    const before = hashes(12).map((hash, index) => stored(hash, index + 50, "u-0"));
    expect(plan(before).actions).toMatchObject([{ kind: "create", object: { revision: 1 } }]);
  });

  test("waits for one of the name that is being deleted, and counts no dying ones", () => {
    const dying = (object: ControllerRevisionObject) => ({
      ...object,
      metadata: { ...object.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" },
    });
    expect(plan([dying(stored(COMPILED.revision, 1)), stored("000000000001", 7)])).toEqual({ actions: [] });
    expect(deleted(plan(hashes(12).map((hash, index) => dying(stored(hash, index)))).actions)).toEqual([]);
  });

  test("names stay names of objects, however long that of the policy is", () => {
    expect(revisionName("user-service", "0123456789ab")).toBe("user-service-0123456789ab");
    expect(revisionName("a".repeat(253), "0123456789ab")).toBe(`${"a".repeat(240)}-0123456789ab`);
    expect(revisionName(`${"a".repeat(238)}.-b${"c".repeat(9)}`, "0123456789ab")).toBe(
      `${"a".repeat(238)}-0123456789ab`,
    );
  });

  test("over thirty edits, some of them back and forth: the last ten and the good one, each once, then nothing", () => {
    const cluster = new ModelCluster();
    const good = compiledOf(withTimeout("1s")).revision;
    const edits = ["1s", ...Array.from({ length: 30 }, (_, index) => `${2 + (index % 14)}s`), "15s"];
    for (const request of edits) {
      const object = withTimeout(request);
      const input = { policy: object, compiled: compiledOf(object), keep: new Set([good]) };
      const round = () => planRevisions({ ...input, stored: cluster.all("ControllerRevision") }).actions;
      for (const action of round()) cluster.execute(action);
      expect(round()).toEqual([]);
    }
    const kept = cluster.all("ControllerRevision") as readonly ControllerRevisionObject[];
    const inOrder = [...kept].sort((a, b) => (a.revision ?? 0) - (b.revision ?? 0));
    const last = [...new Set(edits.toReversed())].slice(0, 9).reverse();
    expect(inOrder.map((object) => (object.data as { spec: { timeout: unknown } }).spec.timeout)).toEqual(
      ["1s", ...last].map((request) => ({ request })),
    );
  });
});

test("revisionFor(): the current one, whatever the label of the target says", () => {
  expect(revisionFor(COMPILED, keyOf(service({}, { "fairlead.dev/revision": "0123456789ab" })))).toBe(COMPILED);
});
