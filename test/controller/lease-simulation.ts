import { setImmediate } from "node:timers/promises";
import { ApiError } from "../../src/k8s/api-error.ts";
import type { Lease, LeaseRequest, LeaseSpec } from "../../src/k8s/lease.ts";
import { LeaseElection } from "../../src/k8s/lease-election.ts";
import { LEASE_TIMING, type LeaseTiming } from "../../src/k8s/lease-step.ts";
import type { Random } from "../../src/k8s/ports.ts";

/** What becomes of one request. Without any of these it arrives after `upMs`, and its answer after `downMs` more. */
export interface Fate {
  readonly upMs: number;
  readonly downMs: number;
  readonly outcome: "ok" | "lost" | "answer lost" | 409 | 500;
}

const PROMPT: Fate = { upMs: 5, downMs: 5, outcome: "ok" };

interface Event {
  readonly atMs: number;
  readonly run: () => void;
}

/** Time, a Lease as the API server keeps it, and machines that share nothing else. */
export class World {
  nowMs = 0;
  readonly store = new Store();
  readonly machines: Machine[] = [];
  fate: (machine: Machine) => Fate = () => PROMPT;
  /** Called when nothing is under way at an instant. */
  check: () => void = () => {};
  readonly #events = new Set<Event>();

  at(atMs: number, run: () => void): () => void {
    const event = { atMs: Math.max(atMs, this.nowMs), run };
    this.#events.add(event);
    return () => this.#events.delete(event);
  }

  /** Runs all that is due up to then, each thing to its end. */
  async until(atMs: number): Promise<void> {
    await this.settle();
    for (let next = this.#next(); next !== undefined && next.atMs <= atMs; next = this.#next()) {
      this.#events.delete(next);
      this.nowMs = next.atMs;
      next.run();
      await this.settle();
    }
    this.nowMs = atMs;
    this.check();
  }

  async settle(): Promise<void> {
    await setImmediate();
    this.check();
  }

  leaders(): readonly string[] {
    return this.machines.filter(({ election }) => election.isLeader).map(({ election }) => election.identity);
  }

  #next(): Event | undefined {
    let first: Event | undefined;
    for (const event of this.#events) if (first === undefined || event.atMs < first.atMs) first = event;
    return first;
  }
}

/** Optimistic concurrency as the API server has it: versions rise, and a write that changes nothing gets no new one. */
class Store {
  lease: Lease | undefined;
  /** What was accepted, oldest first. */
  readonly written: LeaseSpec[] = [];
  #version = 0;

  create(spec: LeaseSpec): Lease {
    if (this.lease !== undefined) throw apiError(409);
    return this.put(spec);
  }

  replace(read: Lease, change: LeaseSpec): Lease {
    if (this.lease?.resourceVersion !== read.resourceVersion) throw apiError(409);
    return this.put({ ...read.spec, ...change });
  }

