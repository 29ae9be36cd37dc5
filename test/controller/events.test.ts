import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ApiError } from "../../src/k8s/api-error.ts";
import type { ApiRequest, ApiResponse } from "../../src/k8s/client.ts";
import { eventName } from "../../src/k8s/event-object.ts";
import { EventRecorder, type EventRecorderOptions, type PolicyEvent } from "../../src/k8s/events.ts";
import { LeastRecentlyUsed } from "../../src/k8s/lru.ts";
import { FakeClock } from "./fake-clock.ts";

const START_MS = Date.parse("2026-03-01T10:00:00Z");
const MINUTE_MS = 60_000;
const ROOT = "/api/v1/namespaces/shop/events";

function policyEvent(overrides: Partial<PolicyEvent> = {}): PolicyEvent {
  const regarding = {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "ResiliencePolicy",
    namespace: "shop",
    name: "web",
    uid: "1234",
  };
  return { regarding, type: "Normal", reason: "Applied", message: "Applied to 3 Services", ...overrides };
}

/** Another object for each number, so that the limit of one object does not matter. */
function eventAbout(number: number): PolicyEvent {
  const { regarding } = policyEvent();
  return policyEvent({ regarding: { ...regarding, name: `web-${number}`, uid: String(number) } });
}

type Answer = (request: ApiRequest) => Promise<ApiResponse>;

const ok: Answer = async () => ({ status: 201, body: {} });

function refuse(status: number): Answer {
  return () => Promise.reject(new ApiError({ status, reason: "", message: `refused with ${status}` }));
}

/** A recorder whose requests are written down and answered as the test says: the first ones by `answers`, the rest well. */
function harness(answers: readonly Answer[] = [], options: Partial<EventRecorderOptions> = {}) {
  const clock = new FakeClock(START_MS);
  const requests: ApiRequest[] = [];
  const logged: object[] = [];
  const ignore = (): void => {};
  const recorder = new EventRecorder({
    client: { request: (request) => (answers[requests.push(request) - 1] ?? ok)(request) },
    log: { debug: (fields) => logged.push(fields), info: ignore, warn: ignore, error: ignore },
    reportingInstance: "fairlead-1",
    clock,
    ...options,
  });
  const sent = () => requests.map(({ method, path }) => `${method} ${path}`);
  const bodies = () => requests.map(({ body }) => body as Record<string, unknown>);
  return { recorder, clock, requests, logged, sent, bodies };
}

/** Lets everything that is ready happen. */
async function settle(): Promise<void> {
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
}

function nameIn(body: Readonly<Record<string, unknown>> | undefined): string | undefined {
  return (body?.["metadata"] as { name: string } | undefined)?.name;
}

