import { applyPatch } from "rfc6902";
import { describe, expect, test } from "vitest";
import { planTarget } from "../../src/core/admission/plan.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { Cluster, RECORD, REVISION, withAnnotations } from "./cluster.ts";
import { keyOf, mutate, namespace, policy, service, worldOf } from "./worlds.ts";

const IDLE = "timeout.linkerd.io/idle";
const HTTP = "retry.linkerd.io/http";
const PER_TRY = "retry.linkerd.io/timeout";

const TIMEOUTS = policy({ timeout: { idle: "5s", request: "2s" } });
const RETRIES = { retry: { maxAttempts: 2, statusCodes: ["5xx"] } };

function cluster(...world: KubernetesObject[]): Cluster {
  return new Cluster(namespace("enforce"), ...world);
}

describe("planTarget()", () => {
  test("does nothing about a Service that is in line", () => {
    const api = cluster(TIMEOUTS);
    api.write(service());
    expect(api.plan).toBeUndefined();
  });

  test("writes the label alone where a policy is new, and nothing more when the webhook acted", () => {
    const api = cluster();
    api.write(service());
    api.world.push(TIMEOUTS);
    const plan = api.plan;
    expect(plan?.first).toEqual({
      kind: "label",
      target: keyOf(service()),
      resourceVersion: "7",
      value: expect.stringMatching(/^[0-9a-f]{12}$/),
    });
    const value = plan?.first.kind === "label" ? plan.first.value : null;
    api.write({ ...api.object, metadata: { ...api.object.metadata, labels: { [REVISION]: value ?? "" } } });
    expect(api.revision).toBe(value);
    expect(plan?.verify(api.object)).toBeUndefined();
    expect(api.plan).toBeUndefined();
  });

  test("writes the keys itself where the webhook did not act", () => {
    const api = cluster();
    api.write(service());
    api.world.push(TIMEOUTS);
    const answer = service(undefined, { [REVISION]: "label-only" });
    const patch = api.plan?.verify({ ...answer, metadata: { ...answer.metadata, resourceVersion: "8" } });
    expect(patch).toMatchObject({ kind: "patch", resourceVersion: "8" });
    const healed = structuredClone(answer);
    if (patch?.kind === "patch") applyPatch(healed, [...patch.operations]);
    expect(healed.metadata?.annotations).toMatchObject({ [IDLE]: "5000ms" });
    expect(mutate(worldOf(api.world), healed, healed).patch).toEqual([]);
  });

  test("removes the label where the policy is gone", () => {
    const api = cluster(TIMEOUTS);
    api.write(service());
    api.world = [namespace("enforce")];
    expect(api.plan?.first).toMatchObject({ kind: "label", value: null });
  });

  test("writes the same label again where only a key is missing", () => {
    const api = cluster(TIMEOUTS);
    api.write(service());
    api.live = withAnnotations(api.object, { [IDLE]: null });
    expect(api.plan?.first).toMatchObject({ kind: "label", value: api.revision });
  });

  test("puts everything back itself where the namespace is no longer opted in", () => {
    const api = cluster(policy({ conflictResolution: "Override", ...RETRIES }));
    const manifest = { [HTTP]: "503", [PER_TRY]: "1s" };
    api.write(service(manifest));
    api.world = [namespace(undefined), policy({ conflictResolution: "Override", ...RETRIES })];
    const first = api.plan?.first;
    expect(first?.kind).toBe("patch");
    const released = structuredClone(api.object);
    if (first?.kind === "patch") applyPatch(released, [...first.operations]);
    expect(released).toEqual(service(manifest, {}));
    expect(planTarget(released, keyOf(released), worldOf(api.world))).toBeUndefined();
  });

  test.each([
    ["in audit mode", [namespace("audit"), TIMEOUTS], service()],
    ["without opt-in and without trace", [namespace(undefined), TIMEOUTS], service()],
    ["being deleted", [namespace("enforce"), TIMEOUTS], deleting(service())],
    ["opted out", [namespace("enforce"), TIMEOUTS], service(undefined, { "fairlead.dev/inject": "disabled" })],
    ["of a kind that is no target", [namespace("enforce"), TIMEOUTS], { ...service(), kind: "Pod" }],
  ])("leaves an object %s alone", (_, world, object) => {
    expect(planTarget(object, keyOf(object), worldOf(world))).toBeUndefined();
  });

  test("leaves excluded namespaces alone", () => {
    const object = service({ [RECORD]: "{}" });
    const excluded = worldOf([], { excludedNamespaces: new Set(["iam"]) });
    expect(planTarget(object, keyOf(object), excluded)).toBeUndefined();
  });
});

function deleting(object: KubernetesObject): KubernetesObject {
  return { ...object, metadata: { ...object.metadata, deletionTimestamp: "2026-11-21T12:00:00Z" } };
}
