import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { microTime } from "../../src/k8s/lease.ts";
import {
  type Candidate,
  electionStep,
  type ElectionStep,
  LEASE_TIMING,
  leaseTimingProblem,
  type Observation,
} from "../../src/k8s/lease-step.ts";
import { type Fate, Machine, World } from "./lease-simulation.ts";

const ME: Candidate = { identity: "me", leaseDurationMs: 15_000, isLeader: false };
const SHORT = { leaseDurationMs: 1_500, renewDeadlineMs: 1_000, retryPeriodMs: 200 };

/** One leader, or as many candidates as wanted of which the first leads. */
async function settled(count = 1, timing = LEASE_TIMING): Promise<{ world: World; machines: readonly Machine[] }> {
  const world = new World();
  const machines = Array.from({ length: count }, () => new Machine(world, { timing }));
  for (const machine of machines) {
    machine.election.start();
    await world.until(world.nowMs + 50);
  }
  expect(world.leaders()).toEqual(["candidate-1"]);
  return { world, machines };
}

/** The machines of {@link settled}, by name. */
async function pair(timing = LEASE_TIMING): Promise<{ world: World; leader: Machine; other: Machine }> {
  const { world, machines } = await settled(2, timing);
  const [leader, other] = machines;
  if (leader === undefined || other === undefined) throw new Error("Want two machines");
  return { world, leader, other };
}

async function alone(): Promise<{ world: World; leader: Machine }> {
  const { world, machines } = await settled();
  const [leader] = machines;
  if (leader === undefined) throw new Error("Want a machine");
  return { world, leader };
}

/** A leader until 10,010 ms whose timer for that comes 50 ms late, and whose renewal is answered between the two. */
async function renewedLate(): Promise<{ world: World; machine: Machine }> {
  const world = new World();
  const machine = new Machine(world, { lateMs: 50 });
  machine.election.start();
  await world.until(1_000);
  world.fate = fate("lost");
  await world.until(7_000);
  let requests = 0;
  world.fate = () => {
    requests += 1;
    const isLook = requests === 1;
    return { upMs: 5, downMs: isLook ? 5 : 10_030 - world.nowMs - 5, outcome: "ok" };
  };
  await world.until(10_009);
  expect(machine.heard).toEqual([true]);
  return { world, machine };
}

function fate(outcome: Fate["outcome"]): () => Fate {
  return () => ({ upMs: 5, downMs: 5, outcome });
}

