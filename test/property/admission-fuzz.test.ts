import { Buffer } from "node:buffer";
import { expect, test } from "vitest";
import { answer } from "../../src/http/admission.ts";
import { ALLOWED, type AdmissionRequest } from "../../src/core/admission/review.ts";
import { testMetrics, NO_WORLD, UNTRACED, serviceReview } from "../http/support.ts";
import { createLog } from "../../src/observe/log.ts";

/** Fuzz tests run at least this often and print their seed. */
const EXECUTIONS = 100_000;
const SEED = Number(process.env["FUZZ_SEED"] ?? Date.now() % 2 ** 31);

/** mulberry32: small, seeded, good enough to pick mutations. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const REAL = [
  serviceReview(),
  serviceReview({ operation: "UPDATE", oldObject: (serviceReview()["request"] as Record<string, unknown>)["object"] }),
  serviceReview({ operation: "DELETE", object: null }),
].map((review) => JSON.stringify(review));

/** Values that a field may be replaced with, as JSON text. */
const VALUES = [
  "null",
  "true",
  "0",
  "-1",
  "1e999",
  "9007199254740993",
  "12345678901234567890",
  '""',
  '"x"',
  '"\\ud800"',
  '"\\u0000"',
  "[]",
  "[null]",
  "{}",
  '{"__proto__":{"polluted":1}}',
  '{"constructor":{"prototype":{"polluted":1}}}',
  '{"\\u005f_proto__":null}',
  "[[[[[[]]]]]]",
  '{"a":{"b":{"c":{}}}}',
  '"DELETE"',
  '"UPDATE"',
  `"${"n".repeat(2_000)}"`,
] as const;

type Random = ReturnType<typeof generator>;

function replaceField(value: unknown, random: Random): unknown {
  if (typeof value !== "object" || value === null || random(6) === 0)
    return JSON.parse(VALUES[random(VALUES.length)] ?? "null");
  const keys = Object.keys(value);
  if (keys.length === 0) return value;
  const key = keys[random(keys.length)] ?? "";
  const copy: Record<string, unknown> = Array.isArray(value) ? ([...value] as never) : { ...value };
  if (random(12) === 0) delete copy[key];
  else
    Object.defineProperty(copy, key, {
      value: replaceField(copy[key], random),
      enumerable: true,
      writable: true,
      configurable: true,
    });
  return copy;
}

function flipBytes(text: string, random: Random): Buffer {
  const body = Buffer.from(text);
  for (let flips = 1 + random(4); flips > 0; flips -= 1) body[random(body.length)] = random(256);
  return body;
}

function mutate(random: Random): Buffer {
  const text = REAL[random(REAL.length)] ?? "";
  switch (random(5)) {
    case 0:
      return flipBytes(text, random);
    case 1:
      return Buffer.from(text.slice(random(text.length)));
    case 2:
      // A key or value spliced into the text somewhere, which JSON.stringify would never write.
      return Buffer.from(
        text.replace(/:"[^"]*"/g, (found) => (random(20) === 0 ? `:${VALUES[random(VALUES.length)] ?? ""}` : found)),
      );
    default: {
      let value: unknown = JSON.parse(text);
      for (let changes = 1 + random(3); changes > 0; changes -= 1) value = replaceField(value, random);
      return Buffer.from(JSON.stringify(value) ?? "");
    }
  }
}

/** The uid as the decoder should see it, read without the decoder. */
function readableUid(body: Buffer): string | undefined {
  try {
    const uid: unknown = JSON.parse(body.toString())?.request?.uid;
    return typeof uid === "string" && uid.length > 0 && uid.length <= 128 ? uid : undefined;
  } catch {
    return undefined;
  }
}

/** Throws if the decoder broke one of its promises: then `answer` says 500, and the test fails. */
function checkPromises({ object, oldObject }: AdmissionRequest): void {
  for (const held of [object, oldObject]) {
    if (held === undefined) continue;
    if (typeof held.metadata !== "object" || Array.isArray(held.metadata)) throw new Error("metadata is no record");
    for (const map of [held.metadata.labels, held.metadata.annotations]) {
      for (const [key, value] of Object.entries(map ?? {})) {
        if (typeof value !== "string" || key === "__proto__") throw new Error("a map holds more than strings");
      }
    }
    for (const owner of held.metadata.ownerReferences ?? []) {
      if (typeof owner !== "object") throw new Error("an owner is no record");
    }
    if (typeof (held.metadata.name ?? "") !== "string") throw new Error("a name is no string");
  }
}

test(`answer() survives ${EXECUTIONS} mutated reviews (FUZZ_SEED=${SEED})`, { timeout: 120_000 }, () => {
  const random = generator(SEED);
  const seen = { 200: 0, 400: 0 };
  const deps = {
    decide: (request: AdmissionRequest) => (checkPromises(request), ALLOWED),
    world: NO_WORLD,
    log: createLog({ level: "silent", destination: { write: () => undefined } }).log,
    metrics: testMetrics(),
    monotonicMs: () => 0,
    nowMs: () => 0,
    ...UNTRACED,
  };
  for (let execution = 0; execution < EXECUTIONS; execution += 1) {
    const body = mutate(random);
    const door = random(2) === 0 ? "mutate" : "validate";
    const { status, body: text } = answer(door, { body }, deps);
    const told = JSON.parse(text) as { kind: string; response?: { uid: string } };
    // Comparing by hand: a matcher for each of 100,000 rounds would take most of the time.
    const uid = readableUid(body);
    if ((status !== 200 && status !== 400) || told.response?.uid !== uid) {
      expect.fail(
        `FUZZ_SEED=${SEED}, execution ${execution}: status ${status}, uid ${told.response?.uid} for ${body.toString()}`,
      );
    }
    seen[status] += 1;
  }
  expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  // Both sides of the decoder were exercised.
  expect(Math.min(seen[200], seen[400])).toBeGreaterThan(EXECUTIONS / 20);
});
