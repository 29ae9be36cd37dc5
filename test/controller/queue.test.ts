import { describe, expect, test } from "vitest";
import { WorkQueue } from "../../src/controller/queue.ts";
import type { Clock } from "../../src/k8s/ports.ts";

/** Time that moves only when it is told to. */
class FakeClock implements Clock {
  #now = 0;
  #timers: { at: number; callback: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { at: this.#now + delayMs, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  get pending(): readonly number[] {
    return this.#timers.map((timer) => timer.at - this.#now);
  }

  /** Moves time to the first timer. */
  next(): void {
    const timer = this.#timers.toSorted((a, b) => a.at - b.at)[0];
    if (timer === undefined) throw new Error("No timer is set");
    this.#timers = this.#timers.filter((other) => other !== timer);
    this.#now = timer.at;
    timer.callback();
  }
}

interface Run {
  readonly item: string;
  readonly succeed: () => Promise<void>;
  readonly fail: () => Promise<void>;
}

/** A queue of which the test decides when and how each run ends. */
function harness(parallelism = 8) {
  const clock = new FakeClock();
  const runs: Run[] = [];
  const errors: string[] = [];
  const queue = new WorkQueue<string>({
    keyOf: (item) => item.split("@", 1)[0] ?? "",
    run: (item) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      runs.push({ item, succeed: () => settled(resolve), fail: () => settled(() => reject(new Error("no"))) });
      return promise;
    },
    onError: (item) => errors.push(item),
    parallelism,
    backoff: { baseMs: 100, capMs: 1_000 },
    clock,
    random: () => 0.5,
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
