import { describe, expect, test, vi } from "vitest";
import type { Telemetry } from "../../src/controller/ports.ts";
import { Resync, type ResyncOptions } from "../../src/controller/resync.ts";
import type { TargetPlan } from "../../src/core/admission/plan.ts";
import type { TargetAction } from "../../src/core/action.ts";
import { type KubernetesObject, labelsOf } from "../../src/core/kubernetes.ts";
import { REVISION_LABEL } from "../../src/core/names.ts";
import type { TargetKey } from "../../src/core/world.ts";
import { ApiError } from "../../src/k8s/api-error.ts";
import type { Clock, Logger } from "../../src/k8s/ports.ts";
import type { PolicyEvent } from "../../src/k8s/events.ts";
import type { Change } from "../../src/k8s/change.ts";

const NO_TELEMETRY: Telemetry = {
  reconciled: () => {},
  drift: () => {},
  wrote: () => {},
  policyTrace: () => "",
  span: () => ({ end: () => {} }),
};
const SILENT: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const WEB: TargetKey = { group: "", kind: "Service", namespace: "shop", name: "web" };
const API: TargetKey = { group: "", kind: "Service", namespace: "shop", name: "api" };
const OTHER: TargetKey = { group: "", kind: "Service", namespace: "bank", name: "web" };

/** Timers that fire when the test says so. */
class Timers implements Clock {
  readonly set: { delayMs: number; callback: () => void }[] = [];
  nowMs = 0;

  now(): number {
    return this.nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { delayMs, callback };
    this.set.push(timer);
    return () => this.#drop(timer);
  }

  fire(delayMs: number): void {
    const timer = this.set.find((entry) => entry.delayMs === delayMs);
    if (timer === undefined) throw new Error(`No timer of ${delayMs} ms`);
    this.#drop(timer);
    timer.callback();
  }

  #drop(timer: { delayMs: number; callback: () => void }): void {
    const index = this.set.indexOf(timer);
    if (index >= 0) this.set.splice(index, 1);
  }
}

function service(key: TargetKey): KubernetesObject {
  return { apiVersion: "v1", kind: "Service", metadata: { ...key, resourceVersion: "1" } };
}

function labelled(revision: string): KubernetesObject {
  const object = service(WEB);
  return { ...object, metadata: { ...object.metadata, labels: { [REVISION_LABEL]: revision } } };
}

interface Setting {
  readonly admissionLagMs?: number;
  readonly plan?: (key: TargetKey) => TargetPlan | undefined;
  readonly answer?: (action: TargetAction, attempt: number) => KubernetesObject;
  readonly filling?: Set<string>;
  /** Namespaces that the store does not know yet. */
  readonly unknown?: Set<string>;
}

