import type { IncomingMessage } from "node:http";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type QueueOptions, WorkQueue } from "../../src/controller/queue.ts";
import { StartTimes } from "../../src/controller/queue-times.ts";
import { ApiError, retryAfterMs, toError } from "../../src/k8s/api-error.ts";
import { FakeClock } from "./fake-clock.ts";

interface Run {
  readonly item: string;
  readonly succeed: () => Promise<void>;
  readonly fail: (error?: Error) => Promise<void>;
}

/** A queue of which the test decides when and how each run ends. */
function harness(parallelism = 8, options: Partial<QueueOptions<string>> = {}) {
  const clock = new FakeClock();
  const runs: Run[] = [];
  const errors: string[] = [];
  const queue = new WorkQueue<string>({
    keyOf: (item) => item.split("@", 1)[0] ?? "",
    run: (item) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const fail = (error = new Error("no")) => settled(() => reject(error));
      runs.push({ item, succeed: () => settled(resolve), fail });
      return promise;
    },
    onError: (item) => errors.push(item),
    parallelism,
    backoff: { baseMs: 100, capMs: 1_000 },
    clock,
    random: () => 0.5,
    ...options,
  });
  return { clock, runs, errors, queue, items: () => runs.map((run) => run.item) };
}

/** Ends a run and lets the queue take note of it. */
async function settled(end: () => void): Promise<void> {
  end();
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
}

describe("WorkQueue", () => {
  test("runs different keys side by side up to its parallelism, in the order they came", async () => {
    const { queue, runs, items } = harness(2);
    for (const item of ["a", "b", "c", "d"]) queue.add(item);
    expect(items()).toEqual(["a", "b"]);
    await runs[1]?.succeed();
    expect(items()).toEqual(["a", "b", "c"]);
    expect(queue.size).toBe(3);
  });

  test("holds a key once however often it is added, with the newest item", () => {
    const { queue, items, runs } = harness(1);
    for (const item of ["a", "b@1", "b@2", "b@3"]) queue.add(item);
    expect(queue.size).toBe(2);
    return runs[0]?.succeed().then(() => expect(items()).toEqual(["a", "b@3"]));
  });

  test("runs a key again, once and not at the same time, when it was added while it ran", async () => {
    const { queue, runs, items } = harness();
    queue.add("a@1");
    queue.add("a@2");
    queue.add("a@3");
    expect(items()).toEqual(["a@1"]);
    await runs[0]?.succeed();
    expect(items()).toEqual(["a@1", "a@3"]);
    await runs[1]?.succeed();
    expect(queue.size).toBe(0);
  });

  test("waits longer after each failure of the same key, up to the cap, and forgets them after a success", async () => {
    const { queue, runs, clock, errors } = harness();
    queue.add("a");
    const delays: number[] = [];
    for (let failure = 0; failure < 6; failure++) {
      await runs.at(-1)?.fail();
      delays.push(...clock.pending);
      clock.next();
    }
    // Half of each delay is jitter, and chance is fixed in the middle.
    expect(delays).toEqual([75, 150, 300, 600, 750, 750]);
    expect(errors).toHaveLength(6);
    await runs.at(-1)?.succeed();
    queue.add("a");
    await runs.at(-1)?.fail();
    expect(clock.pending).toEqual([75]);
  });

  test("one failing key does not hold up the others", async () => {
    const { queue, runs, items, clock } = harness(1);
    queue.add("a");
    queue.add("b");
    await runs[0]?.fail();
    expect(items()).toEqual(["a", "b"]);
    await runs[1]?.succeed();
    clock.next();
    expect(items()).toEqual(["a", "b", "a"]);
  });

  test("runs a waiting key at once when it is added again, and its timer is gone", async () => {
    const { queue, runs, items, clock } = harness();
    queue.add("a@1");
    await runs[0]?.fail();
    queue.add("a@2");
    expect(items()).toEqual(["a@1", "a@2"]);
    expect(clock.pending).toEqual([]);
    await runs[1]?.fail();
    expect(clock.pending).toEqual([150]);
  });

  test("is idle only when nothing is queued, running or waiting", async () => {
    const { queue, runs, clock } = harness();
    await queue.idle();
    queue.add("a");
    let idle = false;
    const waiting = queue.idle().then(() => (idle = true));
    await runs[0]?.fail();
    expect(idle).toBe(false);
    clock.next();
    await runs[1]?.succeed();
    await waiting;
    expect(idle).toBe(true);
  });

  test("stop() drops what waits and what is added later, and waits for what runs", async () => {
    const { queue, runs, items, clock } = harness(2);
    for (const item of ["a", "b", "c"]) queue.add(item);
    await runs[0]?.fail();
    expect(items()).toEqual(["a", "b", "c"]);
    let stopped = false;
    const stopping = queue.stop().then(() => (stopped = true));
    queue.add("d");
    await runs[1]?.succeed();
    expect(stopped).toBe(false);
    await runs[2]?.fail();
    await stopping;
    expect(items()).toEqual(["a", "b", "c"]);
    expect(clock.pending).toEqual([]);
    expect(queue.size).toBe(0);
  });
});

