import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { LEASE_TIMING } from "../../src/k8s/lease-step.ts";
import { type Fate, Machine, World } from "../controller/lease-simulation.ts";

const RUNS = { numRuns: Number(process.env["PROPERTY_RUNS"] ?? 150) };
vi.setConfig({ testTimeout: 60_000 + 200 * RUNS.numRuns });

/** For how long things go wrong. */
const TROUBLE_MS = 120_000;
/** Clocks may go this much faster or slower, which is a hundred times worse than a bad one. */
const RATE_ERROR = 0.05;
/** The slowest request: it arrives when its sender has long given up, and is obeyed. */
const LATE_MS = 20_000;
/** From the last trouble to a settled leader: the last late write, the lease by the slowest clock, two looks. */
const SETTLED_MS = LATE_MS + (LEASE_TIMING.leaseDurationMs + 3 * LEASE_TIMING.retryPeriodMs) / (1 - RATE_ERROR);

const INCIDENTS = ["pause", "jump", "freeze", "partition", "outage", "touch", "delete", "kill", "stop"] as const;

const incident = fc.record({
  atMs: fc.integer({ min: 0, max: TROUBLE_MS }),
  kind: fc.constantFrom(...INCIDENTS),
  who: fc.nat({ max: 2 }),
  lengthMs: fc.integer({ min: 100, max: 45_000 }),
});
type Incident = typeof incident extends fc.Arbitrary<infer T> ? T : never;

const schedule = fc.record({
  candidates: fc.array(
    fc.record({
      startsAtMs: fc.integer({ min: 0, max: 20_000 }),
      offsetMs: fc.integer({ min: -1_000_000, max: 1_000_000 }),
      rate: fc.double({ min: 1 - RATE_ERROR, max: 1 + RATE_ERROR, noNaN: true }),
    }),
    { minLength: 2, maxLength: 3 },
  ),
  incidents: fc.array(incident, { maxLength: 25 }),
  /** How many of a hundred requests go wrong while there is trouble. */
  faults: fc.nat({ max: 40 }),
  seed: fc.integer({ min: 1 }),
});
type Schedule = typeof schedule extends fc.Arbitrary<infer T> ? T : never;

