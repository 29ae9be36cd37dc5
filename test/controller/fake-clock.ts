import type { Clock } from "../../src/k8s/ports.ts";

/** Time that moves only when it is told to. */
export class FakeClock implements Clock {
  #now: number;
  #timers: { at: number; callback: () => void }[] = [];

  constructor(startMs = 0) {
    this.#now = startMs;
  }

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

  /** Delays of the timers that are set, in the order in which they were set. */
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

  /** Moves time on, and every timer that comes due rings when it is due. */
  advance(ms: number): void {
    const until = this.#now + ms;
    while (this.#timers.some((timer) => timer.at <= until)) this.next();
    this.#now = until;
  }

  /** The clock is set; timers do not notice. */
  jump(ms: number): void {
    this.#now += ms;
    for (const timer of this.#timers) timer.at += ms;
  }
}