describe("WorkQueue minIntervalMs", () => {
  const options = { minIntervalMs: 1_000 };

  test("what is added within the interval runs once, at its end, as the newest item", async () => {
    const { queue, runs, items, clock } = harness(8, options);
    queue.add("a@1");
    await runs[0]?.succeed();
    expect(queue.size).toBe(0);
    clock.advance(400);
    queue.add("a@2");
    queue.add("a@3");
    expect(items()).toEqual(["a@1"]);
    expect(queue.numbers).toMatchObject({ ready: 0, waiting: 1, running: 0 });
    clock.advance(599);
    expect(items()).toEqual(["a@1"]);
    clock.advance(1);
    expect(items()).toEqual(["a@1", "a@3"]);
    await runs[1]?.succeed();
    clock.advance(10_000);
    expect(items()).toEqual(["a@1", "a@3"]);
  });

  test("what is added while the key runs starts an interval after that run started", async () => {
    const { queue, runs, items, clock } = harness(8, options);
    queue.add("a@1");
    clock.advance(300);
    queue.add("a@2");
    await runs[0]?.succeed();
    expect(clock.pending).toEqual([700]);
    clock.next();
    expect(items()).toEqual(["a@1", "a@2"]);
  });

  test("a run that took longer than the interval is followed at once", async () => {
    const { queue, runs, items, clock } = harness(8, options);
    queue.add("a@1");
    clock.advance(5_000);
    queue.add("a@2");
    await runs[0]?.succeed();
    expect(items()).toEqual(["a@1", "a@2"]);
  });

  test("retries keep to it as well, and news does not break it", async () => {
    const { queue, runs, items, clock } = harness(8, options);
    queue.add("a@1");
    await runs[0]?.fail();
    expect(clock.pending).toEqual([1_000]);
    clock.advance(600);
    queue.add("a@2");
    queue.add("a@3");
    expect(clock.pending).toEqual([400]);
    clock.next();
    expect(items()).toEqual(["a@1", "a@3"]);
  });

  test("other keys do not wait", async () => {
    const { queue, runs, items } = harness(8, options);
    queue.add("a");
    await runs[0]?.succeed();
    queue.add("a");
    queue.add("b");
    expect(items()).toEqual(["a", "b"]);
  });

  test("a clock that jumps back by a day holds no key for longer than an interval", async () => {
    const { queue, runs, items, clock } = harness(8, options);
    queue.add("a");
    await runs[0]?.fail();
    clock.jump(-86_400_000);
    clock.advance(400);
    queue.add("a");
    clock.advance(600);
    expect(items()).toEqual(["a", "a"]);
    await runs[1]?.succeed();
    clock.jump(-86_400_000);
    queue.add("a");
    expect(items()).toEqual(["a", "a", "a"]);
  });

  test("start times are forgotten when their interval is over, and without an interval not kept", () => {
    const clock = new FakeClock();
    const startTimes = new StartTimes(1_000, clock);
    for (let key = 0; key < 100; key++) startTimes.note(String(key));
    expect(startTimes.size).toBe(100);
    clock.advance(1_000);
    startTimes.note("0");
    expect(startTimes.size).toBe(1);
    const none = new StartTimes(0, clock);
    none.note("0");
    expect(none.size).toBe(0);
  });
});

