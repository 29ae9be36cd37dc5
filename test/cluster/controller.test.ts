import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseMeshVersion } from "../../src/config.ts";
import { labelsOf } from "../../src/core/kubernetes.ts";
import { type Conditions, expectEvent, Policies } from "./policy-status.ts";
import { Session, service } from "./session.ts";

let session: Session;
let policies: Policies;
beforeAll(async () => {
  session = await Session.start();
  policies = new Policies(session);
});
afterAll(() => session?.stop());

const REVISION = "fairlead.dev/revision";

function spec(name: string, more: object = {}): object {
  return { targetRefs: [{ kind: "Service", name }], timeout: { request: "2s" }, ...more };
}

/** A namespace of its own with the Service `web`, and the policy `p` for it. */
async function applied(namespace: string, more: object = {}): Promise<void> {
  await session.namespace(namespace, "enforce");
  await session.kubectl("create -f -", service(namespace, "web", { labels: { team: "iam" } }));
  await session.policy(namespace, "p", spec("web", more));
}

function withWarnings(...warnings: readonly string[]): string {
  const count = `${warnings.length} warning${warnings.length === 1 ? "" : "s"}`;
  return [`True AcceptedWithWarnings: The policy can be applied, with ${count}:`, ...warnings].join("\n");
}

/** The conditions of a policy whose only target does not exist. */
function missing(namespace: string): Partial<Conditions> {
  return {
    Accepted: withWarnings(
      `FL301 spec.targetRefs[0]: Service ${namespace}/web does not exist yet; create it, or correct the name; the policy applies as soon as it exists`,
    ),
    Ready: "False NoTargets: No target exists yet: Service web; the policy applies as soon as one is created",
    TargetServiceNotFound: `True TargetsMissing: Service web does not exist in namespace ${namespace}; create what is missing, or correct spec.targetRefs`,
  };
}

