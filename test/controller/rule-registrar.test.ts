import { beforeEach, describe, expect, test } from "vitest";
import { RuleRegistrar } from "../../src/controller/rule-registrar.ts";
import type { MergeAction } from "../../src/core/action.ts";
import type { RuleWebhook } from "../../src/core/admission/rule-webhooks.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { type RegistrationState, planRuleStatus } from "../../src/core/rules/status.ts";
import { ApiError } from "../../src/k8s/api-error.ts";
import type { Change } from "../../src/k8s/change.ts";
import { rule, ruledWorld } from "../core/rule-support.ts";
import { FakeClock } from "./fake-clock.ts";

const STORED: KubernetesObject = {
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "AdmissionRule",
  metadata: { name: "timeout-required", resourceVersion: "3", generation: 2 },
};
const NOW = "2026-11-26T12:00:00Z";

class Stage {
  isLeader = true;
  problems: readonly string[] = [];
  answer: { state: "registered" | "absent" | "untrusted"; written: boolean } | ApiError = {
    state: "registered",
    written: true,
  };
  readonly rules = [rule({ name: "timeout-required", validations: ["true"] })];
  readonly registered: (readonly RuleWebhook[])[] = [];
  readonly statuses: MergeAction[] = [];
  readonly clock = new FakeClock(Date.parse(NOW));
  #listener: ((change: Change) => void) | undefined;
  #world = Object.assign(ruledWorld([], { rules: this.rules }), {
    ruleObjects: () => [STORED],
    ruleProblems: () => this.problems,
    whenSynced: () => Promise.resolve(),
    onChange: (listener: (change: Change) => void) => {
      this.#listener = listener;
      return () => undefined;
    },
  });
  readonly registrar = new RuleRegistrar({
    store: this.#world,
    configurations: {
      setRuleWebhooks: (wanted) => {
        this.registered.push(wanted);
        return this.answer instanceof ApiError ? Promise.reject(this.answer) : Promise.resolve(this.answer);
      },
    },
    writer: {
      execute(action) {
        stage.statuses.push(action);
        return Promise.resolve({});
      },
    },
    mayWrite: () => this.isLeader,
    log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
    clock: this.clock,
  });

  change(type: Change["type"]): void {
    this.#listener?.({ type, namespace: "" });
  }

  /** `Accepted True Compiled`, of the last status. */
  get conditions(): readonly string[] {
    const { status } = (this.statuses.at(-1)?.body ?? {}) as {
      readonly status?: { readonly conditions: readonly Readonly<Record<string, string>>[] };
    };
    return (status?.conditions ?? []).map(({ type, status: holds, reason }) => `${type} ${holds} ${reason}`);
  }
}

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});

test("the entries follow from the rules, and the status says that they are there", async () => {
  await stage.registrar.start();
  expect(stage.registered.map((entries) => entries.map(({ name }) => name))).toEqual([["rules-fail.fairlead.dev"]]);
  expect(stage.conditions).toEqual(["Accepted True Compiled", "Ready True Registered"]);
});

test("a change of a rule is registered at once, drift within ten seconds, and nothing else makes a look", async () => {
  await stage.registrar.start();
  expect(stage.clock.pending).toEqual([10_000]);
  stage.change("target");
  expect(stage.clock.pending).toEqual([10_000]);
  stage.change("rule");
  stage.change("rule");
  expect(stage.clock.pending).toEqual([200]);
  stage.clock.advance(200);
  await stage.registrar.check();
  expect(stage.registered.length).toBeGreaterThanOrEqual(2);
});

test("before the world is known, and on a replica that does not lead, nothing is written", async () => {
  await stage.registrar.check();
  stage.isLeader = false;
  await stage.registrar.start();
  expect([stage.registered, stage.statuses]).toEqual([[], []]);
  stage.isLeader = true;
  await stage.registrar.check();
  expect(stage.registered).toHaveLength(1);
});

test("what cannot be written is tried again soon, and the status says so meanwhile", async () => {
  stage.answer = new ApiError({ status: 403, reason: "Forbidden", message: "no" });
  await stage.registrar.start();
  expect([stage.conditions, stage.clock.pending]).toEqual([
    ["Accepted True Compiled", "Ready False NotRegistered"],
    [1_000],
  ]);
});

test("after the end nothing is looked at any more", async () => {
  await stage.registrar.start();
  await stage.registrar.stop();
  stage.change("rule");
  await stage.registrar.check();
  expect([stage.registered.length, stage.clock.pending]).toEqual([1, []]);
});

describe("the status of a rule", () => {
  function conditions(registration: RegistrationState, problems: readonly string[] = []): readonly string[] {
    const { body } = planRuleStatus({ rule: STORED, problems, registration, nowText: NOW }) ?? {};
    const { status } = body as { readonly status: { readonly conditions: readonly Record<string, string>[] } };
    return status.conditions.map(({ type, status: holds, reason }) => `${type} ${holds} ${reason}`);
  }

  test.each([
    ["registered", [], ["Accepted True Compiled", "Ready True Registered"]],
    ["absent", [], ["Accepted True Compiled", "Ready False WebhookConfigurationMissing"]],
    ["untrusted", [], ["Accepted True Compiled", "Ready False WebhookWithoutCA"]],
    ["registered", ["Found 1, wanted bool"], ["Accepted False NotCompiled", "Ready False NotAccepted"]],
  ] as const)("where it is %s, with the problems %j", (registration, problems, wanted) => {
    expect(conditions(registration, problems)).toEqual(wanted);
  });

  test("is written once, and again when something changes; times stay until a condition turns", () => {
    const first = planRuleStatus({ rule: STORED, problems: [], registration: "absent", nowText: NOW });
    const stored = { ...STORED, ...first?.body } as KubernetesObject;
    const later = { rule: stored, problems: [], nowText: "2026-11-26T13:00:00Z" };
    expect(planRuleStatus({ ...later, registration: "absent" })).toBeUndefined();
    expect(planRuleStatus({ ...later, registration: "registered" })?.body).toMatchObject({
      status: {
        observedGeneration: 2,
        conditions: [
          { type: "Accepted", lastTransitionTime: NOW, observedGeneration: 2 },
          { type: "Ready", lastTransitionTime: "2026-11-26T13:00:00Z" },
        ],
      },
    });
  });

  test("is not written while the rule is being deleted", () => {
    const deleted = { ...STORED, metadata: { ...STORED.metadata, deletionTimestamp: NOW } };
    expect(planRuleStatus({ rule: deleted, problems: [], registration: "absent", nowText: NOW })).toBeUndefined();
  });
});
