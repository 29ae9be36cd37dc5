import { readFileSync } from "node:fs";
import { applyPatch } from "rfc6902";
import { describe, expect, test } from "vitest";
import { resiliencePolicyStatus } from "../../src/api/v1alpha1/resilience-policy-status.ts";
import type { ResiliencePolicyStatus } from "../../src/api/v1alpha1/resilience-policy.ts";
import { finding } from "../../src/core/finding.ts";
import { compilePolicy } from "../../src/core/intent/policy.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { bounded } from "../../src/core/policy/condition-text.ts";
import { REASONS } from "../../src/core/policy/conditions.ts";
import type { StatusInput } from "../../src/core/policy/facts.ts";
import { planStatus, policyStatus } from "../../src/core/policy/status.ts";
import { targetText } from "../../src/core/policy/targets.ts";
import { keyOf, meshVersion, mutate, namespace, policy, service, worldOf } from "./worlds.ts";

const EARLIER = "2026-01-01T00:00:00Z";
const NOW = "2026-02-01T00:00:00Z";

const POLICY = policy({ timeout: { request: "2s" } }, { uid: "u-1", generation: 3, resourceVersion: "41" });
const REVISION = revisionOf(POLICY);

function revisionOf(object: KubernetesObject): string {
  return compilePolicy(object).policy?.revision ?? "refused";
}

function withName(object: KubernetesObject, name: string): KubernetesObject {
  return { ...object, metadata: { ...object.metadata, name } };
}

function named(name: string, ...names: readonly string[]): KubernetesObject {
  const targetRefs = names.map((target) => ({ kind: "Service", name: target }));
  return { ...policy({ timeout: { request: "2s" } }, { name }), spec: { targetRefs, timeout: { request: "2s" } } };
}

function selecting(name: string, spec: Record<string, unknown> = { timeout: { request: "2s" } }): KubernetesObject {
  return policy({ targetSelector: { matchLabels: { team: "iam" } }, ...spec }, { name });
}

/** The objects with every target as the webhook leaves it. */
function inStep(...objects: readonly KubernetesObject[]): KubernetesObject[] {
  const world = worldOf(objects);
  return objects.map((object) => {
    const result = structuredClone(object);
    if (object.kind !== "Namespace") applyPatch(result, structuredClone([...mutate(world, object).patch]));
    return result;
  });
}

interface Given extends Partial<Omit<StatusInput, "world" | "policy" | "failures">> {
  readonly policy?: KubernetesObject;
  readonly status?: ResiliencePolicyStatus;
  readonly failures?: Readonly<Record<string, string>>;
  readonly version?: string;
}

function inputOf(objects: readonly KubernetesObject[], given: Given = {}): StatusInput {
  const { policy: subject = POLICY, status, failures = {}, version = "2.20", ...rest } = given;
  const world = worldOf(objects, { meshVersion: meshVersion(version), unknownNamespaceMode: undefined });
  const stored = status === undefined ? subject : { ...subject, status };
  return { policy: stored, world, failures: new Map(Object.entries(failures)), nowText: NOW, ...rest };
}

/** Each condition as `Reason: message`, with `not ` before those that do not hold, and the other fields. */
function shortOf(status: ResiliencePolicyStatus) {
  const { conditions = [], ...fields } = status;
  const said = conditions.map(({ type, status: holds, reason, message }) => [
    type,
    `${holds === "True" ? "" : "not "}${reason}: ${message}`,
  ]);
  return { ...fields, ...Object.fromEntries(said) };
}

function statusOf(objects: readonly KubernetesObject[], given: Given = {}) {
  const status = policyStatus(inputOf(objects, given));
  expect(resiliencePolicyStatus.safeParse(status).success).toBe(true);
  return shortOf(status);
}

const TEAM = { team: "iam" };