describe("WorkQueue Retry-After", () => {
  const busy = (retryAfterSeconds: number) =>
    new ApiError({ status: 429, reason: "TooManyRequests", message: "too many requests", retryAfterSeconds });

  test("waits as long as the API server asks, also when there is news", async () => {
    const { queue, runs, items, clock } = harness();
    queue.add("a@1");
    await runs[0]?.fail(busy(7));
    expect(clock.pending).toEqual([7_000]);
    clock.advance(6_999);
    queue.add("a@2");
    expect(items()).toEqual(["a@1"]);
    clock.advance(1);
    expect(items()).toEqual(["a@1", "a@2"]);
  });

  test("waits longer than asked where the backoff is longer, and news cuts that to what was asked", async () => {
    const { queue, runs, items, clock } = harness(8, { backoff: { baseMs: 8_000, capMs: 8_000 } });
    queue.add("a@1");
    await runs[0]?.fail(busy(1));
    expect(clock.pending).toEqual([6_000]);
    clock.advance(400);
    queue.add("a@2");
    expect(clock.pending).toEqual([600]);
    clock.next();
    expect(items()).toEqual(["a@1", "a@2"]);
  });

  test("a clock that jumps back and news all the time do not make it longer", async () => {
    const { queue, runs, items, clock } = harness(8, { backoff: { baseMs: 8_000, capMs: 8_000 } });
    queue.add("a");
    await runs[0]?.fail(busy(1));
    clock.jump(-86_400_000);
    for (let passedMs = 0; passedMs < 1_000; passedMs += 250) {
      queue.add("a");
      clock.advance(250);
    }
    expect(items()).toEqual(["a", "a"]);
  });

  test.each([
    [{ "retry-after": "2" }, 2_000],
    [{}, 0],
    [{ "retry-after": "" }, 0],
    [{ "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT" }, 0],
  ])("an answer with the headers %j asks for %i ms", (headers, ms) => {
    expect(retryAfterMs(toError({ statusCode: 429, headers } as IncomingMessage, ""))).toBe(ms);
  });

  test("reads it from the cause, from the errors of an AggregateError, and honours ten minutes at most", async () => {
    const { queue, runs, clock } = harness();
    queue.add("a");
    await runs[0]?.fail(new Error("Cannot write", { cause: busy(7) }));
    expect(clock.pending).toEqual([7_000]);
    clock.next();
    await runs[1]?.fail(new AggregateError([new Error("no"), busy(3), busy(9)]));
    expect(clock.pending).toEqual([9_000]);
    clock.next();
    await runs[2]?.fail(busy(86_400));
    expect(clock.pending).toEqual([600_000]);
  });
});

