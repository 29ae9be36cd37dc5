import { setImmediate } from "node:timers/promises";
import { beforeEach, describe, expect, test } from "vitest";
import { AuditState } from "../../src/controller/audit-state.ts";
import { RuleAudit } from "../../src/controller/rule-audit.ts";
import type { ApplyAction, DeleteAction } from "../../src/core/action.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import type { CompiledRule } from "../../src/core/rules/rule.ts";
import { ApiError } from "../../src/k8s/api-error.ts";
import type { ListOptions } from "../../src/k8s/client.ts";
import type { Change } from "../../src/k8s/change.ts";
import { exception, resources, rule, ruledWorld } from "../core/rule-support.ts";
import { namespace, NOW_MS, policy, service } from "../core/worlds.ts";
import { FakeClock } from "./fake-clock.ts";

const NAMED = {
  name: "ports-named",
  validations: [{ expression: "object.spec.ports.all(p, has(p.name))", message: "name every port" }],
};
const PODS = { name: "pods", match: { resourceRules: [resources({ resources: ["pods"] })] }, validations: ["false"] };

/** A cluster of one namespace, as the audit sees it; what is changed is seen at the next look. */
class Stage {
  objects: readonly KubernetesObject[] = [namespace("audit"), service()];
  rules: readonly CompiledRule[] = [rule(NAMED)];
  exceptions = [exception({ rules: [] })];
  reports = new Map<string, KubernetesObject>();
  reportsServed = true;
  pods: readonly KubernetesObject[] | number = [];
  readonly writes: (ApplyAction | DeleteAction)[] = [];
  readonly warnings: object[] = [];
  readonly clock = new FakeClock(NOW_MS);
  readonly state = new AuditState();
  #listener: ((change: Change) => void) | undefined;
  readonly audit = new RuleAudit({
    store: this.#store(),
    source: this.#source(),
    writer: { execute: (action) => this.#write(action) },
    state: this.state,
    periodMs: 3_600_000,
    onRun: () => undefined,
    log: {
      debug: () => undefined,
      info: () => undefined,
      warn: (fields) => this.warnings.push(fields),
      error: () => undefined,
    },
    clock: this.clock,
  });

  change(type: Change["type"]): void {
    this.#listener?.({ type, namespace: "iam" });
  }

  /** Moves time on, and waits until what came due has ended. */
  async after(ms: number): Promise<void> {
    this.clock.advance(ms);
    for (let turn = 0; turn < 20; turn += 1) await setImmediate();
  }

  /** `ports-named high 1`. */
  get violations(): readonly string[] {
    return [...this.state.violations].flatMap(([name, counts]) =>
      counts.map(({ rule: of, severity, count }) => `${name} ${of} ${severity} ${count}`),
    );
  }

  #world() {
    return ruledWorld(this.objects, { rules: this.rules, exceptions: this.exceptions });
  }

  #store(): ConstructorParameters<typeof RuleAudit>[0]["store"] {
    return {
      defaults: this.#world().defaults,
      controlPlanes: () => [],
      endpointsOf: () => undefined,
      podPortsOf: () => undefined,
      ruleKind: () => undefined,
      rules: () => this.rules,
      exceptionsIn: (name) => this.#world().exceptionsIn(name),
      paramsConfigMap: () => undefined,
      namespaceObject: () => undefined,
      namespace: (name) => this.#world().namespace(name),
      namespaces: () => [this.#world().namespace("iam")].filter((info) => info !== undefined),
      policiesIn: (name) => this.#world().policiesIn(name),
      policyObjectsIn: () => this.objects.filter(({ kind }) => kind === "ResiliencePolicy"),
      target: (key) => this.#world().target(key),
      targetsIn: (name) => [...this.#world().targetsIn(name)],
      serviceProfilesFor: () => [],
      hostObjects: () => [],
      workloadObjects: () => [],
      isFilling: () => false,
      whenSynced: () => Promise.resolve(),
      onChange: (listener) => {
        this.#listener = listener;
        return () => (this.#listener = undefined);
      },
    };
  }

  #source(): ConstructorParameters<typeof RuleAudit>[0]["source"] {
    const source = {
      reportsServed: false,
      begin: async (): Promise<void> => {
        source.reportsServed = this.reportsServed;
      },
      report: (name: string) => Promise.resolve(this.reports.get(name)),
      reportedNamespaces: () => Promise.resolve([...this.reports.keys()]),
      list: async (_resource: object, _namespace: string, onPage: ListOptions["onPage"]) => {
        if (this.pods === 403) return "forbidden" as const;
        if (typeof this.pods === "number") throw new ApiError({ status: this.pods, reason: "", message: "no" });
        await onPage(this.pods, true);
        return undefined;
      },
    };
    return source;
  }

  async #write(action: ApplyAction | DeleteAction): Promise<KubernetesObject> {
    this.writes.push(action);
    if (action.kind === "delete") {
      this.reports.delete(action.ref.namespace);
      return {};
    }
    const object = { ...action.object, metadata: { ...action.object.metadata, uid: "u", resourceVersion: "1" } };
    this.reports.set(action.ref.namespace, object);
    return object;
  }
}

