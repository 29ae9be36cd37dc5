import { expect, test } from "vitest";
import { type AcceptedSpec, AcceptedSpecs } from "../../src/controller/accepted-specs.ts";
import type { Action } from "../../src/core/action.ts";
import { compilePolicy } from "../../src/core/intent/policy.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import type { ControllerRevisionObject } from "../../src/core/policy/revisions.ts";
import { policy } from "../core/worlds.ts";

function spec(request: string, uid = "u-1"): AcceptedSpec {
  const object = policy({ timeout: { request } }, { uid });
  const compiled = compilePolicy(object).policy;
  if (compiled === undefined) throw new Error("The policy is not acceptable");
  return { policy: object, compiled };
}

/** What is stored, as the API server has it; refuses the writes that it is told to. */
class Revisions {
  all: readonly ControllerRevisionObject[] = [];
  refusals = 0;
  #version = 0;

  async write(action: Action): Promise<KubernetesObject> {
    if (this.refusals > 0) {
      this.refusals -= 1;
      throw new Error("refused");
    }
    if (action.kind !== "create" && action.kind !== "merge" && action.kind !== "delete") throw new Error(action.kind);
    const before = this.all.find(({ metadata }) => metadata?.name === action.ref.name);
    if (action.kind !== "create") expect(action.resourceVersion).toBe(before?.metadata?.resourceVersion);
    const others = this.all.filter((it) => it !== before);
    if (action.kind === "delete") {
      this.all = others;
      return {};
    }
    this.#version += 1;
    const content: ControllerRevisionObject = action.kind === "create" ? action.object : { ...before, ...action.body };
    const now = { ...content, metadata: { ...content.metadata, resourceVersion: `${this.#version}` } };
    this.all = [...others, now];
    return now;
  }

  /** The timeouts, the oldest first. */
  get timeouts(): readonly unknown[] {
    return [...this.all]
      .sort((a, b) => (a.revision ?? 0) - (b.revision ?? 0))
      .map(({ data }) => (data as { spec: { timeout: { request: string } } }).spec.timeout.request);
  }
}

/** One policy's turns. */
class Turns {
  readonly specs = new AcceptedSpecs();
  readonly revisions = new Revisions();

  store(current: AcceptedSpec, isStillWanted = () => true) {
    const { specs, revisions } = this;
    return specs.store({ current, stored: revisions.all, write: (action) => revisions.write(action), isStillWanted });
  }
}

test("stores the spec as it is, once", async () => {
  const turns = new Turns();
  const { specs, revisions } = turns;
  expect(await turns.store(spec("1s"))).toEqual({ written: 1 });
  specs.note(spec("1s"));
  expect(await turns.store(spec("1s"))).toEqual({ written: 0 });
  expect(revisions.timeouts).toEqual(["1s"]);
});

test("stores what was replaced before the turn came, in the order in which it was written", async () => {
  const turns = new Turns();
  const { specs, revisions } = turns;
  await turns.store(spec("1s"));
  for (const request of ["2s", "2s", "3s", "2s", "1s"]) specs.note(spec(request));
  // What came back was the newest for a moment: its number is raised once more.
  expect(await turns.store(spec("1s"))).toEqual({ written: 4 });
  expect(revisions.timeouts).toEqual(["3s", "2s", "1s"]);
});

test("a write that fails is tried again with the next turn, and nothing is lost or stored out of turn", async () => {
  const turns = new Turns();
  const { specs, revisions } = turns;
  for (const request of ["1s", "2s", "3s"]) specs.note(spec(request));
  revisions.refusals = 1;
  expect(await turns.store(spec("3s"))).toEqual({ written: 0, failure: new Error("refused") });
  let asked = 0;
  expect(await turns.store(spec("3s"), () => (asked += 1) < 2)).toEqual({ written: 1 });
  expect(await turns.store(spec("3s"))).toEqual({ written: 2 });
  expect(revisions.timeouts).toEqual(["1s", "2s", "3s"]);
});

test("keeps ten at most, the newest, however many come at once", async () => {
  const turns = new Turns();
  const { specs, revisions } = turns;
  await turns.store(spec("99s"));
  for (let second = 1; second <= 25; second += 1) specs.note(spec(`${second}s`));
  // Ten new ones, and the one before them goes: the fifteen that would go at once are not even made.
  expect(await turns.store(spec("25s"))).toEqual({ written: 11 });
  expect(revisions.timeouts).toEqual(Array.from({ length: 10 }, (_, index) => `${index + 16}s`));
});

test("what a policy of the same name said before it was deleted is not stored", async () => {
  const turns = new Turns();
  const { specs, revisions } = turns;
  specs.note(spec("1s"));
  specs.forget("iam", "user-service");
  specs.note(spec("2s", "u-2"));
  specs.note(spec("3s", "u-3"));
  await turns.store(spec("3s", "u-3"));
  expect(revisions.timeouts).toEqual(["3s"]);
});

test("a spec whose name is taken is told, and the others are stored all the same", async () => {
  const turns = new Turns();
  const { specs, revisions } = turns;
  const name = `user-service-${spec("1s").compiled.revision}`;
  revisions.all = [{ kind: "ControllerRevision", metadata: { name, namespace: "iam" } }];
  specs.note(spec("1s"));
  const { written, problem } = await turns.store(spec("2s"));
  expect({ written, problem }).toEqual({ written: 1, problem: expect.stringContaining("belongs to somebody else") });
});