  /** What a person does with kubectl. */
  put(spec: LeaseSpec): Lease {
    if (this.lease !== undefined && JSON.stringify(this.lease.spec) === JSON.stringify(spec)) return this.lease;
    this.#version += 1;
    this.written.push(spec);
    this.lease = { spec, resourceVersion: String(this.#version), object: {} };
    return this.lease;
  }

  delete(): void {
    this.lease = undefined;
  }
}

interface MachineOptions {
  readonly identity?: string;
  readonly timing?: LeaseTiming;
  readonly random?: Random;
  /** What its monotonic clock shows at the start. */
  readonly offsetMs?: number;
  /** Its own milliseconds in one of the world. */
  readonly rate?: number;
  /** By how much its timers come late. */
  readonly lateMs?: number;
}

/** A process with clocks of its own that takes part in the election. Timers and answers wait while it is paused. */
export class Machine {
  readonly election: LeaseElection;
  readonly heard: boolean[] = [];
  readonly logged: string[] = [];
  /** When it asked something of the API server, by the time of the world. */
  readonly askedAtMs: number[] = [];
  wallClock: () => number;
  /** When it first heard of a Lease, by the time of the world. */
  knowsSinceMs = Number.POSITIVE_INFINITY;
  #isPaused = false;
  #backlog: (() => void)[] = [];
  readonly #world: World;
  readonly #rate: number;
  readonly #offsetMs: number;
  readonly #lateMs: number;

  constructor(world: World, options: MachineOptions = {}) {
    this.#world = world;
    this.#rate = options.rate ?? 1;
    this.#offsetMs = options.offsetMs ?? 0;
    this.#lateMs = options.lateMs ?? 0;
    this.wallClock = () => Date.UTC(2026, 7, 1) + world.nowMs;
    const log = (_: object, message: string): void => {
      this.logged.push(message);
    };
    this.election = new LeaseElection({
      identity: options.identity ?? `candidate-${world.machines.length + 1}`,
      timing: options.timing ?? LEASE_TIMING,
      random: options.random ?? (() => 0.5),
      log: { debug: log, info: log, warn: log, error: log },
      clock: { elapsedMs: () => this.elapsedMs(), after: (delayMs, callback) => this.#after(delayMs, callback) },
      wallClock: { now: () => this.wallClock() },
      lease: {
        namespace: "fairlead",
        name: "fairlead-controller",
        read: (request) => this.#ask(() => world.store.lease, request),
        create: (spec, request) => this.#ask(() => world.store.create(spec), request),
        replace: (read, change, request) => this.#ask(() => world.store.replace(read, change), request),
      },
    });
    this.election.onChange((leading) => this.heard.push(leading));
    world.machines.push(this);
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  elapsedMs(): number {
    return this.#offsetMs + this.#world.nowMs * this.#rate;
  }

  /** SIGSTOP. */
  pause(): void {
    this.#isPaused = true;
  }

  /** SIGCONT: what has come meanwhile is taken in any order, as the event loop may. */
  resume(random: Random): void {
    this.#isPaused = false;
    const backlog = this.#backlog.map((run) => ({ run, rank: random() })).sort((a, b) => a.rank - b.rank);
    this.#backlog = [];
    for (const { run } of backlog) this.#world.at(this.#world.nowMs, () => this.#deliver(run));
  }

  #deliver(run: () => void): void {
    if (this.#isPaused) this.#backlog.push(run);
    else run();
  }

  #after(delayMs: number, callback: () => void): () => void {
    let isCancelled = false;
    const cancel = this.#world.at(this.#world.nowMs + delayMs / this.#rate + this.#lateMs, () =>
      this.#deliver(() => {
        if (!isCancelled) callback();
      }),
    );
    return () => {
      isCancelled = true;
      cancel();
    };
  }

  #ask<T>(act: () => T, request: LeaseRequest): Promise<T> {
    const world = this.#world;
    const { upMs, downMs, outcome } = world.fate(this);
    this.askedAtMs.push(world.nowMs);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const cancel = this.#after(request.timeoutMs, () => reject(new Error(`no answer within ${request.timeoutMs} ms`)));
    request.signal?.addEventListener("abort", () => reject(request.signal?.reason as Error));
    const answer = (give: () => void): void => {
      if (outcome !== "answer lost") world.at(world.nowMs + downMs, () => this.#deliver(give));
    };
    world.at(world.nowMs + upMs, () => {
      if (outcome === "lost") return;
      try {
        if (typeof outcome === "number") throw apiError(outcome);
        const result = act();
        answer(() => {
          if (result !== undefined) this.knowsSinceMs = Math.min(this.knowsSinceMs, world.nowMs);
          resolve(result);
        });
      } catch (error) {
        answer(() => reject(error));
      }
    });
    return promise.finally(cancel);
  }
}

function apiError(status: number): ApiError {
  return new ApiError({ status, reason: "", message: `answered ${status}`, retryAfterSeconds: undefined });
}
