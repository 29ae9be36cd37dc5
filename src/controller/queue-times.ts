import type { Clock } from "../k8s/ports.ts";

/** What the work queue knows of time. */

/** The longest that setTimeout can wait, 25 days: asked for more, it calls back at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

function after(clock: Clock, delayMs: number, callback: () => void): () => void {
  return clock.after(Math.min(delayMs, TIMER_MAX_MS), callback);
}

/**
 * When each key last started, for as long as that matters: memory is bounded by the keys that started within one
 * interval, and what is over is forgotten at the next start. After a clock that jumped back a key may start once too
 * early, which is better than one that waits for hours.
 */
export class StartTimes {
  readonly #intervalMs: number;
  readonly #clock: Clock;
  /** Oldest first. */
  readonly #startedMs = new Map<string, number>();

  /** An interval of 0 remembers nothing. */
  constructor(intervalMs: number, clock: Clock) {
    this.#intervalMs = intervalMs;
    this.#clock = clock;
  }

  get size(): number {
    return this.#startedMs.size;
  }

  note(key: string): void {
    if (this.#intervalMs <= 0) return;
    this.#startedMs.delete(key);
    this.#startedMs.set(key, this.#clock.now());
    for (const oldest of this.#startedMs.keys()) {
      if (this.restMs(oldest) > 0) return;
      this.#startedMs.delete(oldest);
    }
  }

  /** Milliseconds until the key may start again, 0 when it may. */
  restMs(key: string): number {
    const startedMs = this.#startedMs.get(key);
    if (startedMs === undefined) return 0;
    const elapsedMs = this.#clock.now() - startedMs;
    return elapsedMs < 0 ? 0 : Math.max(0, this.#intervalMs - elapsedMs);
  }
}

export interface WaitTimes {
  readonly waitMs: number;
  /** The part of `waitMs` that news does not shorten. */
  readonly floorMs: number;
}

/** Calls back once, from a timer or from {@link hasten}. */
export class Wait {
  readonly #clock: Clock;
  readonly #floorMs: number;
  readonly #sinceMs: number;
  readonly #over: () => void;
  #isShortened: boolean;
  #cancel: () => void;

  constructor(clock: Clock, { waitMs, floorMs }: WaitTimes, over: () => void) {
    this.#clock = clock;
    this.#floorMs = floorMs;
    this.#sinceMs = clock.now();
    this.#over = over;
    this.#isShortened = waitMs <= floorMs;
    this.#cancel = after(clock, waitMs, over);
  }

  hasten(): void {
    if (this.#isShortened) return;
    this.#isShortened = true;
    this.#cancel();
    // At most the floor, also after a clock that jumped back.
    const restMs = Math.min(this.#floorMs, this.#sinceMs + this.#floorMs - this.#clock.now());
    if (restMs > 0) this.#cancel = after(this.#clock, restMs, this.#over);
    else this.#over();
  }

  cancel(): void {
    this.#cancel();
  }
}

/** One call for each key, at the earliest time that was asked for. */
export class Later {
  readonly #clock: Clock;
  readonly #planned = new Map<string, { readonly atMs: number; readonly cancel: () => void }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#planned.size;
  }

  plan(key: string, delayMs: number, callback: () => void): void {
    const atMs = this.#clock.now() + delayMs;
    const planned = this.#planned.get(key);
    if (planned !== undefined && planned.atMs <= atMs) return;
    planned?.cancel();
    const cancel = after(this.#clock, delayMs, () => {
      this.#planned.delete(key);
      callback();
    });
    this.#planned.set(key, { atMs, cancel });
  }

  clear(): void {
    for (const { cancel } of this.#planned.values()) cancel();
    this.#planned.clear();
  }
}
