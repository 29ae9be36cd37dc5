import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type ControlPlane, startControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { ApiError } from "../../src/k8s/api-error.ts";
import { KubernetesClient } from "../../src/k8s/client.ts";
import { LeaseClient, microTime } from "../../src/k8s/lease.ts";
import { LeaseElection, type MonotonicClock } from "../../src/k8s/lease-election.ts";
import type { LeaseTiming } from "../../src/k8s/lease-step.ts";
import type { Logger } from "../../src/k8s/ports.ts";
import { FaultProxy } from "./fault-proxy.ts";
import { kubectl } from "./support.ts";

const SILENT: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
/** None expires by itself, however slow the machine is: longer than any test waits. {@link LeapingClock} makes one expire. */
const TIMING: LeaseTiming = { leaseDurationMs: 300_000, renewDeadlineMs: 200_000, retryPeriodMs: 200 };
const REQUEST = { timeoutMs: 5_000 };

/** The time of the machine, and what the test lets pass at once; every timer that comes due then rings. */
class LeapingClock implements MonotonicClock {
  #leaptMs = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly ring: () => void }>();

  elapsedMs(): number {
    return performance.now() + this.#leaptMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const ring = (): void => {
      cancel();
      callback();
    };
    const timer = { atMs: this.elapsedMs() + delayMs, ring };
    const timeout = setTimeout(ring, delayMs);
    const cancel = (): void => {
      clearTimeout(timeout);
      this.#timers.delete(timer);
    };
    this.#timers.add(timer);
    return cancel;
  }

  leap(ms: number): void {
    this.#leaptMs += ms;
    const due = [...this.#timers].filter(({ atMs }) => atMs <= this.elapsedMs());
    for (const { ring } of due) ring();
  }
}

let controlPlane: ControlPlane;
let proxies: FaultProxy[] = [];
let clients: KubernetesClient[] = [];
let elections: LeaseElection[] = [];
let clock = new LeapingClock();
let leaseName = "";
let sequence = 0;

beforeAll(async () => {
  controlPlane = await startControlPlane({ controllerManager: false });
});
afterAll(async () => {
  await controlPlane?.stop();
});
beforeEach(() => {
  leaseName = `lease-${(sequence += 1)}`;
  clock = new LeapingClock();
});
afterEach(async () => {
  for (const proxy of proxies) proxy.fault = "pass";
  await Promise.all(elections.map((election) => election.stop()));
  for (const client of clients) client.close();
  await Promise.all(proxies.map((proxy) => proxy.stop()));
  elections = [];
  clients = [];
  proxies = [];
});

/** A client with a way to the API server of its own, which can be cut. */
async function leaseClient(): Promise<{ proxy: FaultProxy; lease: LeaseClient }> {
  const proxy = await FaultProxy.start({
    url: controlPlane.url,
    caPem: controlPlane.caPem,
    client: controlPlane.admin,
  });
  const client = new KubernetesClient(proxy.cluster);
  proxies.push(proxy);
  clients.push(client);
  return { proxy, lease: new LeaseClient(client, { namespace: "default", name: leaseName }) };
}

interface Candidate {
  readonly proxy: FaultProxy;
  readonly election: LeaseElection;
  readonly heard: boolean[];
}

async function candidate(identity: string): Promise<Candidate> {
  const { proxy, lease } = await leaseClient();
  const election = new LeaseElection({ lease, identity, timing: TIMING, log: SILENT, clock });
  const heard: boolean[] = [];
  election.onChange((leading) => heard.push(leading));
  elections.push(election);
  election.start();
  return { proxy, election, heard };
}

/** Two candidates of which the first leads. */
async function pair(): Promise<{ first: Candidate; second: Candidate }> {
  const first = await candidate("first");
  await waitFor("the first to lead", () => first.election.isLeader);
  const second = await candidate("second");
  await waitFor("the second to look", () => second.proxy.seen.others > 0);
  return { first, second };
}

/** Waits until a candidate has seen the Lease as it is when this is called. */
async function looked({ proxy }: Candidate): Promise<void> {
  const looks = (): number => proxy.seen.others - proxy.seen.faults;
  const before = looks();
  // One request may have been under way. One follows the other, so the next but one is sent when it has ended.
  await waitSafely("a candidate to look", () => looks() > before + 2);
}

/** The Lease as kubectl shows it. */
async function stored(): Promise<{ metadata: { uid: string; labels?: object }; spec: Record<string, unknown> }> {
  return JSON.parse(await kubectl(controlPlane, ["get", "lease", leaseName, "-o", "json"]));
}

async function patch(spec: object): Promise<void> {
  await kubectl(controlPlane, ["patch", "lease", leaseName, "--type=merge", "-p", JSON.stringify({ spec })]);
}

/** Waits, and looks each time that not both lead. */
async function waitSafely(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  await waitFor(what, async () => {
    expect(elections.filter(({ isLeader }) => isLeader).length).toBeLessThanOrEqual(1);
    return condition();
  });
}