describe("electionStep()", () => {
  const spec = (holderIdentity: string, leaseDurationSeconds = 15) => ({ holderIdentity, leaseDurationSeconds });
  const none = { spec: undefined };
  const rows: readonly { about: string; seen: Observation; candidate?: Partial<Candidate>; step: ElectionStep }[] = [
    {
      about: "creates a Lease that never was there",
      seen: { ...none, sinceMs: Number.NEGATIVE_INFINITY },
      step: { kind: "acquire" },
    },
    {
      about: "creates its own Lease again when it was deleted",
      seen: { ...none, sinceMs: 999 },
      candidate: { isLeader: true },
      step: { kind: "acquire" },
    },
    {
      about: "leaves another's deleted Lease alone for the lease duration",
      seen: { ...none, sinceMs: 999 },
      step: { kind: "wait", untilMs: 15_999 },
    },
    {
      about: "creates another's deleted Lease after that",
      seen: { ...none, sinceMs: -14_000 },
      step: { kind: "acquire" },
    },
    { about: "takes a Lease without holder", seen: { spec: {}, sinceMs: 999 }, step: { kind: "acquire" } },
    { about: "takes a released Lease", seen: { spec: spec(""), sinceMs: 999 }, step: { kind: "acquire" } },
    {
      about: "renews its own, however old it is",
      seen: { spec: spec("me"), sinceMs: -99_999 },
      step: { kind: "renew" },
    },
    {
      about: "waits for another's to expire",
      seen: { spec: spec("you"), sinceMs: 900 },
      step: { kind: "wait", untilMs: 15_900 },
    },
    {
      about: "takes another's at the very end of the lease duration",
      seen: { spec: spec("you"), sinceMs: -14_000 },
      step: { kind: "acquire" },
    },
    {
      about: "gives a holder with another lease duration that one",
      seen: { spec: spec("you", 60), sinceMs: 900 },
      step: { kind: "wait", untilMs: 60_900 },
    },
    {
      about: "gives a holder without a lease duration its own",
      seen: { spec: { holderIdentity: "you" }, sinceMs: 900 },
      step: { kind: "wait", untilMs: 15_900 },
    },
    {
      about: "gives a holder with the same lease duration exactly that, where the API holds it rounded up",
      seen: { spec: spec("you", 2), sinceMs: 900 },
      candidate: { leaseDurationMs: 1_500 },
      step: { kind: "wait", untilMs: 2_400 },
    },
  ];
  test.each(rows)("$about", ({ seen, candidate, step }) => {
    expect(electionStep(seen, { ...ME, ...candidate }, 1_000)).toEqual(step);
  });

  test("leader election consistency: never takes from a holder that was seen to write within the lease duration", () => {
    const times = fc.array(fc.constantFrom("", "1970-01-01T00:00:00.000000Z", "9999-01-01T00:00:00.000000Z"), {
      minLength: 2,
      maxLength: 2,
    });
    const now = fc.integer({ min: -1_000_000, max: 1_000_000 });
    fc.assert(
      fc.property(now, fc.nat({ max: 14_999 }), times, (nowMs, agoMs, [renewTime = "", acquireTime = ""]) => {
        const held = { ...spec("you"), renewTime, acquireTime };
        const sinceMs = nowMs - agoMs;
        const step = electionStep({ spec: held, sinceMs }, ME, nowMs);
        expect(step).toEqual({ kind: "wait", untilMs: sinceMs + 15_000 });
        expect(electionStep({ spec: held, sinceMs }, ME, sinceMs + 15_000)).toEqual({ kind: "acquire" });
      }),
    );
  });
});

describe("leaseTimingProblem()", () => {
  const rows = [
    { timing: {}, problem: undefined },
    { timing: SHORT, problem: undefined },
    {
      timing: { leaseDurationMs: 10_000 },
      problem:
        "Found lease duration 10000 ms and renew deadline 10000 ms, wanted a duration longer than the deadline, so that a leader stops before another one starts: raise the duration or lower the deadline",
    },
    {
      timing: { renewDeadlineMs: 2_400 },
      problem:
        "Found renew deadline 2400 ms and retry period 2000 ms, wanted a deadline longer than 2400 ms (the period and its jitter), so that a renewal comes in time: raise the deadline or lower the period",
    },
    {
      timing: { retryPeriodMs: 0 },
      problem:
        "Found lease duration 15000 ms, renew deadline 10000 ms, retry period 0 ms, wanted positive times: give each at least 1 ms",
    },
    {
      timing: { leaseDurationMs: Number.NaN },
      problem:
        "Found lease duration NaN ms, renew deadline 10000 ms, retry period 2000 ms, wanted positive times: give each at least 1 ms",
    },
  ];
  test.each(rows)("$timing: $problem", ({ timing, problem }) => {
    const whole = { ...LEASE_TIMING, ...timing };
    expect(leaseTimingProblem(whole)).toBe(problem);
    if (problem !== undefined) expect(() => new Machine(new World(), { timing: whole })).toThrow(problem);
  });
});

test("an identity is wanted", () => {
  const problem =
    "Found an empty identity, wanted one of this process, as an empty one is nobody's: name the pod or the host";
  expect(() => new Machine(new World(), { identity: "" })).toThrow(problem);
});

test("microTime() has six digits", () => {
  expect(microTime(Date.UTC(2026, 7, 1, 12, 0, 0, 45), 7)).toBe("2026-08-01T12:00:00.045007Z");
});