function harness(setting: Setting = {}) {
  const live = new Map([WEB, API, OTHER].map((key) => [`${key.namespace}/${key.name}`, service(key)]));
  const listeners = new Set<(change: Change) => void>();
  const planned: string[] = [];
  const written: TargetAction[] = [];
  const events: PolicyEvent[] = [];
  const clock = new Timers();
  const sync = Promise.withResolvers<void>();
  const store: Partial<ResyncOptions["store"]> = {
    namespace: (name) => (setting.unknown?.has(name) ? undefined : { name, labels: {}, annotations: {} }),
    target: (key) => live.get(`${key.namespace}/${key.name}`),
    targetsIn: (namespace) => [...live.values()].filter((object) => object.metadata?.namespace === namespace),
    allTargets: () => live.values(),
    policyObject: () => undefined,
    isFilling: (namespace) => setting.filling?.has(namespace) ?? false,
    whenSynced: () => sync.promise,
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const resync = new Resync({
    store: store as ResyncOptions["store"],
    writer: {
      execute: async (action) => {
        written.push(action);
        return setting.answer?.(action, written.length) ?? service(action.target);
      },
    },
    planTarget: (_live, key) => {
      planned.push(`${key.namespace}/${key.name}`);
      return setting.plan?.(key);
    },
    events: { emit: (event) => void events.push(event) },
    telemetry: NO_TELEMETRY,
    onFailureChange: () => {},
    log: SILENT,
    fullPassMs: 1_000,
    admissionLagMs: setting.admissionLagMs ?? 0,
    clock,
    random: () => 0,
  });
  const change = (event: Change): void => {
    for (const listener of listeners) listener(event);
  };
  return { resync, live, planned, written, events, clock, change, synced: () => sync.resolve(), listeners };
}

const CAUSE = { reason: "applied", policy: "p" } as const;
const LABEL = { kind: "label", target: WEB, resourceVersion: "1", value: "abc" } as const satisfies TargetAction;
const PATCH: TargetAction = { kind: "patch", target: WEB, resourceVersion: "2", operations: [] };

function onlyWeb(plan: TargetPlan): NonNullable<Setting["plan"]> {
  return onlyWebBy(() => plan);
}

function onlyWebBy(plan: () => TargetPlan): NonNullable<Setting["plan"]> {
  return (key) => (key.namespace === "shop" && key.name === "web" ? plan() : undefined);
}

/** A started resync of which the first full pass is over. */
async function started(setting: Setting = {}) {
  const parts = harness(setting);
  parts.synced();
  await parts.resync.start();
  await parts.resync.idle();
  parts.planned.length = 0;
  return parts;
}

describe("Resync", () => {
  test("plans nothing before the world is known, then every target, and again after each period", async () => {
    const { resync, planned, clock, synced } = harness();
    const starting = resync.start();
    expect(planned).toEqual([]);
    synced();
    await starting;
    await resync.idle();
    expect(planned).toEqual(["shop/web", "shop/api", "bank/web"]);
    clock.fire(1_000);
    await resync.idle();
    expect(planned).toHaveLength(6);
  });

  const changes: readonly { about: string; change: Change; planned: readonly string[] }[] = [
    {
      about: "a policy: the targets of its namespace",
      change: { type: "policy", namespace: "shop" },
      planned: ["shop/web", "shop/api"],
    },
    { about: "a namespace: its targets", change: { type: "namespace", namespace: "bank" }, planned: ["bank/web"] },
    {
      about: "a target: itself",
      change: { type: "target", namespace: "shop", key: API },
      planned: ["shop/api"],
    },
    { about: "a ServiceProfile: nothing", change: { type: "serviceProfile", namespace: "shop" }, planned: [] },
  ];
  test.each(changes)("plans after a change of $about", async (row) => {
    const { resync, planned, change } = await started();
    change(row.change);
    await resync.idle();
    expect(planned).toEqual(row.planned);
  });

  test("writes what was planned, and nothing more when the answer is as wanted", async () => {
    const { written, resync } = await started({ plan: onlyWeb({ ...CAUSE, first: LABEL, verify: () => undefined }) });
    expect(written).toEqual([LABEL]);
    expect(resync.counters).toMatchObject({ planned: 3, changed: 1, direct: 0, errors: 0 });
  });

  test("writes keys directly when the answer shows that the webhook did not act", async () => {
    const verify = (answer: KubernetesObject) => (answer.metadata?.resourceVersion === "1" ? PATCH : undefined);
    const answer = (): KubernetesObject => labelled("abc");
    const { written, resync } = await started({ plan: onlyWeb({ ...CAUSE, first: LABEL, verify }), answer });
    expect(written).toEqual([LABEL, PATCH]);
    expect(resync.counters).toMatchObject({ changed: 1, direct: 1 });
  });

  test("asks again, and writes no keys, where the webhook answers with other settings than ours", async () => {
    const verify = (answer: KubernetesObject) => (labelsOf(answer)[REVISION_LABEL] === "abc" ? undefined : PATCH);
    const plan = onlyWeb({ ...CAUSE, first: LABEL, verify });
    const answer = (_: TargetAction, attempt: number): KubernetesObject => labelled(attempt === 1 ? "old" : "abc");
    const { written, resync, clock, synced } = harness({ plan, answer });
    synced();
    await resync.start();
    // The first retry after half a tenth of a second: random is 0 here.
    await vi.waitFor(() => expect(clock.set.some((timer) => timer.delayMs === 50)).toBe(true));
    expect(written).toEqual([LABEL]);
    expect(resync.failures).toEqual(new Map());
    clock.fire(50);
    await resync.idle();
    expect(written).toEqual([LABEL, LABEL]);
    expect(resync.counters).toMatchObject({ changed: 1, direct: 0 });
  });

  test("a webhook that stays behind is a failure that says so", async () => {
    const plan = onlyWeb({ ...CAUSE, first: LABEL, verify: () => PATCH });
    const { resync, clock, synced } = harness({ plan, answer: () => labelled("old") });
    synced();
    await resync.start();
    await vi.waitFor(() => expect(clock.set.some((timer) => timer.delayMs === 50)).toBe(true));
    clock.nowMs = 10_000;
    clock.fire(50);
    await vi.waitFor(() => expect(resync.failures.size).toBe(1));
    expect([...resync.failures.values()][0]).toBe(
      "Admission answers with other settings than those of the policies; the watch of one of its replicas is behind, " +
        "see fairlead_world_staleness_seconds",
    );
  });

  test("with a lag, a change of policies waits for the admission replicas", async () => {
    const { resync, clock, planned, change } = await started({ admissionLagMs: 100 });
    planned.length = 0;
    change({ type: "policy", namespace: "shop" });
    change({ type: "policy", namespace: "shop" });
    expect(resync.depth).toBe(1);
    await resync.idle();
    expect(planned).toEqual([]);
    clock.fire(100);
    await resync.idle();
    expect(planned.toSorted()).toEqual(["shop/api", "shop/web"]);
  });

  test("a target that is gone is done; a target that has changed is planned anew after a pause", async () => {
    const fail = (status: number) => (_: TargetAction, attempt: number) => {
      if (attempt === 1) throw new ApiError({ status, reason: "", message: "no" });
      return service(WEB);
    };
    const plan = onlyWeb({ ...CAUSE, first: LABEL, verify: () => undefined });
    const gone = await started({ plan, answer: fail(404) });
    expect(gone.written).toHaveLength(1);

    const changed = harness({ plan, answer: fail(409) });
    changed.synced();
    await changed.resync.start();
    await vi.waitFor(() => expect(changed.clock.set.some((timer) => timer.delayMs === 50)).toBe(true));
    expect(changed.written).toHaveLength(1);
    changed.clock.fire(50);
    await changed.resync.idle();
    expect(changed.written).toHaveLength(2);
    expect(changed.resync.counters).toMatchObject({ planned: 4, errors: 0 });
  });

  test("a webhook that takes the keys off again is told once, is no repair, and is tried again after half a minute", async () => {
    const plan: TargetPlan = { reason: "repaired", policy: "p", first: LABEL, verify: () => PATCH };
    const { resync, written, events, clock } = await started({ plan: onlyWeb(plan), answer: () => labelled("abc") });
    expect(written).toEqual([LABEL, PATCH]);
    const message = "Another webhook takes the settings off again within the same write";
    expect([...resync.failures.values()]).toEqual([message]);
    expect(events.map((event) => `${event.reason}: ${event.message}`)).toEqual([`WriteFailed: ${message}`]);
    clock.fire(30_000);
    await resync.idle();
    expect(written).toHaveLength(4);
    expect(events).toHaveLength(1);
  });

  test("against a tool that undoes every write it stops after five, and tries again after half a minute", async () => {
    const { written, resync, change, clock } = await started({
      plan: onlyWeb({ ...CAUSE, first: LABEL, verify: () => undefined }),
    });
    const undone = async (): Promise<void> => {
      change({ type: "target", namespace: "shop", key: WEB });
      await resync.idle();
    };
    for (let times = 0; times < 20; times += 1) await undone();
    expect(written).toHaveLength(5);
    clock.nowMs = 30_000;
    clock.fire(30_000);
    await resync.idle();
    expect(written).toHaveLength(6);
    await undone();
    expect(written).toHaveLength(7);
  });

  test("writes that differ follow each other without a pause", async () => {
    let count = 0;
    const { written, resync, change } = await started({
      plan: onlyWebBy(() => ({ ...CAUSE, first: { ...LABEL, value: `${(count += 1)}` }, verify: () => undefined })),
    });
    for (let times = 0; times < 20; times += 1) {
      change({ type: "target", namespace: "shop", key: WEB });
      await resync.idle();
    }
    expect(written).toHaveLength(21);
  });

  test("leaves a namespace alone until its objects are stored in full", async () => {
    const filling = new Set(["shop"]);
    const { resync, planned, change } = await started({ filling });
    change({ type: "target", namespace: "shop", key: WEB });
    await resync.idle();
    expect(planned).toEqual([]);
    filling.clear();
    change({ type: "namespace", namespace: "shop" });
    await resync.idle();
    expect(planned).toEqual(["shop/web", "shop/api"]);
  });

  test("leaves a namespace alone until it is known: it may not have opted in", async () => {
    const unknown = new Set(["shop"]);
    const { resync, planned, change } = await started({ unknown });
    change({ type: "target", namespace: "shop", key: WEB });
    await resync.idle();
    expect(planned).toEqual([]);
    unknown.clear();
    change({ type: "namespace", namespace: "shop" });
    await resync.idle();
    expect(planned).toEqual(["shop/web", "shop/api"]);
  });

  test("lets the event loop turn while it plans", async () => {
    const many = Array.from({ length: 1_000 }, (_, index) => ({ ...WEB, name: `web-${index}` }));
    const { resync, live, planned, synced } = harness();
    for (const key of many) live.set(`${key.namespace}/${key.name}`, service(key));
    synced();
    await resync.start();
    let turns = 0;
    const count = (): void => {
      turns += 1;
      if (resync.depth > 0) setImmediate(count);
    };
    count();
    await resync.idle();
    expect(planned).toHaveLength(1_003);
    expect(turns).toBeGreaterThan(100);
  });

  test("stop() ends the full passes and listens no more", async () => {
    const { resync, clock, listeners } = await started();
    await resync.stop();
    expect({ timers: clock.set, listeners: listeners.size }).toEqual({ timers: [], listeners: 0 });
  });
});