describe("LeaseClient", () => {
  const spec = { holderIdentity: "one", leaseDurationSeconds: 15, renewTime: microTime(Date.now(), 1) };

  test("reads what it wrote; of two that create one gets a 409", async () => {
    const { lease } = await leaseClient();
    expect(await lease.read(REQUEST)).toBeUndefined();
    const created = await lease.create(spec, REQUEST);
    expect(created.spec).toEqual(spec);
    expect(await lease.read(REQUEST)).toMatchObject({ spec, resourceVersion: created.resourceVersion });
    await expect(lease.create(spec, REQUEST)).rejects.toMatchObject({ status: 409 });
  });

  test("of two that replace one gets a 409; labels of people and other fields stay", async () => {
    const { lease } = await leaseClient();
    const created = await lease.create({ ...spec, leaseTransitions: 3 }, REQUEST);
    await expect(lease.replace(created, { holderIdentity: "two" }, REQUEST)).resolves.toBeDefined();
    await expect(lease.replace(created, { holderIdentity: "three" }, REQUEST)).rejects.toThrow(ApiError);
    await kubectl(controlPlane, ["label", "lease", leaseName, "team=mesh"]);
    const read = await lease.read(REQUEST);
    if (read === undefined) throw new Error("Want the Lease");
    await lease.replace(read, { holderIdentity: "" }, REQUEST);
    expect(await stored()).toMatchObject({
      metadata: { labels: { team: "mesh" } },
      spec: { holderIdentity: "", leaseTransitions: 3 },
    });
  });

  test("a write that changes nothing gets no new resourceVersion: renewals must differ", async () => {
    const { lease } = await leaseClient();
    const created = await lease.create(spec, REQUEST);
    const again = await lease.replace(created, spec, REQUEST);
    expect(again.resourceVersion).toBe(created.resourceVersion);
  });

  test("a Lease that was deleted, or deleted and made again, is not replaced", async () => {
    const { lease } = await leaseClient();
    const created = await lease.create(spec, REQUEST);
    await kubectl(controlPlane, ["delete", "lease", leaseName]);
    await expect(lease.replace(created, { holderIdentity: "two" }, REQUEST)).rejects.toMatchObject({ status: 409 });
    expect(await lease.read(REQUEST)).toBeUndefined();
    await lease.create(spec, REQUEST);
    await expect(lease.replace(created, { holderIdentity: "two" }, REQUEST)).rejects.toMatchObject({ status: 409 });
  });
});

describe("LeaseElection against the API server: leader election consistency", () => {
  test("one of two leads, and stop() hands over at once", async () => {
    const { first, second } = await pair();
    const before = await stored();
    expect(before.spec).toMatchObject({ holderIdentity: "first", leaseDurationSeconds: 300, leaseTransitions: 0 });
    await waitSafely("a renewal", async () => (await stored()).spec["renewTime"] !== before.spec["renewTime"]);
    const stopping = first.election.stop();
    expect(first.election.isLeader).toBe(false);
    await stopping;
    await waitSafely("the second to lead", () => second.election.isLeader);
    expect((await stored()).spec).toMatchObject({ holderIdentity: "second", leaseTransitions: 1 });
    expect({ first: first.heard, second: second.heard }).toEqual({ first: [true, false], second: [true] });
  });

  test("a leader whose Lease was given to another leads no more, and one of ours does when that one never renews", async () => {
    const { first, second } = await pair();
    await patch({ holderIdentity: "thief", leaseDurationSeconds: 1 });
    await waitFor("the first to notice", () => first.heard.length === 2);
    expect(first.heard).toEqual([true, false]);
    await waitSafely("one to lead again", () => first.election.isLeader || second.election.isLeader);
    expect((await stored()).spec).toMatchObject({ leaseTransitions: 1 });
  });

  test("a deleted Lease is made again by its leader, without a change of leadership", async () => {
    const { first, second } = await pair();
    const { uid } = (await stored()).metadata;
    await kubectl(controlPlane, ["delete", "lease", leaseName]);
    const holder = async (): Promise<string> =>
      kubectl(controlPlane, ["get", "lease", leaseName, "--ignore-not-found", "-o", "jsonpath={.spec.holderIdentity}"]);
    await waitSafely("the Lease", async () => (await holder()) === "first");
    expect((await stored()).metadata.uid).not.toBe(uid);
    expect({ first: first.heard, second: second.heard }).toEqual({ first: [true], second: [] });
  });

  test.each(["hang", "refuse"] as const)(
    "a leader that is cut off (%s) is followed by the other one",
    async (fault) => {
      const { first, second } = await pair();
      first.proxy.fault = fault;
      await waitSafely("a renewal that fails", () => first.proxy.seen.faults > 0);
      await looked(second);
      clock.leap(TIMING.renewDeadlineMs - 60_000);
      expect([first.election.isLeader, second.election.isLeader]).toEqual([true, false]);
      clock.leap(60_000);
      expect({ isLeader: first.election.isLeader, heard: first.heard }).toEqual({
        isLeader: false,
        heard: [true, false],
      });
      await looked(second);
      expect(second.election.isLeader).toBe(false);
      clock.leap(TIMING.leaseDurationMs - TIMING.renewDeadlineMs);
      await waitSafely("the second to lead", () => second.election.isLeader);
      first.proxy.fault = "pass";
      first.proxy.cut();
      await looked(first);
      expect({ first: first.heard, second: second.heard }).toEqual({ first: [true, false], second: [true] });
    },
  );

  test("nobody leads when the API server is gone for longer than the deadline, and one when it is back", async () => {
    const { first, second } = await pair();
    await controlPlane.killApiServer(0);
    clock.leap(TIMING.renewDeadlineMs);
    expect(first.heard).toEqual([true, false]);
    clock.leap(TIMING.leaseDurationMs);
    expect([first.election.isLeader, second.election.isLeader]).toEqual([false, false]);
    await controlPlane.startApiServer(0);
    await waitSafely("a leader", () => first.election.isLeader !== second.election.isLeader);
    const { holderIdentity } = (await stored()).spec;
    expect(holderIdentity).toBe(first.election.isLeader ? "first" : "second");
  });
});