describe("EventRecorder", () => {
  test("creates an Event in the namespace of its object", async () => {
    const { recorder, sent, bodies, requests } = harness();
    recorder.emit(policyEvent());
    await settle();
    const name = nameIn(bodies()[0]);
    expect(name).toMatch(/^web\.[0-9a-f]{16}$/);
    expect(sent()).toEqual([`POST ${ROOT}`]);
    expect(requests[0]).toMatchObject({ query: { fieldManager: "fairlead" }, timeoutMs: 10_000 });
    expect(bodies()).toEqual([
      {
        apiVersion: "v1",
        kind: "Event",
        metadata: { namespace: "shop", name },
        involvedObject: policyEvent().regarding,
        type: "Normal",
        reason: "Applied",
        message: "Applied to 3 Services",
        count: 1,
        firstTimestamp: "2026-03-01T10:00:00Z",
        lastTimestamp: "2026-03-01T10:00:00Z",
        source: { component: "fairlead" },
        reportingComponent: "fairlead",
        reportingInstance: "fairlead-1",
      },
    ]);
    expect(recorder.counters).toEqual({ emitted: 1, written: 1, deduplicated: 0, dropped: 0, failed: 0 });
  });

  test("carries the trace that led to it, which tells no Events apart", async () => {
    const { recorder, sent, bodies } = harness();
    recorder.emit(policyEvent({ traceId: "a".repeat(32) }));
    await settle();
    recorder.emit(policyEvent({ traceId: "b".repeat(32) }));
    await settle();
    expect(bodies()[0]).toMatchObject({ metadata: { annotations: { "fairlead.dev/trace-id": "a".repeat(32) } } });
    expect(sent().map((line) => line.split(" ")[0])).toEqual(["POST", "PATCH"]);
  });

  test("raises the count of the Event on repetition within ten minutes of the last one", async () => {
    const { recorder, clock, sent, bodies, requests } = harness();
    for (let repetition = 0; repetition < 3; repetition++) {
      recorder.emit(policyEvent());
      await settle();
      clock.advance(9 * MINUTE_MS);
    }
    const name = nameIn(bodies()[0]);
    expect(sent()).toEqual([`POST ${ROOT}`, `PATCH ${ROOT}/${name}`, `PATCH ${ROOT}/${name}`]);
    expect(requests[2]?.contentType).toBe("application/merge-patch+json");
    const firstTimestamp = "2026-03-01T10:00:00Z";
    expect(bodies()[2]).toEqual({ count: 3, firstTimestamp, lastTimestamp: "2026-03-01T10:18:00Z" });
    expect(recorder.counters).toEqual({ emitted: 3, written: 3, deduplicated: 2, dropped: 0, failed: 0 });
  });

  test("starts a new series ten minutes after the last one, in place of the old Event", async () => {
    const { recorder, clock, sent, bodies } = harness([ok, refuse(409)]);
    recorder.emit(policyEvent());
    await settle();
    clock.advance(10 * MINUTE_MS);
    recorder.emit(policyEvent());
    await settle();
    const name = nameIn(bodies()[0]);
    expect(sent()).toEqual([`POST ${ROOT}`, `POST ${ROOT}`, `PATCH ${ROOT}/${name}`]);
    const times = { firstTimestamp: "2026-03-01T10:10:00Z", lastTimestamp: "2026-03-01T10:10:00Z" };
    expect(bodies()[2]).toEqual({ count: 1, ...times });
    expect(recorder.counters).toMatchObject({ written: 2, deduplicated: 0, failed: 0 });
  });

  test("creates an Event again, with its count, when it is gone", async () => {
    const { recorder, sent, bodies } = harness([ok, refuse(404)]);
    recorder.emit(policyEvent());
    await settle();
    recorder.emit(policyEvent());
    await settle();
    expect(sent().map((line) => line.split(" ")[0])).toEqual(["POST", "PATCH", "POST"]);
    expect(bodies()[2]).toMatchObject({ kind: "Event", count: 2, message: "Applied to 3 Services" });
    expect(recorder.counters).toMatchObject({ written: 2, failed: 0 });
  });

  test.each<[string, Partial<PolicyEvent>]>([
    ["object", { regarding: { ...policyEvent().regarding, uid: "another" } }],
    ["type", { type: "Warning" }],
    ["reason", { reason: "Repaired" }],
    ["message", { message: "Applied to 4 Services" }],
  ])("another %s makes another Event", async (_, difference) => {
    const { recorder, sent, bodies } = harness();
    recorder.emit(policyEvent());
    recorder.emit(policyEvent(difference));
    await settle();
    expect(sent()).toEqual([`POST ${ROOT}`, `POST ${ROOT}`]);
    expect(new Set(bodies().map(nameIn)).size).toBe(2);
  });

  test("writes what is repeated while it waits only once, with the count as it is then", async () => {
    const { promise, resolve } = Promise.withResolvers<ApiResponse>();
    const { recorder, bodies } = harness([() => promise]);
    recorder.emit(eventAbout(1));
    for (let repetition = 0; repetition < 30; repetition++) recorder.emit(eventAbout(2));
    resolve({ status: 201, body: {} });
    await settle();
    expect(bodies().map((body) => body["count"])).toEqual([1, 30]);
    expect(recorder.counters).toEqual({ emitted: 31, written: 2, deduplicated: 29, dropped: 0, failed: 0 });
  });

  test("messages are one line of at most 1,024 characters", async () => {
    const { recorder, bodies } = harness();
    recorder.emit(policyEvent({ message: "  two\r\n\tlines\u001b[31m and\u2028more " }));
    recorder.emit(policyEvent({ message: `${"x".repeat(1_022)}😀😀` }));
    await settle();
    expect(bodies()[0]?.["message"]).toBe("two lines [31m and more");
    expect(bodies()[1]?.["message"]).toBe(`${"x".repeat(1_022)}\ufffd…`);
  });
});