describe("WorkQueue addAfter()", () => {
  test("adds when the time has passed; the earliest of several counts, and an add in between takes nothing away", async () => {
    const { queue, runs, items, clock } = harness();
    queue.addAfter("a@1", 5_000);
    queue.addAfter("a@2", 2_000);
    queue.addAfter("a@3", 9_000);
    expect(clock.pending).toEqual([2_000]);
    expect(queue.size).toBe(0);
    expect(queue.numbers.waiting).toBe(1);
    await queue.idle();
    queue.add("a@now");
    await runs[0]?.succeed();
    clock.next();
    expect(items()).toEqual(["a@now", "a@2"]);
    await runs[1]?.succeed();
    expect(clock.pending).toEqual([]);
    expect(queue.numbers).toMatchObject({ waiting: 0, adds: 2, completed: 2 });
  });

  test("may be called by the run itself, for the next time", async () => {
    const clock = new FakeClock();
    let runs = 0;
    const queue: WorkQueue<string> = new WorkQueue<string>({
      keyOf: (item) => item,
      run: async (item) => {
        runs += 1;
        queue.addAfter(item, 60_000);
      },
      onError: () => {},
      clock,
    });
    queue.add("a");
    for (let minute = 0; minute < 3; minute++) {
      await queue.idle();
      clock.advance(60_000);
    }
    await queue.idle();
    expect(runs).toBe(4);
    await queue.stop();
    expect(clock.pending).toEqual([]);
    queue.addAfter("a", 1);
    expect(clock.pending).toEqual([]);
  });

  test("a delay beyond what a timer can hold does not come at once", () => {
    const { queue, clock } = harness();
    queue.addAfter("a", 60 * 86_400_000);
    expect(clock.pending).toEqual([2_147_483_647]);
  });
});

describe("WorkQueue fairness", () => {
  test("a key that is added in a tight loop takes its turn behind every other", async () => {
    const { queue, runs, items } = harness(1);
    queue.add("greedy");
    for (const item of ["a", "b", "c"]) queue.add(item);
    for (let turn = 0; turn < 6; turn++) {
      for (let add = 0; add < 100; add++) queue.add("greedy");
      await runs.at(-1)?.succeed();
    }
    expect(items()).toEqual(["greedy", "a", "b", "c", "greedy", "greedy", "greedy"]);
  });

  test("a key that always fails and is added again at once takes its turn behind every other", async () => {
    const { queue, runs, items } = harness(1);
    queue.add("poison");
    for (const item of ["a", "b", "c"]) queue.add(item);
    for (let turn = 0; turn < 5; turn++) {
      const run = runs.at(-1);
      await (run?.item === "poison" ? run.fail() : run?.succeed());
      queue.add("poison");
    }
    expect(items()).toEqual(["poison", "a", "b", "c", "poison", "poison"]);
  });
});

describe("WorkQueue numbers and observers", () => {
  test("say how much is ready, waiting and running, and what was done", async () => {
    const { queue, runs, clock } = harness(1);
    for (const item of ["a", "b", "c", "c"]) queue.add(item);
    expect(queue.numbers).toEqual({ ready: 2, waiting: 0, running: 1, adds: 4, retries: 0, completed: 0 });
    await runs[0]?.fail();
    expect(queue.numbers).toEqual({ ready: 1, waiting: 1, running: 1, adds: 4, retries: 1, completed: 0 });
    await runs[1]?.succeed();
    await runs[2]?.succeed();
    clock.next();
    await runs[3]?.succeed();
    expect(queue.numbers).toEqual({ ready: 0, waiting: 0, running: 0, adds: 4, retries: 1, completed: 3 });
  });

  test("latency is the time in which a key was ready, not that of its backoff", async () => {
    const told: string[] = [];
    const { queue, runs, clock } = harness(1, {
      onStart: (item, waitedMs) => told.push(`${item} waited ${waitedMs}`),
      onDone: (item, ranMs, failed) => told.push(`${item} ran ${ranMs} ${failed ? "failed" : "well"}`),
    });
    queue.add("a");
    queue.add("b");
    clock.advance(30);
    await runs[0]?.fail();
    clock.advance(5);
    await runs[1]?.succeed();
    clock.next();
    expect(told).toEqual(["a waited 0", "a ran 30 failed", "b waited 30", "b ran 5 well", "a waited 0"]);
  });

  test("latency is never negative, whatever the clock does", async () => {
    const told: number[] = [];
    const { queue, runs, clock } = harness(1, {
      onStart: (_, waitedMs) => told.push(waitedMs),
      onDone: (_, ranMs) => told.push(ranMs),
    });
    queue.add("a");
    queue.add("b");
    clock.jump(-1_000);
    await runs[0]?.succeed();
    expect(told).toEqual([0, 0, 0]);
  });
});