let stage: Stage;
beforeEach(async () => {
  stage = new Stage();
  await stage.audit.start();
});

describe("what was there before the rule", () => {
  test("is found, in audit mode as well, counted, and reported once", async () => {
    await stage.after(1_000);
    expect(stage.violations).toEqual(["iam ports-named high 1"]);
    expect(stage.state.lastFull?.objects).toBe(1);
    expect(stage.writes.map(({ kind, ref }) => [kind, ref.namespace])).toEqual([["apply", "iam"]]);
    await stage.after(3_600_000);
    expect(stage.writes).toHaveLength(1);
  });

  test("is found in policies too", async () => {
    const match = { resourceRules: [resources({ apiGroups: ["fairlead.dev"], resources: ["resiliencepolicies"] })] };
    stage.objects = [namespace("warn"), policy({ timeout: { request: "1s" } })];
    stage.rules = [rule({ name: "no-policies", match, validations: ["false"] })];
    await stage.after(1_000);
    expect(stage.violations).toEqual(["iam no-policies high 1"]);
  });

  test.each([
    ["the action", { actions: ["Warn"] as const }, "medium"],
    ["what cannot be evaluated", { validations: ["object.spec.missing == 1"] }, "error"],
  ])("says how bad it is by %s", async (_what, text, severity) => {
    stage.rules = [rule({ ...NAMED, ...text })];
    await stage.after(1_000);
    expect(stage.violations).toEqual([`iam ports-named ${severity} 1`]);
  });

  test("is judged by the request that would create it", async () => {
    const wanted =
      "request.operation == 'CREATE' && request.resource.resource == 'services' && request.name == object.metadata.name";
    stage.rules = [rule({ name: "created", validations: [wanted] })];
    await stage.after(1_000);
    expect(stage.violations).toEqual([]);
  });

  test("is judged by an update that changes nothing, where a rule is about updates only", async () => {
    const match = { resourceRules: [resources({ operations: ["UPDATE"] })] };
    stage.rules = [
      rule({ ...NAMED, match }),
      rule({ name: "same-ports", match, validations: ["object.spec.ports == oldObject.spec.ports"] }),
    ];
    stage.change("rule");
    await stage.after(1_000);
    expect(stage.violations).toEqual(["iam ports-named high 1"]);
  });

  test("is not what an exception lets pass, until it ends", async () => {
    stage.rules = [rule({ ...NAMED, exceptionsAllowed: true })];
    stage.exceptions = [exception({ rules: ["ports-named"], expiresAtMs: NOW_MS + 3_000_000 })];
    await stage.after(1_000);
    expect(stage.violations).toEqual([]);
    await stage.after(3_600_000);
    expect(stage.violations).toEqual(["iam ports-named high 1"]);
  });
});