describe("policyStatus()", () => {
  test("in full: the Service has the revision", () => {
    expect(policyStatus(inputOf(inStep(namespace("enforce"), POLICY, service())))).toEqual({
      observedGeneration: 3,
      conditions: [
        ["Accepted", "True", "Accepted", "The policy can be applied"],
        ["Ready", "True", "AllTargetsUpdated", `1 of 1 target has revision ${REVISION}`],
        ["Failed", "False", "NoFailures", "No write has failed"],
        ["TargetServiceNotFound", "False", "TargetsFound", "Every named target exists"],
        ["Conflicted", "False", "NoConflicts", "No other policy goes before this one"],
      ].map(([type, status, reason, message]) => ({
        type,
        status,
        observedGeneration: 3,
        lastTransitionTime: NOW,
        reason,
        message,
      })),
      mesh: "Linkerd",
      targets: "user-service",
      targetCount: 1,
      appliedCount: 1,
      appliedToServices: [{ name: "user-service", revision: REVISION }],
      currentRevision: REVISION,
      updateRevision: REVISION,
      lastUpdateTime: NOW,
    });
  });

  test.each([
    ["that of its namespace", {}, "Istio"],
    ["what it asks for itself", { mesh: "Linkerd" }, "Linkerd"],
  ])("mesh: %s", (_, asked, mesh) => {
    const istio = namespace("enforce", { labels: { "istio-injection": "enabled" } });
    const wanted = policy({ timeout: { request: "2s" }, ...asked });
    expect(policyStatus(inputOf([istio, wanted, service()], { policy: wanted })).mesh).toBe(mesh);
  });

  test("a section that stands beside its Service on Linkerd leaves no record there, and is told as applied", () => {
    const strict = policy({ mtls: { mode: "Strict" } });
    const spec = { selector: { app: "users" }, ports: [{ port: 8080 }] };
    const appliedTo = (pending: number) => {
      const owned = { findings: [], pending };
      return statusOf([namespace("enforce"), strict, { ...service(), spec }], { policy: strict, owned })
        .appliedToServices;
    };
    expect(appliedTo(0)).toEqual([{ name: "user-service", revision: revisionOf(strict) }]);
    expect(appliedTo(1)).toEqual([]);
  });

  test("a new spec is on its way: the old revision is in force until every target has left it", () => {
    const [, , old = {}] = inStep(namespace("enforce"), POLICY, service());
    const next = policy({ timeout: { request: "3s" } });
    const status = statusOf([namespace("enforce"), next, old], {
      policy: next,
      status: { currentRevision: REVISION, updateRevision: REVISION },
    });
    expect(status).toMatchObject({
      Ready: `not TargetsUpdating: 0 of 1 target has revision ${revisionOf(next)}; still to be written: Service user-service`,
      appliedToServices: [{ name: "user-service", revision: REVISION }],
      appliedCount: 0,
      currentRevision: REVISION,
      updateRevision: revisionOf(next),
    });
  });

  test("a write fails: the first target by name and its error, on one line", () => {
    const objects = ["a", "b", "c"].map((name) => withName(service({}, TEAM), name));
    const subject = selecting("user-service");
    const failures = Object.fromEntries(
      objects
        .slice(1)
        .map((object) => [targetText(keyOf(object)), `admission webhook "x"\ndenied ${"it ".repeat(400)}`]),
    );
    const status = statusOf([namespace("enforce"), subject, ...objects], { policy: subject, failures });
    expect(status).toMatchObject({
      Ready: `not TargetsUpdating: 0 of 3 targets have revision ${revisionOf(subject)}; still to be written: Service a, Service b and Service c; writing fails, see the condition Failed`,
      Failed: expect.stringMatching(
        /^WriteFailed: Writing Service iam\/b failed: admission webhook "x" denied it .{460,}…; 1 more target failed; it is tried again until the cause is gone$/,
      ),
    });
  });

  test("a failure counts on the targets of the policy and on those that it has left, nowhere else", () => {
    const [, , left = {}] = inStep(namespace("enforce"), POLICY, service());
    const moved = named("user-service", "cart");
    const elsewhere = { ...left, metadata: { ...left.metadata, namespace: "shop" } };
    const others = [withName(service(), "cart"), withName(service(), "other")];
    const world = [namespace("enforce"), moved, left, elsewhere, ...others];
    const error = (name: string): Given => ({ policy: moved, failures: { [`/Service/iam/${name}`]: "no" } });
    expect(statusOf(world, error("user-service"))["Failed"]).toContain("Writing Service iam/user-service failed: no");
    expect(statusOf(world, error("cart"))["Failed"]).toContain("Writing Service iam/cart failed: no");
    expect(statusOf(world, error("other"))["Failed"]).toBe("not NoFailures: No write has failed");
    const inShop: Given = { policy: moved, failures: { "/Service/shop/user-service": "no" } };
    expect(statusOf(world, inShop)["Failed"]).toBe("not NoFailures: No write has failed");
  });

  test("missing targets: named, at most five and a count", () => {
    const some = named("user-service", "user-service", "b", "a");
    expect(statusOf(inStep(namespace("enforce"), some, service()), { policy: some })).toMatchObject({
      Ready: `not TargetsMissing: 1 of 3 targets have revision ${revisionOf(some)}; Service a and Service b do not exist yet`,
      TargetServiceNotFound:
        "TargetsMissing: Service a and Service b do not exist in namespace iam; create what is missing, or correct spec.targetRefs",
      targets: "a, b and user-service",
      targetCount: 3,
      appliedCount: 1,
    });
    const all = named("user-service", "g", "f", "e", "d", "c", "b", "a");
    expect(statusOf([namespace("enforce"), all], { policy: all })).toMatchObject({
      Ready:
        "not NoTargets: No target exists yet: Service a, Service b, Service c, Service d, Service e and 2 more; the policy applies as soon as one is created",
      TargetServiceNotFound:
        "TargetsMissing: Service a, Service b, Service c, Service d, Service e and 2 more do not exist in namespace iam; create what is missing, or correct spec.targetRefs",
      targets: "a, b and 5 more",
      targetCount: 7,
    });
  });

  test("a target named twice, or one that is being deleted", () => {
    const twice = named("user-service", "user-service", "user-service");
    expect(statusOf(inStep(namespace("enforce"), twice, service()), { policy: twice })).toMatchObject({
      targetCount: 1,
      targets: "user-service",
    });
    const dying = { ...service(), metadata: { ...service().metadata, deletionTimestamp: EARLIER } };
    expect(statusOf([namespace("enforce"), POLICY, dying])["TargetServiceNotFound"]).toContain("Service user-service");
  });

  test("a selector: no Service, one, and more than a list holds", () => {
    const subject = selecting("user-service");
    const message =
      "No Service in namespace iam has the labels of spec.targetSelector; the policy applies as soon as one has them";
    expect(statusOf([namespace("enforce"), subject, service()], { policy: subject })).toMatchObject({
      Ready: `not NoTargets: ${message}`,
      TargetServiceNotFound: "not TargetsFound: The policy names no target, it selects them by label",
      targets: "0 Services",
    });
    const many = Array.from({ length: 130 }, (_, index) =>
      withName(service({}, TEAM), `s-${String(index).padStart(3, "0")}`),
    );
    const status = policyStatus(
      inputOf(inStep(namespace("enforce"), subject, ...many.toReversed()), { policy: subject }),
    );
    expect(status).toMatchObject({ targets: "130 Services", targetCount: 130, appliedCount: 130 });
    expect(status.appliedToServices).toHaveLength(100);
    expect(status.appliedToServices?.at(-1)?.name).toBe("s-099");
  });

  test("one Service of several gets nothing from the mesh", () => {
    const subject = selecting("user-service");
    const headless = { ...withName(service({}, TEAM), "db"), spec: { clusterIP: "None" } };
    const status = statusOf(inStep(namespace("enforce"), subject, headless, service({}, TEAM)), { policy: subject });
    expect(status).toMatchObject({
      Accepted: expect.stringMatching(/^AcceptedWithWarnings: The policy can be applied, with 1 warning:\nFL303 /),
      Ready:
        `not TargetsNotEligible: 1 of 2 targets have revision ${revisionOf(subject)}; not possible on Service db. ` +
        "Service db: It is headless (clusterIP: None); Linkerd applies no policy, nothing is injected; " +
        "give it a cluster IP, or remove the policy, or label it fairlead.dev/inject: disabled",
      targetCount: 2,
      appliedCount: 1,
      currentRevision: revisionOf(subject),
    });
    const optedOut = {
      ...headless,
      metadata: { ...headless.metadata, labels: { ...TEAM, "fairlead.dev/inject": "disabled" } },
    };
    expect(
      statusOf(inStep(namespace("enforce"), subject, optedOut, service({}, TEAM)), { policy: subject }),
    ).toMatchObject({
      Ready: `AllTargetsUpdated: 1 of 2 targets have revision ${revisionOf(subject)}; 1 is opted out by fairlead.dev/inject: disabled`,
    });
  });

  test("a Service owned by a controller, and one without room for annotations", () => {
    const owner = { apiVersion: "a/v1", kind: "Owner", name: "o", uid: "u", controller: true };
    const owned = { ...service(), metadata: { ...service().metadata, ownerReferences: [owner] } };
    expect(statusOf([namespace("enforce"), POLICY, owned])["Ready"]).toContain("TargetOwned: owned by Owner o");
    const full = service({ "example.com/a": "x".repeat(256 * 1024 - 20) });
    expect(statusOf([namespace("enforce"), POLICY, full])).toMatchObject({
      Ready: expect.stringMatching(/^not TargetsNotEligible: 0 of 1 target .* would pass 256 KiB/),
      appliedCount: 0,
    });
  });

  test("people wrote it all already: nothing of ours is there, and the target has what the policy wants", () => {
    const written = service({ "timeout.linkerd.io/request": "2s" });
    expect(statusOf([namespace("enforce"), POLICY, written])).toMatchObject({
      Ready: `AllTargetsUpdated: 1 of 1 target has revision ${REVISION}`,
      appliedCount: 1,
      appliedToServices: [],
    });
  });

  test("injection switched off on every target", () => {
    const off = service({}, { "fairlead.dev/inject": "disabled" });
    expect(statusOf([namespace("enforce"), POLICY, off])["Ready"]).toBe(
      "not InjectionDisabled: Injection is switched off on Service user-service; remove the label fairlead.dev/inject: disabled there",
    );
  });

  const loser = selecting("fleet", { timeout: { request: "9s" }, retry: { maxAttempts: 1, statusCodes: ["5xx"] } });

  test("another policy decides one section", () => {
    const status = statusOf(inStep(namespace("enforce"), POLICY, loser, service({}, TEAM)), { policy: loser });
    expect(status).toMatchObject({
      Ready: `AllTargetsUpdated: 1 of 1 target has revision ${revisionOf(loser)}`,
      Conflicted:
        "AnotherPolicyFirst: Service user-service takes timeout from ResiliencePolicy user-service, which comes first; remove the section from one of the two",
    });
    expect(statusOf(inStep(namespace("enforce"), POLICY, loser, service({}, TEAM)))).toMatchObject({
      Conflicted: "not NoConflicts: No other policy goes before this one",
    });
  });

  test("another policy decides every section on the only target, and on one of two", () => {
    const whole = selecting("fleet");
    const one = inStep(namespace("enforce"), POLICY, whole, service({}, TEAM));
    expect(statusOf(one, { policy: whole })).toMatchObject({
      Ready:
        "not AnotherPolicyFirst: Other policies decide every section on Service user-service; see the condition Conflicted",
      appliedCount: 0,
      appliedToServices: [],
    });
    const two = inStep(namespace("enforce"), POLICY, whole, service({}, TEAM), withName(service({}, TEAM), "cart"));
    expect(statusOf(two, { policy: whole })).toMatchObject({
      Ready: `AllTargetsUpdated: 1 of 2 targets have revision ${revisionOf(whole)}; 1 takes every section from other policies`,
      appliedToServices: [{ name: "cart", revision: revisionOf(whole) }],
    });
  });

  test.each([
    [
      "NamespaceNotOptedIn: Namespace iam is not opted in, so nothing is injected: kubectl label namespace iam fairlead.dev/mode=enforce",
      undefined,
    ],
    [
      "AuditMode: Namespace iam is in audit mode, so nothing is injected: kubectl label namespace iam --overwrite fairlead.dev/mode=enforce",
      "audit",
    ],
  ])("%s", (ready, mode) => {
    const subject = selecting("user-service");
    expect(statusOf([namespace(mode), POLICY, service()])).toMatchObject({ Ready: `not ${ready}`, targetCount: 1 });
    // Without the namespace's opt-in the labels of its Services are not kept: nobody knows what is selected.
    const counts = mode === undefined ? {} : { targets: "1 Service" };
    const kept = mode === undefined ? service() : service({}, TEAM);
    const status = statusOf([namespace(mode), subject, kept], { policy: subject });
    expect(status).toMatchObject({ Ready: `not ${ready}`, ...counts });
    expect(Object.hasOwn(status, "targetCount")).toBe(mode !== undefined);
    expect(status["Accepted"]).not.toContain("FL302");
  });

  test("audit mode leaves what was injected, and the count says whether it is that of now", () => {
    const [, , target = {}] = inStep(namespace("enforce"), POLICY, service());
    const next = policy({ timeout: { request: "3s" } });
    expect(statusOf([namespace("audit"), POLICY, target])).toMatchObject({ appliedCount: 1 });
    expect(statusOf([namespace("audit"), next, target], { policy: next })).toMatchObject({
      appliedCount: 0,
      appliedToServices: [{ name: "user-service", revision: REVISION }],
    });
  });

  test("a namespace that is never touched", () => {
    const subject = { ...POLICY, metadata: { ...POLICY.metadata, namespace: "kube-system" } };
    expect(statusOf([subject], { policy: subject })["Ready"]).toBe(
      "not NamespaceExcluded: Namespace kube-system is never touched; put the policy beside its Services, in a namespace of your own",
    );
  });

  test("refused for its meaning, for its shape, and by the mesh: the last good revision stays", () => {
    const before = { currentRevision: "good", updateRevision: "good" };
    const codes = policy({ retry: { maxAttempts: 1, statusCodes: ["200"] } }, { generation: 4 });
    expect(statusOf([namespace("enforce"), service()], { policy: codes, status: before })).toMatchObject({
      Accepted: expect.stringMatching(
        /^not InvalidSpec: ResiliencePolicy iam\/user-service cannot be accepted, 1 problem:\n- spec\.retry\.statusCodes\[0\]: .*\(FL204\)\n {2}fix: /,
      ),
      Ready: "not NotAccepted: The policy is not accepted; correct what the condition Accepted says",
      Conflicted: "not NotAccepted: Not looked at: the policy is not accepted",
      targets: "user-service",
      observedGeneration: 4,
      ...before,
    });
    const shape = policy({ timeout: { request: 5 } });
    const status = statusOf([namespace("enforce"), service()], { policy: shape, status: before });
    expect(status).toMatchObject({
      Accepted: expect.stringContaining("not InvalidSpec: "),
      TargetServiceNotFound: "not NotAccepted: Not looked at: the policy is not accepted",
      ...before,
    });
    expect(status).not.toHaveProperty("targetCount");
    const retry = policy({ retry: { maxAttempts: 1, statusCodes: ["5xx"] } });
    expect(statusOf([namespace("enforce"), retry, service()], { policy: retry, version: "2.15" })["Accepted"]).toMatch(
      /^not NotSupported: /,
    );
  });

  test("a message is cut between characters", () => {
    expect(bounded("abc", 3)).toBe("abc");
    expect(bounded("abcd", 3)).toBe("ab…");
    expect(bounded("a\u{1f600}bcd", 3)).toBe("a\ufffd…");
  });

  test("generated routes: warnings beside those of admission, refusals and writes to come keep it from being ready", () => {
    const text = { message: "HTTPRoute web belongs to somebody else", fix: "delete it" };
    const objects = inStep(namespace("enforce"), POLICY, service());
    const refused = { findings: [finding("FL312", "spec.routes[0]", text), finding("FL313", "spec.routes[1]", text)] };
    expect(statusOf(objects, { owned: refused })).toMatchObject({
      Accepted:
        "AcceptedWithWarnings: The policy can be applied, with 1 warning:\nFL313 spec.routes[1]: HTTPRoute web belongs to somebody else; delete it",
      Ready: "not ObjectsRefused: spec.routes[0]: HTTPRoute web belongs to somebody else; delete it",
    });
    expect(
      statusOf(objects, { owned: { findings: [], pending: 2 }, status: { currentRevision: "old" } }),
    ).toMatchObject({
      Ready: "not ObjectsUpdating: 2 generated objects still to be written",
      currentRevision: "old",
    });
  });

  test("takes the targets that are out of step from the caller, and trusts no world that is older than the policy", () => {
    const objects = inStep(namespace("enforce"), POLICY, service());
    expect(statusOf(objects, { outOfStep: new Set(["/Service/iam/user-service"]) })["Ready"]).toContain(
      "not TargetsUpdating",
    );
    const newer = policy({ timeout: { request: "3s" } });
    expect(statusOf(objects, { policy: newer, outOfStep: new Set() })["Ready"]).toContain("not TargetsUpdating");
  });
});

