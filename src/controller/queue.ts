import { retryAfterMs } from "../k8s/api-error.ts";
import { type Backoff, backoffDelayMs, type Clock, type Random, systemClock } from "../k8s/ports.ts";
import { Later, StartTimes, Wait, type WaitTimes } from "./queue-times.ts";

export interface QueueOptions<T> {
  /** Items with the same key are the same work. */
  readonly keyOf: (item: T) => string;
  /** A rejection makes the item run again after a backoff, and not before the API server wants it (Retry-After). */
  readonly run: (item: T) => Promise<void>;
  readonly onError: (item: T, error: unknown) => void;
  /** How long the item was ready before it starts; time for which it has to wait on purpose does not count. */
  readonly onStart?: (item: T, waitedMs: number) => void;
  readonly onDone?: (item: T, ranMs: number, failed: boolean) => void;
  readonly parallelism?: number;
  readonly backoff?: Backoff;
  /** One key does not start more often than this, retries included; 0, the default, is no limit. */
  readonly minIntervalMs?: number;
  readonly clock?: Clock;
  readonly random?: Random;
}

export interface QueueNumbers {
  /** Keys that start as soon as others end. */
  readonly ready: number;
  /** Keys that wait for a time: a retry, the end of their interval, {@link WorkQueue.addAfter}. */
  readonly waiting: number;
  readonly running: number;
  /** Totals since the start: items added, runs that failed and are tried again, runs that ended well. */
  readonly adds: number;
  readonly retries: number;
  readonly completed: number;
}

/** As many as the writer carries out at once: more would only wait there. */
const PARALLELISM = 8;
/** First retry within a tenth of a second, so that a conflict is settled quickly; the cap is that of client-go's reflector. */
const BACKOFF: Backoff = { baseMs: 100, capMs: 30_000 };
/** Longest Retry-After that is honoured: the period of the full pass. The API server itself asks for a second. */
const RETRY_AFTER_MAX_MS = 10 * 60_000;

interface Entry<T> {
  item: T;
  state: "ready" | "running" | "waiting";
  /** Added again while it ran. */
  again: boolean;
  failures: number;
  readySinceMs: number;
  wait: Wait | undefined;
}

/**
 * Work by key: what is queued already is not queued twice, one key never runs twice at once, and a key that was
 * added while it ran runs again. Keys start in the order in which they became ready, so one that always fails or is
 * added all the time takes its turn behind the others. Its size is bounded by the number of different keys. Not durable
 * on purpose: the full pass finds everything again.
 */
export class WorkQueue<T> {
  readonly #options: QueueOptions<T>;
  readonly #clock: Clock;
  readonly #startTimes: StartTimes;
  readonly #later: Later;
  readonly #entries = new Map<string, Entry<T>>();
  readonly #ready = new Set<string>();
  readonly #totals = { adds: 0, retries: 0, completed: 0 };
  #idleWaiters: (() => void)[] = [];
  #running = 0;
  #stopped = false;

  constructor(options: QueueOptions<T>) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#startTimes = new StartTimes(options.minIntervalMs ?? 0, this.#clock);
    this.#later = new Later(this.#clock);
  }

  /** Keys that are ready, running, or waiting for a retry or the end of their interval. */
  get size(): number {
    return this.#entries.size;
  }

  get numbers(): QueueNumbers {
    const waiting = this.#entries.size - this.#ready.size - this.#running + this.#later.size;
    return { ready: this.#ready.size, waiting, running: this.#running, ...this.#totals };
  }

  /**
   * A key that waits for its retry runs at once, unless its interval or a Retry-After is not over: news about it may be
   * the cure. Its count of failures stays.
   */
  add(item: T): void {
    if (this.#stopped) return;
    this.#totals.adds += 1;
    const key = this.#options.keyOf(item);
    const entry = this.#entries.get(key);
    if (entry === undefined) {
      this.#enter(key, item);
    } else {
      entry.item = item;
      if (entry.state === "running") entry.again = true;
      else entry.wait?.hasten();
    }
    this.#startMore();
  }

  /**
   * Adds the item when the time has passed; of several calls for one key the earliest counts. Until then it is not part
   * of the size, and the queue may be idle.
   */
  addAfter(item: T, delayMs: number): void {
    if (!this.#stopped) this.#later.plan(this.#options.keyOf(item), delayMs, () => this.add(item));
  }

  /** Resolves when nothing is ready, running or waiting for a retry. */
  idle(): Promise<void> {
    if (this.#entries.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  /** Final: drops what waits, and resolves when what runs has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#ready.clear();
    this.#later.clear();
    for (const [key, entry] of this.#entries) {
      entry.wait?.cancel();
      if (entry.state !== "running") this.#entries.delete(key);
    }
    this.#notifyIdle();
    await this.idle();
  }

  #enter(key: string, item: T): void {
    const entry: Entry<T> = { item, state: "waiting", again: false, failures: 0, readySinceMs: 0, wait: undefined };
    this.#entries.set(key, entry);
    const restMs = this.#startTimes.restMs(key);
    this.#hold(key, entry, { waitMs: restMs, floorMs: restMs });
  }

  #hold(key: string, entry: Entry<T>, times: WaitTimes): void {
    if (times.waitMs <= 0) {
      this.#makeReady(key, entry);
      return;
    }
    entry.state = "waiting";
    entry.wait = new Wait(this.#clock, times, () => {
      this.#makeReady(key, entry);
      this.#startMore();
    });
  }

  #makeReady(key: string, entry: Entry<T>): void {
    entry.state = "ready";
    entry.wait = undefined;
    entry.readySinceMs = this.#clock.now();
    this.#ready.add(key);
  }

  #startMore(): void {
    for (const key of this.#ready) {
      if (this.#running >= (this.#options.parallelism ?? PARALLELISM)) return;
      this.#ready.delete(key);
      const entry = this.#entries.get(key);
      if (entry !== undefined) void this.#execute(key, entry);
    }
  }

  async #execute(key: string, entry: Entry<T>): Promise<void> {
    const { item } = entry;
    const startedMs = this.#clock.now();
    entry.state = "running";
    entry.again = false;
    this.#running += 1;
    this.#startTimes.note(key);
    // A clock that jumped back must not make a histogram throw.
    this.#options.onStart?.(item, Math.max(0, startedMs - entry.readySinceMs));
    let pauseMs = 0;
    try {
      await this.#options.run(item);
      entry.failures = 0;
      this.#totals.completed += 1;
    } catch (error) {
      entry.failures += 1;
      pauseMs = Math.min(retryAfterMs(error), RETRY_AFTER_MAX_MS);
      this.#options.onError(item, error);
    }
    this.#running -= 1;
    this.#options.onDone?.(item, Math.max(0, this.#clock.now() - startedMs), entry.failures > 0);
    this.#settle(key, entry, pauseMs);
    this.#startMore();
    this.#notifyIdle();
  }

  #settle(key: string, entry: Entry<T>, pauseMs: number): void {
    if (this.#stopped || (entry.failures === 0 && !entry.again)) {
      this.#entries.delete(key);
      return;
    }
    if (entry.failures > 0) this.#totals.retries += 1;
    const { backoff = BACKOFF, random = Math.random } = this.#options;
    const floorMs = Math.max(pauseMs, this.#startTimes.restMs(key));
    this.#hold(key, entry, { floorMs, waitMs: Math.max(floorMs, backoffDelayMs(entry.failures, backoff, random)) });
  }

  #notifyIdle(): void {
    if (this.#entries.size > 0) return;
    const waiters = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const resolve of waiters) resolve();
  }
}
