import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { inBatches, UNSENT_MAX_MS } from "../../src/http/batches.ts";

/** Reviews are numbers: the milliseconds that it takes to answer each. */
function recorded() {
  let nowMs = 0;
  const events: string[] = [];
  const add = inBatches({
    answer: (durationMs: number) => {
      nowMs += durationMs;
      events.push(`answer ${durationMs}`);
      return durationMs;
    },
    send: (durationMs) => events.push(`send ${durationMs}`),
    monotonicMs: () => nowMs,
  });
  return { add, events };
}

test("what arrives in one turn of the event loop is answered before the first answer is sent", async () => {
  const { add, events } = recorded();
  for (const durationMs of [0.1, 0.2]) add(durationMs);
  expect(events).toEqual([]);
  await turn();
  add(0.3);
  await turn();
  expect(events).toEqual(["answer 0.1", "answer 0.2", "send 0.1", "send 0.2", "answer 0.3", "send 0.3"]);
});

test("answers do not wait for the others of their turn once the limit has passed", async () => {
  const { add, events } = recorded();
  for (const durationMs of [0.1, UNSENT_MAX_MS, 0.2, 0.3]) add(durationMs);
  await turn();
  expect(events).toEqual([
    "answer 0.1",
    `answer ${UNSENT_MAX_MS}`,
    "send 0.1",
    `send ${UNSENT_MAX_MS}`,
    "answer 0.2",
    "answer 0.3",
    "send 0.2",
    "send 0.3",
  ]);
});

test("a review that arrives while others are answered belongs to the next turn", async () => {
  const sent: string[] = [];
  const add = inBatches({
    answer: (name: string) => {
      if (name === "first") add("second");
      return name;
    },
    send: (name) => sent.push(name),
    monotonicMs: () => 0,
  });
  add("first");
  await turn();
  expect(sent).toEqual(["first"]);
  await turn();
  expect(sent).toEqual(["first", "second"]);
});
