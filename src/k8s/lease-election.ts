import { ApiError } from "./api-error.ts";
import { type Lease, type LeaseClient, type LeaseSpec, microTime } from "./lease.ts";
import {
  electionStep,
  LEASE_TIMING,
  leaseSeconds,
  type LeaseTiming,
  leaseTimingProblem,
  RETRY_JITTER,
} from "./lease-step.ts";
import { type Clock, describeError, type Logger, type Random, systemClock } from "./ports.ts";

/** Who may write. */
export interface Leadership {
  /** Asked before every write. */
  readonly isLeader: boolean;
  /** Calls back at each change, with what it is now; the returned function ends that. */
  onChange(listener: (leading: boolean) => void): () => void;
}

/** Time that only goes forward, at its own pace, whatever is done to the clock of the wall. */
export interface MonotonicClock {
  /** Milliseconds since some moment. It goes on while the process is stopped. */
  elapsedMs(): number;
  /** Calls back once; the returned function cancels. */
  after(delayMs: number, callback: () => void): () => void;
}

export const monotonicClock: MonotonicClock = {
  elapsedMs: () => performance.now(),
  after: (delayMs, callback) => systemClock.after(delayMs, callback),
};

export interface LeaseElectionOptions {
  readonly lease: Pick<LeaseClient, "namespace" | "name" | "read" | "create" | "replace">;
  /** No other process may ever use it: with the name of the pod goes something random. */
  readonly identity: string;
  readonly timing?: LeaseTiming;
  readonly log: Logger;
  readonly clock?: MonotonicClock;
  /** For the times in the Lease, which only people read. */
  readonly wallClock?: Pick<Clock, "now">;
  readonly random?: Random;
}

/** Of the retry period: the least pause before another attempt, where one took longer than the period. */
const PAUSE_MIN = 0.1;
/** A write of ours that was cut off may still arrive and make the release a conflict; there is at most one. */
const RELEASES_MAX = 3;

/**
 * Leader election over a Lease, as client-go does it. Of several candidates at most one has `isLeader` at any instant:
 * a leader gives up one renew deadline after it sent its last successful renewal, others take over one lease duration
 * after they saw a renewal, and of two that write at once the API server refuses one. Two things no election can
 * prevent: a person who gives the Lease to another under a running leader (it notices within a retry period, and a new
 * candidate that finds the Lease deleted cannot know that there was one), and a write that was sent by a leader and
 * arrives late. That is why every write also carries the resourceVersion that it was planned for.
 */
export class LeaseElection implements Leadership {
  readonly identity: string;
  /** Since the start: how often leadership was gained and lost. */
  readonly transitions = { gained: 0, lost: 0 };
  readonly #options: LeaseElectionOptions;
  readonly #timing: LeaseTiming;
  readonly #clock: MonotonicClock;
  readonly #listeners = new Set<(leading: boolean) => void>();
  readonly #stop = new AbortController();
  #leadsUntilMs = Number.NEGATIVE_INFINITY;
  /** What the listeners were told last. */
  #told = false;
  /** The Lease as last seen, and since when it is so; undefined before the first look. */
  #seen: { readonly lease: Lease | undefined; readonly sinceMs: number } | undefined;
  /** What was seen is our own last write: it is renewed without reading, and a conflict tells when it has changed. */
  #seenIsOurs = false;
  /** A write of ours was sent, and no other holder was seen since. */
  #mayHold = false;
  #writes = 0;
  #isFailing = false;
  #attempt: Promise<void> | undefined;
  #end: Promise<void> | undefined;
  #cancelRetry = (): void => {};
  #cancelDeadline = (): void => {};