describe("status condition accuracy on a real API server", () => {
  test("one target: kubectl shows it, and what has not changed is not written again", async () => {
    await applied("one");
    const status = await policies.expect("one/p");
    const revision = labelsOf(await session.service("one", "web"))[REVISION] ?? "";
    expect(status).toMatchObject({
      observedGeneration: 1,
      currentRevision: revision,
      updateRevision: revision,
      targets: "web",
      targetCount: 1,
      appliedCount: 1,
      appliedToServices: [{ name: "web", revision }],
    });
    await session.kubectl("wait --for=condition=Ready rp/p -n one --timeout=10s");
    const { stdout } = await session.kubectl("get rp -n one");
    const row = stdout.replaceAll(/ +/g, " ").replace(revision, "REVISION");
    expect(row).toMatch(/^NAME TARGETS MESH READY REVISION AGE\np web Linkerd True REVISION \d+s\n$/);
    const wide = (await session.kubectl("get rp -n one -o wide")).stdout.split("\n")[1]?.split(/ {2,}/);
    const message = "1 of 1 target has revision";
    expect(wide?.slice(6)).toEqual(["1", revision, "AllTargetsUpdated", expect.stringContaining(message)]);
    await expectEvent(session, "one", "Normal Applied ResiliencePolicy/p: 1 of 1 target has revision REVISION");

    // Writes that change no setting: this policy is looked at again, and its status is left as it is.
    const before = await policies.read("one");
    await session.kubectl("label rp p -n one team=iam");
    await session.policy("one", "q", spec("other"));
    await session.kubectl("delete rp q -n one");
    await session.kubectl("annotate service web -n one note=mine");
    await policiesIdle();
    expect((await policies.read("one")).status).toEqual(before.status);

    await session.policy("one", "p", spec("web", { timeout: { request: "3s" } }));
    const changed = await policies.expect("one/p");
    expect(changed.observedGeneration).toBe(2);
    expect(changed.currentRevision).toBe(labelsOf(await session.service("one", "web"))[REVISION]);
    expect(changed.currentRevision).not.toBe(revision);
    expect(Date.parse(changed.lastUpdateTime ?? "")).toBeGreaterThan(Date.parse(status.lastUpdateTime ?? ""));
  });

  test("what a person writes into the status is corrected", async () => {
    await applied("byhand");
    const { lastUpdateTime: _time, conditions: _conditions, ...before } = await policies.expect("byhand/p");
    const forged = {
      observedGeneration: 7,
      currentRevision: "0123456789ab",
      targetCount: 9,
      appliedCount: 9,
      targets: "nothing",
      appliedToServices: null,
      conditions: [],
    };
    const patch = JSON.stringify({ status: forged });
    await session.kubectl(["patch", "rp", "p", "-n", "byhand", "--subresource=status", "--type=merge", "-p", patch]);
    const { lastUpdateTime: _later, conditions: _told, ...after } = await policies.expect("byhand/p");
    expect(after).toEqual(before);
  });

  test("target service validation: what is missing is named, and the policy applies as soon as it is there", async () => {
    await session.namespace("missing", "enforce");
    await session.policy("missing", "p", spec("web"));
    expect(await policies.expect("missing/p", missing("missing"))).toMatchObject({ targetCount: 1, appliedCount: 0 });
    await session.kubectl("create -f -", service("missing", "web"));
    await policies.expect("missing/p");
    await session.kubectl("delete service web -n missing");
    await policies.expect("missing/p", missing("missing"));
    await session.kubectl("create -f -", service("missing", "web"));
    const targetRefs = ["web", "cart", "db"].map((name) => ({ kind: "Service", name }));
    await session.policy("missing", "p", spec("", { targetRefs }));
    const coming = (index: number, name: string): string =>
      `FL301 spec.targetRefs[${index}]: Service missing/${name} does not exist yet; create it, or correct the name; the policy applies as soon as it exists`;
    await policies.expect("missing/p", {
      Accepted: withWarnings(coming(1, "cart"), coming(2, "db")),
      Ready:
        "False TargetsMissing: 1 of 3 targets have revision REVISION; Service cart and Service db do not exist yet",
      TargetServiceNotFound:
        "True TargetsMissing: Service cart and Service db do not exist in namespace missing; create what is missing, or correct spec.targetRefs",
    });
  });

  test("a selector that matches nothing, a Service, and nothing any more", async () => {
    const selects = {
      TargetServiceNotFound: "False TargetsFound: The policy names no target, it selects them by label",
    };
    const nothing = {
      ...selects,
      Accepted: withWarnings(
        "FL302 spec.targetSelector: No Service in namespace selector has these labels yet; check the labels; the policy applies as soon as one has them",
      ),
      Ready:
        "False NoTargets: No Service in namespace selector has the labels of spec.targetSelector; the policy applies as soon as one has them",
    };
    await session.namespace("selector", "enforce");
    const targetSelector = { matchLabels: { team: "iam" } };
    await session.policy("selector", "p", spec("", { targetRefs: undefined, targetSelector }));
    await policies.expect("selector/p", nothing);
    await session.kubectl("create -f -", service("selector", "web", { labels: { team: "iam" } }));
    expect(await policies.expect("selector/p", selects)).toMatchObject({ targets: "1 Service" });
    await session.kubectl("label service web -n selector team-");
    expect(await policies.expect("selector/p", nothing)).toMatchObject({ targets: "0 Services" });
  });

  test("two policies for one section of a Service", async () => {
    const lost = {
      Accepted: withWarnings(
        "FL307 spec.timeout: Service web takes timeout from ResiliencePolicy p, which comes first; remove timeout from one of the two",
      ),
      Conflicted:
        "True AnotherPolicyFirst: Service web takes timeout from ResiliencePolicy p, which comes first; remove the section from one of the two",
    };
    await applied("conflict");
    await policies.expect("conflict/p");
    await session.policy("conflict", "q", spec("web", { timeout: { request: "9s" } }));
    await policies.expect("conflict/q", {
      ...lost,
      Ready:
        "False AnotherPolicyFirst: Other policies decide every section on Service web; see the condition Conflicted",
    });
    await policies.expect("conflict/p", {
      Accepted: withWarnings(
        "FL307 spec.timeout: Service web takes timeout from here; ResiliencePolicy q wants it too; remove timeout from one of the two",
      ),
    });
    await expectEvent(
      session,
      "conflict",
      "Warning Conflicted ResiliencePolicy/q: Service web takes timeout from ResiliencePolicy p, which comes first; remove the section from one of the two",
    );
    await session.policy("conflict", "q", spec("web", { timeout: { request: "9s" }, circuitBreaker: {} }));
    await policies.expect("conflict/q", lost);
    await session.deletePolicy("conflict", "p");
    await policies.expect("conflict/q");
  });

  test("the mode of the namespace", async () => {
    await applied("mode");
    await policies.expect("mode/p");
    const { currentRevision } = (await policies.read("mode")).status ?? {};
    await session.mode("mode", "audit");
    const audit = await policies.expect("mode/p", {
      Ready:
        "False AuditMode: Namespace mode is in audit mode, so nothing is injected: kubectl label namespace mode --overwrite fairlead.dev/mode=enforce",
    });
    expect(audit).toMatchObject({ appliedCount: 1, currentRevision });
    await session.mode("mode", null);
    const unlabelled = await policies.expect("mode/p", {
      Accepted: withWarnings(
        "FL308 metadata.namespace: Namespace mode is not opted in, so the policy has no effect yet; kubectl label namespace mode fairlead.dev/mode=enforce",
      ),
      Ready:
        "False NamespaceNotOptedIn: Namespace mode is not opted in, so nothing is injected: kubectl label namespace mode fairlead.dev/mode=enforce",
    });
    expect(unlabelled).toMatchObject({ appliedCount: 0, currentRevision });
    await session.mode("mode", "warn");
    expect(await policies.expect("mode/p")).toMatchObject({ appliedCount: 1 });
  });

  test("a Service that is opted out, and one that another controller owns", async () => {
    await applied("special");
    await session.kubectl("label service web -n special fairlead.dev/inject=disabled");
    await policies.expect("special/p", {
      Ready:
        "False InjectionDisabled: Injection is switched off on Service web; remove the label fairlead.dev/inject: disabled there",
    });
    const owner = await session.write("create configmap owner -n special");
    const { uid } = owner.object.metadata ?? {};
    const ownerReferences = [{ apiVersion: "v1", kind: "ConfigMap", name: "owner", uid, controller: true }];
    await session.kubectl("create -f -", service("special", "owned", { ownerReferences }));
    const targetRefs = ["web", "owned"].map((name) => ({ kind: "Service", name }));
    await session.policy("special", "p", spec("", { targetRefs }));
    const owned =
      "TargetOwned: owned by ConfigMap owner, which would undo the change; nothing is injected; label it fairlead.dev/inject: enabled to inject all the same";
    await policies.expect("special/p", {
      Accepted: withWarnings(`FL601 spec.targetRefs[1]: Service owned: ${owned}`),
      Ready: `False TargetsNotEligible: 0 of 2 targets have revision REVISION; not possible on Service owned. Service owned: ${owned}, or label it fairlead.dev/inject: disabled`,
    });
    await session.kubectl("label service owned -n special fairlead.dev/inject=enabled");
    await policies.expect("special/p", {
      Ready:
        "True AllTargetsUpdated: 1 of 2 targets have revision REVISION; 1 is opted out by fairlead.dev/inject: disabled",
    });
  });

  test("a policy that the mesh can no longer do is refused, keeps its last good revision, and comes back", async () => {
    await applied("version", { circuitBreaker: {} });
    const { currentRevision } = await policies.expect("version/p");
    await session.restart({ meshVersion: parseMeshVersion("2.15") });
    const text = [
      "ResiliencePolicy version/p cannot be accepted, 1 problem:",
      "- spec.timeout: Linkerd 2.15 reads no timeout annotations; they came with 2.16 (edge-24.7.5) (FL310)",
      "  fix: upgrade Linkerd, or remove the section and use an HTTPRoute of policy.linkerd.io with timeouts",
    ];
    const refused = await policies.expect("version/p", {
      Accepted: `False NotSupported: ${text.join("\n")}`,
      Ready: "False NotAccepted: The policy is not accepted; correct what the condition Accepted says",
      Conflicted: "False NotAccepted: Not looked at: the policy is not accepted",
    });
    expect([refused.currentRevision, refused.updateRevision]).toEqual([currentRevision, currentRevision]);
    await expectEvent(
      session,
      "version",
      `Warning Refused ResiliencePolicy/p: ${text.map((line) => line.trim()).join(" ")}`,
    );
    await session.restart();
    await policies.expect("version/p");
  });
});

/** Every policy that is marked to be looked at has been. */
async function policiesIdle(): Promise<void> {
  await session.fairlead.work.current?.idle();
}