describe("WorkQueue, whatever happens", () => {
  const KEYS = ["a", "b", "c", "poison"];
  const step = fc.oneof(
    fc.record({ do: fc.constant("add" as const), key: fc.constantFrom(...KEYS) }),
    fc.record({ do: fc.constant("addAfter" as const), key: fc.constantFrom(...KEYS), ms: fc.nat(3_000) }),
    fc.record({ do: fc.constant("end" as const), pick: fc.nat(), failed: fc.boolean(), seconds: fc.nat(3) }),
    fc.record({ do: fc.constant("advance" as const), ms: fc.nat(2_000) }),
  );

  function machine(parallelism: number, minIntervalMs: number) {
    const clock = new FakeClock();
    const running: { item: string; end: (error?: Error) => void }[] = [];
    const starts: { item: string; atMs: number }[] = [];
    let sameAtOnce = 0;
    const queue = new WorkQueue<string>({
      keyOf: (item) => item,
      run: (item) => {
        if (running.some((other) => other.item === item)) sameAtOnce += 1;
        starts.push({ item, atMs: clock.now() });
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        running.push({ item, end: (error) => (error ? reject(error) : resolve()) });
        return promise;
      },
      onError: () => {},
      parallelism,
      minIntervalMs,
      backoff: { baseMs: 100, capMs: 1_000 },
      clock,
      random: () => 0.5,
    });
    const startsOf = (key: string) => starts.filter(({ item }) => item === key).map(({ atMs }) => atMs);
    return { clock, queue, running, startsOf, sameAtOnce: () => sameAtOnce };
  }

  test("nothing is lost, no key runs twice at once, intervals hold, and a poison key holds nobody up", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60 }),
        fc.integer({ min: 1, max: 3 }),
        fc.constantFrom(0, 700),
        async (steps, parallelism, minIntervalMs) => {
          const { clock, queue, running, startsOf, sameAtOnce } = machine(parallelism, minIntervalMs);
          // How often a key had started when it was added last: it has to start once more.
          const startsBefore = new Map<string, number>();
          for (const one of steps) {
            if (one.do === "add" || one.do === "addAfter") {
              startsBefore.set(one.key, startsOf(one.key).length);
              if (one.do === "add") queue.add(one.key);
              else queue.addAfter(one.key, one.ms);
            } else if (one.do === "advance") {
              clock.advance(one.ms);
            } else if (running.length > 0) {
              const [run] = running.splice(one.pick % running.length, 1);
              const message = "the API server is busy";
              const error = new ApiError({ status: 429, reason: "", message, retryAfterSeconds: one.seconds });
              await settled(() => run?.end(one.failed || run?.item === "poison" ? error : undefined));
            }
            expect(running.length).toBeLessThanOrEqual(parallelism);
          }
          // From here on all is well, except that poison fails for ever; ten rounds are enough for three keys.
          for (let round = 0; round < 10; round++) {
            clock.advance(3_000);
            for (const run of running.splice(0)) {
              await settled(() => run.end(run.item === "poison" ? new Error("no") : undefined));
            }
          }
          expect(sameAtOnce()).toBe(0);
          for (const [key, before] of startsBefore) {
            const times = startsOf(key);
            expect(times.length).toBeGreaterThan(before);
            for (const [index, atMs] of times.entries()) {
              expect(atMs - (times[index - 1] ?? -Infinity)).toBeGreaterThanOrEqual(minIntervalMs);
            }
          }
          expect(queue.size).toBe(startsBefore.has("poison") ? 1 : 0);
          await queue.stop();
        },
      ),
      { numRuns: 300 },
    );
  });
});
