import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ControlPlane, startControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { KubernetesClient } from "../../src/k8s/client.ts";
import { loadCluster } from "../../src/k8s/config.ts";
import { EventRecorder, type PolicyEvent } from "../../src/k8s/events.ts";
import { FAIRLEAD_CRDS, kubectl } from "./support.ts";

let controlPlane: ControlPlane;
let client: KubernetesClient;

beforeAll(async () => {
  controlPlane = await startControlPlane({ controllerManager: false, crdPaths: [FAIRLEAD_CRDS] });
  client = new KubernetesClient(await loadCluster({ kubeconfig: controlPlane.kubeconfigPath }));
});
afterAll(async () => {
  client?.close();
  await controlPlane?.stop();
});

function newRecorder(): EventRecorder {
  return new EventRecorder({ client, log: pino({ level: "silent" }), reportingInstance: "fairlead-1" });
}

/** Creates a policy and returns an Event about it. */
async function eventAboutPolicy(name: string): Promise<PolicyEvent> {
  const policy: object = {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "ResiliencePolicy",
    metadata: { name },
    spec: { targetRefs: [{ kind: "Service", name: "web" }], timeout: { request: "2s" } },
  };
  const created = await client.create("/apis/fairlead.dev/v1alpha1/namespaces/default/resiliencepolicies", policy);
  const uid = created.metadata?.uid ?? "";
  const regarding = { apiVersion: "fairlead.dev/v1alpha1", kind: "ResiliencePolicy", namespace: "default", name, uid };
  return { regarding, type: "Warning", reason: "Conflicted", message: "Service web has timeouts of its own" };
}

async function emitAndWait(recorder: EventRecorder, event: PolicyEvent): Promise<void> {
  const { written, failed } = recorder.counters;
  recorder.emit(event);
  await waitFor(
    "the Event to be written",
    () => recorder.counters.written + recorder.counters.failed > written + failed,
  );
}

interface StoredEvent {
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly count: number;
}

async function eventsAbout(name: string): Promise<readonly StoredEvent[]> {
  const selector = `involvedObject.name=${name}`;
  return JSON.parse(await kubectl(controlPlane, ["get", "events", "--field-selector", selector, "-o", "json"])).items;
}

test("kubectl describe shows an Event with its count, and it is one object", async () => {
  const recorder = newRecorder();
  const event = await eventAboutPolicy("repeated");
  for (let repetition = 0; repetition < 3; repetition++) await emitAndWait(recorder, event);
  await emitAndWait(recorder, { ...event, type: "Normal", reason: "Applied", message: "Applied to 3 Services" });
  await recorder.stop();
  expect(recorder.counters).toEqual({ emitted: 4, written: 4, deduplicated: 2, dropped: 0, failed: 0 });

  const described = await kubectl(controlPlane, ["describe", "resiliencepolicy", "repeated"]);
  expect(described).toMatch(
    /Warning +Conflicted +\d+s \(x3 over \d+s\) +fairlead +Service web has timeouts of its own/,
  );
  expect(described).toMatch(/Normal +Applied +\d+s +fairlead +Applied to 3 Services/);
  const events = await eventsAbout("repeated");
  expect(events.map(({ count }) => count).toSorted((a, b) => a - b)).toEqual([1, 3]);
  expect(events.find(({ count }) => count === 3)).toMatchObject({
    metadata: { namespace: "default", name: expect.stringMatching(/^repeated\.[0-9a-f]{16}$/) },
    source: { component: "fairlead" },
    reportingComponent: "fairlead",
    reportingInstance: "fairlead-1",
  });
});

test("another replica takes an Event over that is there, and makes one again that is gone", async () => {
  const event = await eventAboutPolicy("taken-over");
  const [first, second] = [newRecorder(), newRecorder()];
  for (let repetition = 0; repetition < 2; repetition++) await emitAndWait(first, event);
  await emitAndWait(second, event);
  expect((await eventsAbout("taken-over")).map(({ count }) => count)).toEqual([1]);

  await kubectl(controlPlane, ["delete", "events", "--field-selector", "involvedObject.name=taken-over"]);
  await emitAndWait(second, event);
  expect((await eventsAbout("taken-over")).map(({ count }) => count)).toEqual([2]);
  expect([first.counters.failed, second.counters.failed]).toEqual([0, 0]);
});

test("the longest name, the longest message and a namespace that is gone", async () => {
  const recorder = newRecorder();
  const name = `${"a".repeat(235)}.${"b".repeat(17)}`;
  const event = await eventAboutPolicy(name);
  await emitAndWait(recorder, { ...event, message: "ä".repeat(2_000) });
  expect(recorder.counters).toMatchObject({ written: 1, failed: 0 });
  expect(await kubectl(controlPlane, ["describe", "resiliencepolicy", name])).toContain("Conflicted");
  // The API server would take names of Events that are no valid names of objects.
  const names = (await eventsAbout(name)).map(({ metadata }) => metadata.name);
  expect(names).toEqual([expect.stringMatching(/^a{235}\.[0-9a-f]{16}$/)]);

  await emitAndWait(recorder, { ...event, regarding: { ...event.regarding, namespace: "gone" } });
  expect(recorder.counters).toMatchObject({ written: 1, failed: 1 });
});