describe("planStatus()", () => {
  const objects = inStep(namespace("enforce"), POLICY, service());
  const settled = policyStatus(inputOf(objects, { nowText: EARLIER }));

  test("writes the status of the version that it read", () => {
    expect(planStatus(inputOf(objects))).toEqual({
      kind: "merge",
      ref: { group: "fairlead.dev", resource: "resiliencepolicies", namespace: "iam", name: "user-service" },
      subresource: "status",
      resourceVersion: "41",
      body: { status: policyStatus(inputOf(objects)) },
    });
  });

  test("writes nothing when only the time would change, nor on a policy that is being deleted", () => {
    expect(planStatus(inputOf(objects, { status: settled }))).toBeUndefined();
    const dying = { ...POLICY, metadata: { ...POLICY.metadata, deletionTimestamp: EARLIER } };
    expect(planStatus(inputOf(objects, { policy: dying }))).toBeUndefined();
  });

  test("a condition keeps its time until its status changes; the status gets the time of its last change", () => {
    const status = policyStatus(inputOf([namespace("enforce"), POLICY, service()], { status: settled }));
    const times = status.conditions?.map(({ type, lastTransitionTime }) => [type, lastTransitionTime]);
    expect(Object.fromEntries(times ?? [])).toEqual({
      Accepted: EARLIER,
      Ready: NOW,
      Failed: EARLIER,
      TargetServiceNotFound: EARLIER,
      Conflicted: EARLIER,
    });
    expect(status.lastUpdateTime).toBe(NOW);
  });

  test("takes away what others wrote and what holds no longer", () => {
    const junk = { ...settled, currentRevision: 5, phase: "Ready" } as unknown as ResiliencePolicyStatus;
    const world = [namespace("enforce"), POLICY];
    const plan = planStatus(inputOf(world, { status: junk }));
    expect(plan?.body["status"]).toMatchObject({ phase: null, currentRevision: null, targetCount: 1 });
  });
});

test("only reasons of the table are used, and docs/policy.md explains each", () => {
  const text = readFileSync(new URL("../../docs/policy.md", import.meta.url), "utf8");
  const section = text.slice(text.indexOf("\n## Status"));
  const rows = section.split("\n").filter((line) => line.startsWith("| `"));
  const documented = rows.map((line) => /^\| `(\w+)` \| (?:True|False) \| `(\w+)` \|/.exec(line)?.slice(1).join("/"));
  const wanted = Object.entries(REASONS).flatMap(([type, reasons]) => reasons.map((reason) => `${type}/${reason}`));
  expect(documented.filter((row) => row !== undefined).sort()).toEqual([...wanted].sort());
});