function xorshift(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

class Trial {
  readonly world = new World();
  readonly machines: readonly Machine[];
  /** Every pause after which a leader was resumed beyond its deadline. */
  resumedLate = 0;
  readonly #random: () => number;
  readonly #faults: number;
  readonly #cutOffUntilMs = new Map<Machine, number>();
  /** Paused for ever, or stopped. At least one is neither. */
  readonly #gone = new Set<Machine>();
  #hasDeleted = false;

  constructor({ candidates, incidents, faults, seed }: Schedule) {
    this.#random = xorshift(seed);
    this.#faults = faults;
    this.machines = candidates.map((options) => new Machine(this.world, { ...options, random: this.#random }));
    this.world.fate = (machine) => this.#fate(machine);
    this.world.check = () => expect(this.world.leaders().length).toBeLessThanOrEqual(1);
    for (const [index, { startsAtMs }] of candidates.entries()) {
      this.world.at(startsAtMs, () => this.machines[index]?.election.start());
    }
    for (const entry of incidents) this.world.at(entry.atMs, () => this.#happen(entry));
  }

  get alive(): readonly Machine[] {
    return this.machines.filter((machine) => !this.#gone.has(machine));
  }

  #happen({ kind, who, lengthMs }: Incident): void {
    const machine = this.machines[who % this.machines.length];
    if (machine === undefined || this.#gone.has(machine)) return;
    if (kind === "pause") this.#pause(machine, lengthMs);
    else if (kind === "jump") this.#jump(machine, lengthMs);
    else if (kind === "freeze") machine.wallClock = () => Date.UTC(2026, 7, 1);
    else if (kind === "partition") this.#cutOffUntilMs.set(machine, this.world.nowMs + lengthMs);
    else if (kind === "outage") for (const each of this.machines) this.#cutOffUntilMs.set(each, this.#end(lengthMs));
    else if (kind === "touch") this.#touch();
    else if (kind === "delete") this.#delete();
    else if (this.alive.length > 1) this.#leave(machine, kind);
  }

  #end(lengthMs: number): number {
    return Math.min(this.world.nowMs + lengthMs, TROUBLE_MS);
  }

  #pause(machine: Machine, lengthMs: number): void {
    if (machine.isPaused) return;
    const fromMs = machine.elapsedMs();
    const wasLeader = machine.election.isLeader;
    machine.pause();
    this.world.at(this.#end(lengthMs), () => {
      if (this.#gone.has(machine)) return;
      if (machine.elapsedMs() - fromMs >= LEASE_TIMING.renewDeadlineMs) {
        expect(machine.election.isLeader).toBe(false);
        if (wasLeader) this.resumedLate += 1;
      }
      machine.resume(this.#random);
    });
  }

  #jump(machine: Machine, lengthMs: number): void {
    const before = machine.wallClock;
    const byMs = (this.#random() < 0.5 ? -100 : 100) * lengthMs;
    machine.wallClock = () => before() + byMs;
  }

  /** Somebody else writes the Lease, and leaves its holder. */
  #touch(): void {
    const { store } = this.world;
    if (store.lease === undefined) return;
    const spec = store.lease.spec;
    store.put({ ...spec, acquireTime: `${spec.acquireTime}+` });
  }

  /** Once, and only when all know it: a candidate that finds no Lease at its first look makes one at once. */
  #delete(): void {
    const knownSinceMs = Math.max(...this.machines.map(({ knowsSinceMs }) => knowsSinceMs));
    if (this.#hasDeleted || this.world.nowMs - knownSinceMs <= LATE_MS) return;
    if (this.world.store.lease === undefined) return;
    this.#hasDeleted = true;
    this.world.store.delete();
  }

  #leave(machine: Machine, kind: "kill" | "stop"): void {
    this.#gone.add(machine);
    if (kind === "kill") machine.pause();
    else void machine.election.stop();
  }

  #fate(machine: Machine): Fate {
    const delay = (maxMs: number): number => Math.ceil(this.#random() * maxMs);
    const prompt: Fate = { upMs: delay(40), downMs: delay(40), outcome: "ok" };
    if (this.world.nowMs >= TROUBLE_MS) return prompt;
    if (this.world.nowMs < (this.#cutOffUntilMs.get(machine) ?? 0)) return { ...prompt, outcome: "lost" };
    if (this.#random() * 100 >= this.#faults) return prompt;
    const outcome = (["ok", "ok", "lost", "answer lost", 409, 500] as const)[Math.floor(this.#random() * 6)];
    return { upMs: delay(LATE_MS), downMs: delay(8_000), outcome: outcome ?? "ok" };
  }
}

describe("leader election consistency", () => {
  test("never two leaders at one instant, whatever happens; and exactly one, for good, when it is over", async () => {
    const seen = { takeovers: 0, resumedLate: 0 };
    await fc.assert(
      fc.asyncProperty(schedule, async (input) => {
        const trial = new Trial(input);
        await trial.world.until(TROUBLE_MS + SETTLED_MS);
        const leaders = trial.world.leaders();
        expect(leaders).toHaveLength(1);
        expect(trial.alive.map(({ election }) => election.identity)).toContain(leaders[0]);
        const gained = trial.machines.map(({ election }) => election.transitions.gained);
        await trial.world.until(TROUBLE_MS + SETTLED_MS + 60_000);
        expect(trial.world.leaders()).toEqual(leaders);
        expect(trial.machines.map(({ election }) => election.transitions.gained)).toEqual(gained);
        for (const { heard } of trial.alive) {
          expect(heard).toEqual(heard.map((_, index) => index % 2 === 0));
        }
        seen.takeovers += gained.reduce((sum, count) => sum + count, 0) - 1;
        seen.resumedLate += trial.resumedLate;
      }),
      RUNS,
    );
    // Otherwise the schedules would show nothing.
    expect(seen.takeovers).toBeGreaterThan(RUNS.numRuns);
    expect(seen.resumedLate).toBeGreaterThan(RUNS.numRuns / 50);
  });
});