describe("LeaseElection", () => {
  test("creates the Lease, leads, and renews each retry period and a little jitter", async () => {
    const { world, leader } = await alone();
    expect(leader.heard).toEqual([true]);
    expect(world.store.lease?.spec).toEqual({
      holderIdentity: "candidate-1",
      leaseDurationSeconds: 15,
      acquireTime: "2026-08-01T00:00:00.010001Z",
      renewTime: "2026-08-01T00:00:00.010001Z",
      leaseTransitions: 0,
    });
    await world.until(3_000);
    // A look and a write at first; then a write alone, after 2 s and half of the greatest jitter.
    expect(leader.askedAtMs).toEqual([0, 10, 2_200]);
    expect(world.store.lease?.spec).toMatchObject({
      acquireTime: "2026-08-01T00:00:00.010001Z",
      renewTime: "2026-08-01T00:00:02.200002Z",
    });
    await world.until(600_000);
    expect({ ...leader.election.transitions, logged: leader.logged }).toEqual({
      gained: 1,
      lost: 0,
      logged: ["leadership gained"],
    });
  });

  test("candidates that start together do not march in step", async () => {
    const world = new World();
    const chances = [0.1, 0.9];
    const machines = chances.map((chance) => new Machine(world, { random: () => chance }));
    for (const machine of machines) machine.election.start();
    await world.until(2_500);
    expect(machines.map(({ askedAtMs }) => askedAtMs.at(-1))).toEqual([2_040, 2_360]);
  });

  test("leads for the renew deadline from the sending of a renewal, not from its answer", async () => {
    const world = new World();
    const machine = new Machine(world);
    world.fate = () => ({ upMs: 1_000, downMs: 3_000, outcome: "ok" });
    machine.election.start();
    await world.until(7_999);
    expect(machine.election.isLeader).toBe(false);
    await world.until(8_000);
    expect(machine.election.isLeader).toBe(true);
    world.fate = fate("lost");
    await world.until(13_999);
    expect(machine.election.isLeader).toBe(true);
    await world.until(14_000);
    expect(machine.election.isLeader).toBe(false);
    expect(machine.heard).toEqual([true, false]);
  });

  test("does not lead beyond the deadline even before any timer has fired", async () => {
    const { world, leader } = await alone();
    // Time passes and nothing of the process runs: it was stopped (SIGSTOP).
    world.nowMs = 10_009;
    expect(leader.election.isLeader).toBe(true);
    world.nowMs = 10_010;
    expect(leader.election.isLeader).toBe(false);
    expect(leader.heard).toEqual([true]);
  });

  test("after a pause beyond the deadline it hears of the loss before it leads again", async () => {
    const { world, leader } = await alone();
    leader.pause();
    await world.until(30_000);
    expect(leader.heard).toEqual([true]);
    leader.resume(() => 0.5);
    await world.until(31_000);
    expect(leader.heard).toEqual([true, false, true]);
    expect(leader.election.transitions).toEqual({ gained: 2, lost: 1 });
  });

  test("a renewal that is answered after the deadline, but before its timer, begins a new term: the loss is heard first", async () => {
    const { world, machine } = await renewedLate();
    await world.until(10_050);
    expect({ isLeader: machine.election.isLeader, heard: machine.heard }).toEqual({
      isLeader: true,
      heard: [true, false, true],
    });
  });

  test("an election that is stopped on hearing of that loss does not lead again", async () => {
    const { world, machine } = await renewedLate();
    machine.election.onChange((leading) => leading || void machine.election.stop());
    await world.until(10_050);
    expect({ isLeader: machine.election.isLeader, heard: machine.heard }).toEqual({
      isLeader: false,
      heard: [true, false],
    });
  });

  test("a leader that was paused while another took over finds that out, and waits", async () => {
    const { world, leader, other } = await pair();
    leader.pause();
    await world.until(20_000);
    expect(world.leaders()).toEqual(["candidate-2"]);
    leader.resume(() => 0.5);
    await world.until(60_000);
    expect({ leaders: world.leaders(), first: leader.heard, second: other.heard }).toEqual({
      leaders: ["candidate-2"],
      first: [true, false],
      second: [true],
    });
    expect(leader.logged).toEqual(["leadership gained", "leadership lost", "lease held by another"]);
    expect(world.store.lease?.spec).toMatchObject({ holderIdentity: "candidate-2", leaseTransitions: 1 });
  });

  test.each([0, 0.25, 0.5, 0.75, 0.999])("takes over within 5 s of expiry (jitter %d)", async (chance) => {
    const world = new World();
    const machines = [0, 1].map(() => new Machine(world, { random: () => chance }));
    for (const machine of machines) machine.election.start();
    await world.until(60_000);
    const [dead, heir] = world.leaders()[0] === "candidate-1" ? machines : machines.toReversed();
    const lastRenewalMs = dead?.askedAtMs.at(-1) ?? 0;
    dead?.pause();
    await world.until(lastRenewalMs + 14_900);
    expect(world.leaders()).toEqual([]);
    await world.until(lastRenewalMs + 15_000 + 5_000);
    expect(world.leaders()).toEqual([heir?.election.identity]);
  });

  test("looks at the moment at which another's lease expires, not only each retry period", async () => {
    const world = new World();
    world.store.put({ holderIdentity: "dead", leaseDurationSeconds: 15 });
    const machine = new Machine(world);
    machine.election.start();
    await world.until(15_009);
    expect(machine.election.isLeader).toBe(false);
    await world.until(15_100);
    expect(machine.election.isLeader).toBe(true);
  });

  test("short leases: the API holds whole seconds, candidates with the same timing expire them to the millisecond", async () => {
    const { world, leader } = await pair(SHORT);
    expect(world.store.lease?.spec.leaseDurationSeconds).toBe(2);
    leader.pause();
    const lastRenewalMs = leader.askedAtMs.at(-1) ?? 0;
    await world.until(lastRenewalMs + 1_500 + 300);
    expect(world.leaders()).toEqual(["candidate-2"]);
  });

  test("stop() hands over at once, and stays stopped", async () => {
    const { world, leader, other } = await pair();
    const stopping = leader.election.stop();
    expect({ isLeader: leader.election.isLeader, heard: leader.heard }).toEqual({
      isLeader: false,
      heard: [true, false],
    });
    await world.until(200);
    await stopping;
    expect(world.store.lease?.spec).toMatchObject({ holderIdentity: "", leaseTransitions: 0 });
    await world.until(2_600);
    expect({ leaders: world.leaders(), heard: other.heard }).toEqual({ leaders: ["candidate-2"], heard: [true] });
    leader.election.start();
    await leader.election.stop();
    await world.until(60_000);
    expect(leader.heard).toEqual([true, false]);
    expect(leader.logged).toEqual(["leadership gained", "leadership lost", "lease released"]);
  });

  test("stop() in the middle of a write releases what that write may have taken", async () => {
    const world = new World();
    const machine = new Machine(world);
    machine.election.start();
    await world.until(12);
    expect(machine.askedAtMs).toEqual([0, 10]);
    const stopping = machine.election.stop();
    await world.until(100);
    await stopping;
    expect(world.store.written.map(({ holderIdentity }) => holderIdentity)).toEqual(["candidate-1", ""]);
    expect(machine.heard).toEqual([]);
  });

  test("stop() releases a Lease that changes meanwhile", async () => {
    const { world, leader } = await alone();
    const stopping = leader.election.stop();
    await world.until(62);
    world.store.put({ ...world.store.lease?.spec, leaseTransitions: 7 });
    await world.until(200);
    await stopping;
    expect(world.store.lease?.spec).toMatchObject({ holderIdentity: "", leaseTransitions: 7 });
  });

  test("stop() of a candidate that never led writes nothing, and one before start() asks nothing", async () => {
    const { world, other } = await pair();
    await other.election.stop();
    const idle = new Machine(world);
    await idle.election.stop();
    idle.election.start();
    await world.until(500);
    expect({ holder: world.store.lease?.spec.holderIdentity, asked: idle.askedAtMs }).toEqual({
      holder: "candidate-1",
      asked: [],
    });
  });

  test("stop() ends when the API server does not answer, and says what that means", async () => {
    const { world, leader } = await alone();
    world.fate = fate("lost");
    const stopping = leader.election.stop();
    await world.until(6_000);
    await stopping;
    expect(leader.logged.at(-1)).toBe("lease not released: the next leader waits until it expires");
  });

  test("errors are logged once a streak, and cost the leadership at the deadline only", async () => {
    const { world, leader } = await alone();
    world.fate = fate(500);
    await world.until(10_009);
    expect({ isLeader: leader.election.isLeader, logged: leader.logged }).toEqual({
      isLeader: true,
      logged: ["leadership gained", "lease not reached"],
    });
    await world.until(10_010);
    expect({ isLeader: leader.election.isLeader, heard: leader.heard }).toEqual({
      isLeader: false,
      heard: [true, false],
    });
    await world.until(60_000);
    world.fate = fate("ok");
    await world.until(63_000);
    expect(leader.heard).toEqual([true, false, true]);
    expect(leader.logged.slice(1)).toEqual([
      "lease not reached",
      "leadership lost",
      "leadership gained",
      "lease reached again",
    ]);
  });

  test("one request without an answer does not cost the leadership, nor does an answer that was lost", async () => {
    for (const outcome of ["lost", "answer lost"] as const) {
      const { world, leader } = await alone();
      let isFirst = true;
      world.fate = () => {
        const now = isFirst ? outcome : "ok";
        isFirst = false;
        return { upMs: 5, downMs: 5, outcome: now };
      };
      await world.until(30_000);
      expect(leader.heard).toEqual([true]);
    }
  });

  test("a Lease that somebody touched is renewed at once; one that was given to another is lost", async () => {
    const { world, leader } = await alone();
    world.store.put({ ...world.store.lease?.spec, leaseTransitions: 7 });
    await world.until(2_300);
    expect({ heard: leader.heard, spec: world.store.lease?.spec }).toMatchObject({
      heard: [true],
      spec: { leaseTransitions: 7, renewTime: expect.stringContaining("00:00:02") },
    });
    world.store.put({ ...world.store.lease?.spec, holderIdentity: "thief" });
    await world.until(4_700);
    expect(leader.heard).toEqual([true, false]);
    await world.until(25_000);
    expect(world.store.lease?.spec).toMatchObject({ holderIdentity: "candidate-1", leaseTransitions: 8 });
    expect(leader.heard).toEqual([true, false, true]);
  });

  test("a deleted Lease is made again by its leader, and left to it by the others", async () => {
    const { world, leader, other } = await pair();
    world.store.delete();
    await world.until(5_000);
    expect({ holder: world.store.lease?.spec.holderIdentity, heard: leader.heard, others: other.heard }).toEqual({
      holder: "candidate-1",
      heard: [true],
      others: [],
    });
  });

  test("others see renewals also where the clock of the wall stands still", async () => {
    const { world, leader, other } = await pair();
    leader.wallClock = () => Date.UTC(2026, 7, 1);
    await world.until(120_000);
    expect({ leaders: world.leaders(), others: other.heard }).toEqual({ leaders: ["candidate-1"], others: [] });
  });

  test("a listener that throws is logged, and the others hear the same; one that has left hears nothing", async () => {
    const world = new World();
    const machine = new Machine(world);
    const heard: string[] = [];
    machine.election.onChange(() => {
      throw new Error("listener");
    });
    const leave = machine.election.onChange(() => heard.push("left"));
    machine.election.onChange((leading) => heard.push(`stayed ${leading}`));
    leave();
    machine.election.start();
    await world.until(100);
    expect({ heard, logged: machine.logged }).toEqual({
      heard: ["stayed true"],
      logged: ["leadership gained", "leadership listener failed"],
    });
  });

  test("a listener may stop the election", async () => {
    const world = new World();
    const machine = new Machine(world);
    const heard: boolean[] = [];
    let stopping: Promise<void> | undefined;
    machine.election.onChange((leading) => {
      if (leading) stopping = machine.election.stop();
    });
    machine.election.onChange((leading) => heard.push(leading));
    machine.election.start();
    await world.until(1_000);
    await stopping;
    expect({ heard, first: machine.heard, holder: world.store.lease?.spec.holderIdentity }).toEqual({
      heard: [false],
      first: [true, false],
      holder: "",
    });
    await world.until(60_000);
    expect(machine.askedAtMs.every((atMs) => atMs < 1_000)).toBe(true);
  });
});
