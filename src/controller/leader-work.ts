import type { Leadership } from "../k8s/lease-election.ts";
import { describeError, type Logger } from "../k8s/ports.ts";

/** What only the leader does; made anew for each term, so that nothing of an old term can go on. */
export interface Work {
  start(): Promise<void>;
  /** Final; resolves when nothing is under way. */
  stop(): Promise<void>;
}

export interface LeaderWorkOptions<W extends Work> {
  readonly leadership: Leadership;
  readonly create: () => W;
  readonly log: Logger;
}

/** Starts the work when this replica becomes the leader and stops it the moment it no longer is. */
export class LeaderWork<W extends Work> {
  readonly #options: LeaderWorkOptions<W>;
  #unsubscribe: (() => void) | undefined;
  #work: W | undefined;
  /** Terms follow one another: the next begins when the one before has ended. */
  #turn: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: LeaderWorkOptions<W>) {
    this.#options = options;
  }

  start(): void {
    const { leadership } = this.#options;
    this.#unsubscribe = leadership.onChange((leading) => this.#change(leading));
    if (leadership.isLeader) this.#change(true);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unsubscribe?.();
    this.#change(false);
    await this.#turn;
  }

  /** The work of this term; undefined while another replica leads. */
  get current(): W | undefined {
    return this.#work;
  }

  #change(leading: boolean): void {
    // At once, not in turn: what is queued must not run a moment longer.
    const ending = leading ? undefined : this.#work?.stop();
    if (!leading) this.#work = undefined;
    const before = this.#turn;
    const next = async (): Promise<void> => {
      await Promise.all([before, ending]);
      if (leading) await this.#begin();
    };
    this.#turn = next();
  }

  async #begin(): Promise<void> {
    const { leadership, create, log } = this.#options;
    if (this.#stopped || !leadership.isLeader || this.#work !== undefined) return;
    const work = create();
    this.#work = work;
    try {
      await work.start();
    } catch (error) {
      log.error({ error: describeError(error) }, "work of the leader could not be started");
    }
  }
}
