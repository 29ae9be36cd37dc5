import { type Backoff, backoffDelayMs, type Clock, describeError, type Logger, Pause, type Random } from "./ports.ts";

export interface RefillOptions {
  /** Lists what the namespace is missing and stores it; throws when it could not. */
  readonly fill: (namespace: string, signal: AbortSignal) => Promise<void>;
  /** Called after a success, when `has` is false again. */
  readonly filled: (namespace: string) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly backoff: Backoff;
}

/** Namespaces whose objects must be listed again, one after the other; one that fails goes to the end of the line. */
export class Refill {
  readonly #options: RefillOptions;
  readonly #pause: Pause;
  /** The value is a new one for each request: a namespace that was asked for again while it was filled stays pending. */
  readonly #pending = new Map<string, symbol>();
  readonly #abort = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: RefillOptions) {
    this.#options = options;
    this.#pause = new Pause(options.clock);
  }

  request(namespace: string): void {
    if (this.#abort.signal.aborted) return;
    this.#pending.set(namespace, Symbol(namespace));
    this.#running ??= this.#run();
  }

  cancel(namespace: string): void {
    this.#pending.delete(namespace);
  }

  /** True until the namespace was filled. */
  has(namespace: string): boolean {
    return this.#pending.has(namespace);
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#pending.clear();
    this.#pause.cut();
    await this.#running;
  }

  async #run(): Promise<void> {
    let failures = 0;
    for (;;) {
      const [next] = this.#pending;
      if (next === undefined) break;
      const [namespace, request] = next;
      try {
        await this.#options.fill(namespace, this.#abort.signal);
        failures = 0;
        if (this.#pending.get(namespace) !== request) continue;
        this.#pending.delete(namespace);
        this.#options.filled(namespace);
      } catch (error) {
        if (this.#abort.signal.aborted) break;
        failures += 1;
        this.#options.log.warn({ namespace, error: describeError(error) }, "namespace could not be listed");
        const latest = this.#pending.get(namespace);
        this.#pending.delete(namespace);
        if (latest !== undefined) this.#pending.set(namespace, latest);
        await this.#pause.wait(backoffDelayMs(failures, this.#options.backoff, this.#options.random));
      }
    }
    this.#running = undefined;
  }
}