describe("EventRecorder limits", () => {
  test("25 Events about one object at once, then one every five minutes; counts go on", async () => {
    const { recorder, clock, bodies } = harness();
    for (let repetition = 0; repetition < 40; repetition++) {
      recorder.emit(policyEvent());
      await settle();
    }
    expect(bodies()).toHaveLength(25);
    expect(recorder.counters).toMatchObject({ emitted: 40, written: 25, deduplicated: 39, dropped: 15 });
    clock.advance(5 * MINUTE_MS - 1);
    recorder.emit(policyEvent());
    await settle();
    expect(bodies()).toHaveLength(25);
    clock.advance(1);
    recorder.emit(policyEvent());
    await settle();
    expect(bodies()).toHaveLength(26);
    expect(bodies()[25]).toMatchObject({ count: 42 });
  });

  test("neither another object nor a Warning is held back by them", async () => {
    const { recorder, requests } = harness();
    for (let number = 0; number < 30; number++)
      recorder.emit(policyEvent({ message: `Applied to ${number} Services` }));
    await settle();
    expect(requests).toHaveLength(25);
    recorder.emit(eventAbout(1));
    recorder.emit(policyEvent({ type: "Warning", reason: "Refused" }));
    await settle();
    expect(requests).toHaveLength(27);
  });

  test("a thousand wait, more are dropped", async () => {
    const { promise, resolve } = Promise.withResolvers<ApiResponse>();
    const { recorder, requests } = harness([() => promise]);
    for (let number = 0; number < 1_011; number++) recorder.emit(eventAbout(number));
    expect(recorder.counters).toMatchObject({ emitted: 1_011, dropped: 10 });
    resolve({ status: 201, body: {} });
    await settle();
    expect(requests).toHaveLength(1_001);
    expect(recorder.counters.written).toBe(1_001);
  });

  test("writes one after the other", async () => {
    let inFlight = 0;
    let most = 0;
    const slow: Answer = async () => {
      most = Math.max(most, ++inFlight);
      await Promise.resolve();
      inFlight -= 1;
      return { status: 201, body: {} };
    };
    const { recorder } = harness(Array.from({ length: 20 }, () => slow));
    for (let number = 0; number < 20; number++) recorder.emit(eventAbout(number));
    await settle();
    expect([most, recorder.counters.written]).toEqual([1, 20]);
  });

  test("the least recently used is forgotten", () => {
    const values = new LeastRecentlyUsed<number>(3);
    for (const [key, value] of Object.entries({ a: 1, b: 2, c: 3 })) values.set(key, value);
    expect(values.get("a")).toBe(1);
    values.set("d", 4);
    expect([values.get("a"), values.get("b"), values.get("c"), values.get("d"), values.size]).toEqual([
      1,
      undefined,
      3,
      4,
      3,
    ]);
  });

  test("names are valid, whatever the name of the object", () => {
    const hash = "0123456789abcdef";
    const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?$/);
    const names = fc.array(label, { minLength: 1, maxLength: 8 }).map((labels) => labels.join(".").slice(0, 253));
    fc.assert(
      fc.property(names, (name) => {
        const made = eventName(name.replace(/[.-]+$/, ""), hash);
        expect(made.length).toBeLessThanOrEqual(253);
        expect(made).toMatch(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/);
        expect(made.endsWith(`.${hash}`)).toBe(true);
      }),
      { numRuns: 500, examples: [[`${"a".repeat(235)}-b`], [`${"a".repeat(234)}.-b`.replace(".-", "-.")]] },
    );
  });
});

describe("EventRecorder in trouble", () => {
  test("a write that fails is counted and logged, and the next goes on; the count catches up", async () => {
    const { recorder, logged, bodies } = harness([refuse(500), ok, refuse(404)]);
    recorder.emit(policyEvent());
    recorder.emit(eventAbout(1));
    await settle();
    expect(recorder.counters).toMatchObject({ written: 1, failed: 1 });
    expect(logged).toEqual([
      { kind: "ResiliencePolicy", namespace: "shop", name: "web", reason: "Applied", error: "refused with 500" },
    ]);
    recorder.emit(policyEvent());
    await settle();
    expect(bodies()[3]).toMatchObject({ kind: "Event", count: 2 });
  });

  test("nothing throws: neither a client that throws nor a name that cannot be sent", async () => {
    const { recorder } = harness([
      () => {
        throw new Error("no connection");
      },
    ]);
    recorder.emit(policyEvent());
    recorder.emit(policyEvent({ regarding: { ...policyEvent().regarding, namespace: "\ud800" } }));
    await settle();
    expect(recorder.counters).toMatchObject({ emitted: 2, failed: 2 });
  });

  test("nothing is written while this replica may not write", async () => {
    let mayWrite = false;
    const { recorder, bodies } = harness([refuse(404)], { mayWrite: () => mayWrite });
    recorder.emit(policyEvent());
    await settle();
    expect(bodies()).toEqual([]);
    expect(recorder.counters).toMatchObject({ written: 0, dropped: 1 });
    mayWrite = true;
    recorder.emit(policyEvent());
    await settle();
    expect(bodies().at(-1)).toMatchObject({ kind: "Event", count: 2 });
  });

  test("a clock that jumps back leaves the last time after the first", async () => {
    const { recorder, clock, bodies } = harness();
    recorder.emit(policyEvent());
    await settle();
    clock.jump(-3_600_000);
    recorder.emit(policyEvent());
    await settle();
    expect(bodies()[1]).toMatchObject({ count: 2, lastTimestamp: "2026-03-01T10:00:00Z" });
  });
});

describe("EventRecorder stop()", () => {
  test("writes what waits first", async () => {
    const { recorder, clock } = harness();
    for (let number = 0; number < 20; number++) recorder.emit(eventAbout(number));
    await recorder.stop();
    recorder.emit(eventAbout(20));
    await settle();
    expect(recorder.counters).toEqual({ emitted: 21, written: 20, deduplicated: 0, dropped: 1, failed: 0 });
    expect(clock.pending).toEqual([]);
  });

  test("gives up after a second, and aborts the write under way", async () => {
    const never: Answer = ({ signal }) =>
      new Promise((_, reject) => {
        signal?.addEventListener("abort", () => reject(new Error("aborted")));
      });
    const { recorder, clock, requests } = harness([never]);
    for (let number = 0; number < 20; number++) recorder.emit(eventAbout(number));
    let stopped = false;
    const stopping = recorder.stop().then(() => (stopped = true));
    clock.advance(999);
    await settle();
    expect(stopped).toBe(false);
    clock.advance(1);
    await stopping;
    await settle();
    expect(requests).toHaveLength(1);
    expect(recorder.counters).toMatchObject({ written: 0, dropped: 19, failed: 1 });
  });
});
