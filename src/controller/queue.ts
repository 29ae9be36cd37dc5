import { type Backoff, backoffDelayMs, type Clock, type Random, systemClock } from "../k8s/ports.ts";

export interface QueueOptions<T> {
  /** Items with the same key are the same work. */
  readonly keyOf: (item: T) => string;
  /** A rejection makes the item run again after a backoff. */
  readonly run: (item: T) => Promise<void>;
  readonly onError: (item: T, error: unknown) => void;
  readonly parallelism?: number;
  readonly backoff?: Backoff;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** As many as the writer carries out at once: more would only wait there. */
const PARALLELISM = 8;
/** First retry within a tenth of a second, so that a conflict is settled quickly; the cap is that of client-go's reflector. */
const BACKOFF: Backoff = { baseMs: 100, capMs: 30_000 };

interface Entry<T> {
  item: T;
  state: "queued" | "running" | "waiting";
  /** Added again while it ran. */
  again: boolean;
  failures: number;
  cancelTimer: (() => void) | undefined;
}

/**
 * Work by key: what is queued already is not queued twice, one key never runs twice at once, and a key that was
 * added while it ran runs again. Its size is bounded by the number of different keys. Not durable on purpose: the
 * full pass finds everything again.
 */
export class WorkQueue<T> {
  readonly #options: QueueOptions<T>;
  readonly #parallelism: number;
  readonly #backoff: Backoff;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #entries = new Map<string, Entry<T>>();
  readonly #ready = new Set<string>();
  #idleWaiters: (() => void)[] = [];
  #running = 0;
  #stopped = false;

  constructor(options: QueueOptions<T>) {
    this.#options = options;
    this.#parallelism = options.parallelism ?? PARALLELISM;
    this.#backoff = options.backoff ?? BACKOFF;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
  }

  /** Keys that are queued, running or waiting for a retry. */
  get size(): number {
    return this.#entries.size;
  }

  /** A key that waits for its retry runs at once: news about it may be the cure. Its count of failures stays. */
  add(item: T): void {
    if (this.#stopped) return;
    const key = this.#options.keyOf(item);
    const entry = this.#entries.get(key);
    if (entry === undefined) {
      this.#entries.set(key, { item, state: "queued", again: false, failures: 0, cancelTimer: undefined });
      this.#ready.add(key);
    } else if (entry.state === "running") {
      entry.again = true;
      entry.item = item;
    } else {
      entry.item = item;
      this.#enqueue(key, entry);
    }
    this.#startMore();
  }

  /** Resolves when nothing is queued, running or waiting for a retry. */
  idle(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  /** Final: drops what waits, and resolves when what runs has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#ready.clear();
    for (const [key, entry] of this.#entries) {
      entry.cancelTimer?.();
      if (entry.state !== "running") this.#entries.delete(key);
    }
    this.#notifyIdle();
    await this.idle();
  }

  #enqueue(key: string, entry: Entry<T>): void {
    entry.cancelTimer?.();
    entry.cancelTimer = undefined;
    entry.state = "queued";
    this.#ready.add(key);
  }

  #startMore(): void {
    for (const key of this.#ready) {
      if (this.#running >= this.#parallelism) return;
      this.#ready.delete(key);
      const entry = this.#entries.get(key);
      if (entry !== undefined) void this.#execute(key, entry);
    }
  }

  async #execute(key: string, entry: Entry<T>): Promise<void> {
    entry.state = "running";
    entry.again = false;
    this.#running += 1;
    const { item } = entry;
    try {
      await this.#options.run(item);
      entry.failures = 0;
    } catch (error) {
      entry.failures += 1;
      this.#options.onError(item, error);
    }
    this.#running -= 1;
    this.#settle(key, entry);
    this.#startMore();
    this.#notifyIdle();
  }

  #settle(key: string, entry: Entry<T>): void {
    if (this.#stopped || (entry.failures === 0 && !entry.again)) {
      this.#entries.delete(key);
    } else if (entry.failures === 0) {
      this.#enqueue(key, entry);
    } else {
      entry.state = "waiting";
      const delayMs = backoffDelayMs(entry.failures, this.#backoff, this.#random);
      entry.cancelTimer = this.#clock.after(delayMs, () => {
        this.#enqueue(key, entry);
        this.#startMore();
      });
    }
  }

  #isIdle(): boolean {
    return this.#entries.size === 0;
  }

  #notifyIdle(): void {
    if (!this.#isIdle()) return;
    const waiters = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const resolve of waiters) resolve();
  }
}