  /** Throws what {@link leaseTimingProblem} finds. */
  constructor(options: LeaseElectionOptions) {
    this.#options = options;
    this.identity = options.identity;
    this.#timing = options.timing ?? LEASE_TIMING;
    this.#clock = options.clock ?? monotonicClock;
    const problem = leaseTimingProblem(this.#timing);
    if (problem !== undefined) throw new Error(problem);
    if (this.identity !== "") return;
    throw new Error(
      "Found an empty identity, wanted one of this process, as an empty one is nobody's: name the pod or the host",
    );
  }

  /**
   * Computed from the clock at the moment of asking: a process that was stopped beyond its deadline does not lead from
   * its first instruction on, before any timer of it has fired.
   */
  get isLeader(): boolean {
    return !this.#stop.signal.aborted && this.#clock.elapsedMs() < this.#leadsUntilMs;
  }

  onChange(listener: (leading: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  start(): void {
    if (this.#attempt === undefined && !this.#stop.signal.aborted) this.#attempt = this.#run();
  }

  /**
   * Final: leads no more at once, then hands the Lease over, so that the next leader need not wait for it to expire.
   * End all writes first. Resolves also when the API server cannot be reached.
   */
  async stop(): Promise<void> {
    if (!this.#stop.signal.aborted) {
      this.#stop.abort(new Error("the election was stopped"));
      this.#cancelRetry();
      this.#give();
      this.#end = Promise.resolve(this.#attempt).then(() => this.#release());
    }
    await this.#end;
  }

  /** One attempt; at its end the next one is set. */
  async #run(): Promise<void> {
    const startedAtMs = this.#clock.elapsedMs();
    const { retryPeriodMs } = this.#timing;
    let nextAtMs = startedAtMs + retryPeriodMs * (1 + RETRY_JITTER * (this.#options.random ?? Math.random)());
    try {
      let outcome = await this.#tryOnce();
      if (outcome === "conflict") outcome = await this.#tryOnce();
      if (typeof outcome === "number") nextAtMs = Math.min(nextAtMs, outcome);
      this.#noteSuccess();
    } catch (error) {
      this.#noteFailure(error);
    }
    if (this.#stop.signal.aborted) return;
    const pauseMs = Math.max(retryPeriodMs * PAUSE_MIN, nextAtMs - this.#clock.elapsedMs());
    this.#cancelRetry = this.#clock.after(Math.ceil(pauseMs), () => {
      this.#attempt = this.#run();
    });
  }

  /** Resolves with the moment at which another's Lease expires, when there is nothing to do before it. */
  async #tryOnce(): Promise<number | "done" | "conflict"> {
    const { lease, sinceMs } = await this.#look();
    const { identity, isLeader } = this;
    const candidate = { identity, isLeader, leaseDurationMs: this.#timing.leaseDurationMs };
    const sentAtMs = this.#clock.elapsedMs();
    const step = electionStep({ spec: lease?.spec, sinceMs }, candidate, sentAtMs);
    if (step.kind === "wait") return step.untilMs;
    this.#seenIsOurs = false;
    this.#mayHold = true;
    try {
      const written = await this.#write(lease);
      this.#seen = { lease: written, sinceMs: this.#clock.elapsedMs() };
      this.#seenIsOurs = true;
      this.#lead(sentAtMs);
      return "done";
    } catch (error) {
      if (isConflict(error)) return "conflict";
      throw error;
    }
  }

  /** The Lease as it is now, from the API server unless the last write to it was ours. */
  async #look(): Promise<{ readonly lease: Lease | undefined; readonly sinceMs: number }> {
    if (this.#seen !== undefined && this.#seenIsOurs) return this.#seen;
    const lease = await this.#options.lease.read(this.#request());
    this.#stop.signal.throwIfAborted();
    const before = this.#seen;
    if (before === undefined || before.lease?.resourceVersion !== lease?.resourceVersion) {
      const isFirstLook = before === undefined && lease === undefined;
      this.#seen = { lease, sinceMs: isFirstLook ? Number.NEGATIVE_INFINITY : this.#clock.elapsedMs() };
    }
    const holder = lease?.spec.holderIdentity;
    if (lease !== undefined && holder !== this.identity) {
      this.#mayHold = false;
      this.#give();
      if (holder && holder !== before?.lease?.spec.holderIdentity) this.#info({ holder }, "lease held by another");
    }
    return this.#seen ?? { lease, sinceMs: this.#clock.elapsedMs() };
  }

  /**
   * The microseconds count the writes. Two renewals at the same time by the clock of the wall would else be equal, and
   * the API server gives no new resourceVersion to a write that changes nothing: others would not see it.
   */
  #write(lease: Lease | undefined): Promise<Lease> {
    this.#writes += 1;
    const renewTime = microTime((this.#options.wallClock ?? systemClock).now(), this.#writes % 1000);
    const leaseDurationSeconds = leaseSeconds(this.#timing.leaseDurationMs);
    const change: LeaseSpec = { holderIdentity: this.identity, leaseDurationSeconds, renewTime };
    if (lease === undefined) {
      return this.#options.lease.create({ ...change, acquireTime: renewTime, leaseTransitions: 0 }, this.#request());
    }
    if (lease.spec.holderIdentity === this.identity) {
      return this.#options.lease.replace(lease, change, this.#request());
    }
    const leaseTransitions = (lease.spec.leaseTransitions ?? 0) + 1;
    return this.#options.lease.replace(lease, { ...change, acquireTime: renewTime, leaseTransitions }, this.#request());
  }

  /** A renewal that was sent then has succeeded. If the earlier ones had lapsed, the listeners hear of that first. */
  #lead(sentAtMs: number): void {
    this.#tell();
    this.#leadsUntilMs = sentAtMs + this.#timing.renewDeadlineMs;
    this.#watchDeadline();
  }

  #give(): void {
    this.#cancelDeadline();
    this.#leadsUntilMs = Number.NEGATIVE_INFINITY;
    this.#tell();
  }

  /** A timer may fire a little early by another clock. */
  #watchDeadline(): void {
    this.#cancelDeadline();
    this.#tell();
    if (!this.isLeader) return;
    const leftMs = this.#leadsUntilMs - this.#clock.elapsedMs();
    this.#cancelDeadline = this.#clock.after(Math.ceil(leftMs), () => this.#watchDeadline());
  }

  #tell(): void {
    const leading = this.isLeader;
    if (leading === this.#told) return;
    this.#told = leading;
    this.transitions[leading ? "gained" : "lost"] += 1;
    this.#info({}, leading ? "leadership gained" : "leadership lost");
    for (const listener of this.#listeners) {
      try {
        listener(leading);
      } catch (error) {
        this.#options.log.error({ leading, error: describeError(error) }, "leadership listener failed");
      }
      // A listener may have stopped the election: the others have heard that already.
      if (this.#told !== leading) return;
    }
  }

  async #release(): Promise<void> {
    if (!this.#mayHold) return;
    const request = { timeoutMs: this.#request().timeoutMs };
    for (let attempt = 1; ; attempt += 1) {
      try {
        const lease = await this.#options.lease.read(request);
        if (lease?.spec.holderIdentity !== this.identity) return;
        await this.#options.lease.replace(lease, { holderIdentity: "" }, request);
        return this.#info({}, "lease released");
      } catch (error) {
        if (isConflict(error) && attempt < RELEASES_MAX) continue;
        const fields = { ...this.#fields(), error: describeError(error) };
        return this.#options.log.warn(fields, "lease not released: the next leader waits until it expires");
      }
    }
  }

  /** Half of the deadline, so that one request without an answer does not cost the leadership (controller-runtime's choice). */
  #request(): { readonly timeoutMs: number; readonly signal: AbortSignal } {
    return { timeoutMs: this.#timing.renewDeadlineMs / 2, signal: this.#stop.signal };
  }

  #noteSuccess(): void {
    if (this.#isFailing) this.#info({}, "lease reached again");
    this.#isFailing = false;
  }

  #noteFailure(error: unknown): void {
    if (this.#stop.signal.aborted || this.#isFailing) return;
    this.#isFailing = true;
    this.#options.log.warn({ ...this.#fields(), error: describeError(error) }, "lease not reached");
  }

  #info(fields: object, message: string): void {
    this.#options.log.info({ ...this.#fields(), ...fields }, message);
  }

  #fields(): object {
    const { namespace, name } = this.#options.lease;
    return { lease: `${namespace}/${name}`, identity: this.identity };
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof ApiError && error.status === 409;
}