describe("it looks again", () => {
  test("soon after a rule changes, and the report goes with the last violation", async () => {
    await stage.after(1_000);
    stage.rules = [];
    stage.change("rule");
    await stage.after(5_000);
    expect(stage.violations).toEqual([]);
    expect(stage.writes.map(({ kind }) => kind)).toEqual(["apply", "delete"]);
  });

  test("at an object of a namespace in which something is wrong, and at no other", async () => {
    await stage.after(1_000);
    stage.objects = [namespace("audit")];
    stage.change("target");
    await stage.after(5_000);
    expect(stage.violations).toEqual([]);
    stage.change("target");
    // What is left is the look of every hour.
    expect(stage.clock.pending).toHaveLength(1);
  });

  test("once for many changes, and rests between", async () => {
    for (let index = 0; index < 5; index += 1) stage.change("policy");
    expect(stage.clock.pending.toSorted((a, b) => a - b)).toEqual([1_000, 3_600_000]);
    await stage.after(1_000);
    stage.change("policy");
    expect(Math.min(...stage.clock.pending)).toBeGreaterThanOrEqual(2_000);
  });

  test("not at all when only the status of a rule, a policy or its revisions was written", async () => {
    await stage.after(1_000);
    for (const type of ["rule", "policyObject", "owned"] as const) stage.change(type);
    expect(stage.clock.pending).toHaveLength(1);
  });

  test("and forgets a namespace that is no longer opted in", async () => {
    await stage.after(1_000);
    stage.objects = [namespace(undefined), service()];
    stage.change("namespace");
    await stage.after(5_000);
    expect(stage.violations).toEqual([]);
    expect(stage.reports.size).toBe(0);
  });
});

describe("kinds that nobody watches", () => {
  beforeEach(() => {
    stage.rules = [rule(PODS)];
  });

  test("are listed", async () => {
    stage.pods = [{ apiVersion: "v1", kind: "Pod", metadata: { name: "p", namespace: "iam" } }];
    await stage.after(1_000);
    expect(stage.violations).toEqual(["iam pods high 1"]);
  });

  test("are told where there is no right to list them, once", async () => {
    stage.pods = 403;
    await stage.after(1_000);
    await stage.after(3_600_000);
    expect([...stage.state.unlisted]).toEqual([["pods", "forbidden"]]);
    expect(stage.warnings).toEqual([{ resource: "pods", why: "forbidden" }]);
    stage.rules = [];
    await stage.after(3_600_000);
    expect(stage.state.unlisted.size).toBe(0);
  });

  test("are told where a rule names them by a wildcard", async () => {
    stage.rules = [rule({ ...PODS, match: { resourceRules: [resources({ apiGroups: ["apps"], resources: ["*"] })] } })];
    await stage.after(1_000);
    expect([...stage.state.unlisted]).toEqual([["*.apps", "wildcard"]]);
  });

  test("keep what was known of the namespace while they cannot be listed, which is tried again", async () => {
    stage.pods = [{ apiVersion: "v1", kind: "Pod", metadata: { name: "p", namespace: "iam" } }];
    await stage.after(1_000);
    stage.pods = 500;
    stage.change("policy");
    await stage.after(5_000);
    expect([stage.violations, stage.state.errors]).toEqual([["iam pods high 1"], 1]);
    stage.pods = [];
    await stage.after(60_000);
    expect(stage.violations).toEqual([]);
  });
});

test("a report of the same name that somebody else keeps stays what it is", async () => {
  stage.reports.set("iam", { apiVersion: "openreports.io/v1alpha1", kind: "Report", metadata: { name: "fairlead" } });
  await stage.after(1_000);
  expect([stage.writes, stage.warnings.length, stage.violations.length]).toEqual([[], 1, 1]);
});

test("without the CRD of reports only numbers are kept", async () => {
  stage.reportsServed = false;
  await stage.after(1_000);
  expect([stage.violations.length, stage.writes.length]).toEqual([1, 0]);
});

test("a look of which a part failed is made again, more and more seldom", async () => {
  stage.rules = [rule(PODS)];
  stage.pods = 500;
  await stage.after(1_000);
  const first = Math.min(...stage.clock.pending);
  await stage.after(first);
  expect(Math.min(...stage.clock.pending)).toBeGreaterThan(first);
});

test("at the end of a term nothing is said any more", async () => {
  await stage.after(1_000);
  await stage.audit.stop();
  expect([stage.violations, stage.clock.pending]).toEqual([[], []]);
});
