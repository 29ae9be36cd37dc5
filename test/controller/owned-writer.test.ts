import { describe, expect, test } from "vitest";
import { OwnedWriter } from "../../src/controller/owned-writer.ts";
import type { Telemetry } from "../../src/controller/ports.ts";
import type { Action, ApplyAction } from "../../src/core/action.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import type { PolicyEvent } from "../../src/k8s/events.ts";
import type { Logger } from "../../src/k8s/ports.ts";
import { FakeClock } from "./fake-clock.ts";

const SILENT: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const REF = { group: "gateway.networking.k8s.io", resource: "httproutes", namespace: "shop", name: "p-web-orders" };
const ROUTE: KubernetesObject = {
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "HTTPRoute",
  metadata: { name: REF.name, namespace: "shop", annotations: { "fairlead.dev/generated": "hash" } },
  spec: { rules: [{ timeouts: { request: "1s" } }] },
};
const REPAIRED = "Somebody changed or deleted what ResiliencePolicy p had generated; it is put back";

function apply(more: Partial<ApplyAction> = {}): ApplyAction {
  return { kind: "apply", ref: REF, service: "web", object: ROUTE, resourceVersion: "1", ...more };
}

class Bench {
  readonly clock = new FakeClock();
  readonly told: string[] = [];
  readonly events: PolicyEvent[] = [];
  again = 0;
  /** What another webhook makes of an object. */
  changed: (object: KubernetesObject) => KubernetesObject = (object) => object;
  readonly writer: OwnedWriter;

  constructor() {
    const telemetry: Telemetry = {
      reconciled: () => {},
      drift: (kind) => this.told.push(`drift ${kind}`),
      wrote: ({ kind, name, action, why }) => this.told.push(`${action} ${kind} ${name} (${why.reason})`),
      policyTrace: () => "",
      span: () => ({ end: () => {} }),
    };
    this.writer = new OwnedWriter({
      writer: { execute: async (action) => ("object" in action ? this.changed(action.object) : {}) },
      events: { emit: (event) => this.events.push(event) },
      telemetry,
      log: SILENT,
      clock: this.clock,
    });
  }

  write(action: Action): Promise<KubernetesObject> {
    const again = (): void => void (this.again += 1);
    return this.writer.write({ action, policy: "p", reason: "owned", traceId: "t", again });
  }
}

describe("OwnedWriter", () => {
  test("writes and tells the audit log; what is new or follows the policy is nobody's repair", async () => {
    const bench = new Bench();
    await bench.write(apply({ resourceVersion: undefined }));
    await bench.write(apply());
    expect(bench.told).toEqual(["apply HTTPRoute p-web-orders (owned)", "apply HTTPRoute p-web-orders (owned)"]);
    expect(bench.events).toEqual([]);
  });

  test("what somebody changed is put back, with an Event on the object and a count", async () => {
    const bench = new Bench();
    bench.changed = (object) => ({ ...object, metadata: { ...object.metadata, uid: "u" } });
    await bench.write(apply({ repairs: true }));
    expect(bench.told).toEqual(["apply HTTPRoute p-web-orders (owned)", "drift HTTPRoute"]);
    const { apiVersion = "" } = ROUTE;
    const regarding = { apiVersion, kind: "HTTPRoute", namespace: "shop", name: REF.name, uid: "u" };
    expect(bench.events).toEqual([{ regarding, type: "Warning", reason: "Repaired", message: REPAIRED, traceId: "t" }]);
  });

  test("what somebody deleted is a repair too; what we deleted is not, nor what went with its policy", async () => {
    const bench = new Bench();
    const made = apply({ resourceVersion: undefined });
    let count = 0;
    bench.changed = (object) => ({ ...object, metadata: { ...object.metadata, uid: `u-${(count += 1)}` } });
    await bench.write(made);
    await bench.write(made);
    expect(bench.events.map(({ reason }) => reason)).toEqual(["Repaired"]);
    await bench.write({ kind: "delete", ref: REF, uid: "u", resourceVersion: "1" });
    await bench.write(made);
    expect(bench.events).toHaveLength(1);
    bench.writer.forgetPolicy("shop", "q");
    bench.writer.forgetPolicy("shop", "p");
    await bench.write(made);
    expect(bench.events).toHaveLength(1);
  });

  test("the same write over one that stands there, of which the watch has not told yet, is neither repair nor repetition", async () => {
    const bench = new Bench();
    bench.changed = (object) => ({ ...object, metadata: { ...object.metadata, uid: "u", resourceVersion: "7" } });
    const made = apply({ resourceVersion: undefined });
    for (let count = 0; count < 7; count += 1) await bench.write(made);
    // Its status changed, or somebody's label: it is the same object still.
    bench.changed = (object) => ({ ...object, metadata: { ...object.metadata, uid: "u", resourceVersion: "8" } });
    await bench.write(made);
    expect(bench.events).toEqual([]);
    expect(bench.told.filter((text) => text.startsWith("drift"))).toEqual([]);
  });

  test.each([
    { what: "spec", changed: { ...ROUTE, spec: { rules: [{}] } }, lack: "spec.rules[0].timeouts" },
    { what: "annotation", changed: { ...ROUTE, metadata: {} }, lack: 'metadata.annotations["fairlead.dev/generated"]' },
  ])("an answer without the $what that was written is an error that names it", async ({ changed, lack }) => {
    const bench = new Bench();
    bench.changed = () => changed;
    const message = `HTTPRoute shop/p-web-orders is stored with another ${lack} than was written: another webhook`;
    await expect(bench.write(apply())).rejects.toThrow(message);
    expect(bench.events).toEqual([]);
  });

  test("what the API server adds to the answer is no error", async () => {
    const bench = new Bench();
    bench.changed = (object) => ({ ...object, spec: { ...(object.spec as object), hostnames: ["a"] } });
    await expect(bench.write(apply())).resolves.toBeDefined();
  });

  test("the sixth write of the same within 30 s waits for the end of that time, others do not", async () => {
    const bench = new Bench();
    for (let count = 0; count < 5; count += 1) await bench.write(apply({ repairs: true }));
    const undone = "Somebody undoes what is written to HTTPRoute shop/p-web-orders: 5 times within 30 s";
    await expect(bench.write(apply({ repairs: true }))).rejects.toThrow(undone);
    await expect(bench.write(apply({ repairs: true }))).rejects.toThrow(undone);
    expect(bench.told.filter((text) => text.startsWith("apply"))).toHaveLength(5);
    await bench.write(apply({ ref: { ...REF, name: "other" } }));
    const annotations = { "fairlead.dev/generated": "of another spec" };
    await bench.write(apply({ object: { ...ROUTE, metadata: { ...ROUTE.metadata, annotations } } }));

    const kindOfMesh = (group: string): ApplyAction => {
      const ref = { ...REF, group, resource: "authorizationpolicies" };
      return apply({ ref, resourceVersion: undefined });
    };
    for (let count = 0; count < 5; count += 1) await bench.write(kindOfMesh("policy.linkerd.io"));
    await expect(bench.write(kindOfMesh("security.istio.io"))).resolves.toBeDefined();

    const again = new Bench();
    for (let count = 0; count < 5; count += 1) await again.write(apply());
    await expect(again.write(apply())).rejects.toThrow(undone);
    expect(again.again).toBe(0);
    again.clock.advance(30_000);
    expect(again.again).toBe(1);
    await expect(again.write(apply())).resolves.toBeDefined();
  });
});
