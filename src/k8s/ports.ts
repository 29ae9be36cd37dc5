/** What this folder takes from outside, so that tests decide about time, chance and output. */

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls back once; the returned function cancels. */
  after(delayMs: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

/** A number from 0 up to, not including, 1. */
export type Random = () => number;

/** The part of a pino logger that is used: constant message, data in fields. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface Backoff {
  readonly baseMs: number;
  readonly capMs: number;
}

/** Doubles with each failure in a row, up to the cap; half of it is jitter, so that replicas do not come back together. */
export function backoffDelayMs(failures: number, backoff: Backoff, random: Random): number {
  if (failures <= 0) return 0;
  const full = Math.min(backoff.capMs, backoff.baseMs * 2 ** Math.min(failures - 1, 30));
  return full / 2 + (full / 2) * random();
}

/** A pause that can be cut short. */
export class Pause {
  readonly #clock: Clock;
  #wake: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async wait(delayMs: number): Promise<void> {
    if (delayMs <= 0) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.after(delayMs, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
    this.#wake = undefined;
  }

  cut(): void {
    this.#wake?.();
  }
}

/** Longer texts are cut: an API server may quote a whole object in its answer. */
const ERROR_LENGTH_MAX = 500;

/** One line for logs; the code of a network error is often in the cause alone, what failed of many in its errors. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error).slice(0, ERROR_LENGTH_MAX);
  const inner = error instanceof AggregateError ? error.errors : [error.cause];
  const causes = inner.filter((cause) => cause instanceof Error).map((cause) => cause.message);
  const words = causes.filter((cause) => !error.message.includes(cause));
  const text = [error.message, ...new Set(words)].filter((part) => part !== "").join(": ");
  return text.slice(0, ERROR_LENGTH_MAX);
}
