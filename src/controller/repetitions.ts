import type { Clock } from "../k8s/ports.ts";

/**
 * Against a tool that undoes every write at once, an undamped loop was measured at a hundred writes a second. One and
 * the same write so often in this time means that somebody undoes it; policies that change quickly want another write
 * each time.
 */
const SAME_WRITES_MAX = 5;
const SAME_WRITES_WINDOW_MS = 30_000;

/** One and the same write to one target. */
interface Repetition {
  readonly write: string;
  readonly sinceMs: number;
  count: number;
  /** Set while the target waits for the end of the window. */
  cancelWait?: () => void;
}

export interface TooMany {
  readonly count: number;
  /** Length of the window. */
  readonly seconds: number;
  /** True the first time that this is told about the window. */
  readonly isNew: boolean;
}

/** Counts writes that say the same, and tells when there were too many in a short time. */
export class Repetitions {
  readonly #clock: Clock;
  readonly #byTarget = new Map<string, Repetition>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  count(target: string, write: string): void {
    const repetition = this.#byTarget.get(target);
    if (repetition?.write === write && !this.#isOver(repetition.sinceMs)) repetition.count += 1;
    else this.#byTarget.set(target, { write, sinceMs: this.#clock.now(), count: 1 });
  }

  /** Undefined: write it. Else `again` is called once, at the end of the window. */
  tooMany(target: string, write: string, again: () => void): TooMany | undefined {
    const repetition = this.#byTarget.get(target);
    if (repetition === undefined || repetition.write !== write) return undefined;
    if (repetition.count < SAME_WRITES_MAX || this.#isOver(repetition.sinceMs)) return undefined;
    const isNew = repetition.cancelWait === undefined;
    if (isNew) {
      const waitMs = repetition.sinceMs + SAME_WRITES_WINDOW_MS - this.#clock.now();
      repetition.cancelWait = this.#clock.after(waitMs, again);
    }
    return { count: repetition.count, seconds: SAME_WRITES_WINDOW_MS / 1_000, isNew };
  }

  /** So that targets which are gone do not stay in memory. */
  forgetOld(): void {
    for (const [target, { sinceMs }] of this.#byTarget) if (this.#isOver(sinceMs)) this.#byTarget.delete(target);
  }

  stop(): void {
    for (const { cancelWait } of this.#byTarget.values()) cancelWait?.();
  }

  #isOver(sinceMs: number): boolean {
    return this.#clock.now() - sinceMs >= SAME_WRITES_WINDOW_MS;
  }
}
