import { strict as assert } from "node:assert";
import { Agent, request } from "node:https";
import { text } from "node:stream/consumers";
import { RECORD_ANNOTATION } from "../../src/core/names.ts";
import { BREAKER_ANNOTATIONS, RECORD_KEY } from "./breaker.ts";
import type { CapturedReview } from "./capture.ts";
import { Child } from "./child.ts";
import { CONCURRENCIES, type Plan } from "./limits.ts";
import type { LoadAnswer, LoadOrder, LoadResult } from "./load-client.ts";
import type { Server } from "./servers.ts";
import { spread, type Spread } from "./statistics.ts";

/** A server, and the reviews as it takes them. */
export interface Target {
  readonly server: Server;
  readonly requests: LoadOrder["requests"];
}

export interface Targets {
  readonly bare: Target;
  readonly fairlead: Target;
}

export interface Measured {
  readonly requestsPerSecond: Spread;
  readonly p50Ms: Spread;
  readonly p95Ms: Spread;
  readonly p99Ms: Spread;
  readonly cpuMicros: Spread;
  readonly loopDelayP99Ms: Spread;
  readonly gcPauseMaxMs: Spread;
  /** At the end of each window: one reading alone depends on when garbage was collected last. */
  readonly rssMiB: Spread;
}

export interface Comparison {
  readonly bare: Measured;
  readonly fairlead: Measured;
  /** Of the CPU of one request, round by round. */
  readonly cpuRatio: Spread;
}

export interface HandlerResult extends Comparison {
  readonly operation: string;
  readonly concurrency: number;
}

interface Window extends LoadResult {
  readonly cpuMicros: number;
  readonly loopDelayP99Ms: number;
  readonly gcPauseMaxMs: number;
  readonly rssMiB: number;
}

interface Pair {
  readonly bare: Window;
  readonly fairlead: Window;
}

function targetOf(server: Server, reviews: readonly CapturedReview[], pathEnd: string): Target {
  return { server, requests: reviews.map(({ door, body }) => ({ path: `/${door}${pathEnd}?timeout=3s`, body })) };
}

/** Both servers in turn, in every round, for every operation and concurrency; who begins alternates. */
export async function measureHandlers(
  loads: Readonly<Record<string, Targets>>,
  client: Child,
  plan: Plan,
): Promise<readonly HandlerResult[]> {
  for (const targets of Object.values(loads)) await warmUp(targets, client, plan);
  const rounds = Object.entries(loads).flatMap(([operation, targets]) =>
    CONCURRENCIES.map((concurrency) => ({ operation, targets, concurrency, pairs: [] as Pair[] })),
  );
  for (let round = 0; round < plan.handlerRounds; round++) {
    for (const { targets, concurrency, pairs } of rounds) {
      pairs.push(await inTurn(targets, round, { client, concurrency, durationMs: plan.handlerWindowMs }));
    }
  }
  return rounds.map(({ operation, concurrency, pairs }) => ({
    operation,
    concurrency,
    ...compare(pairs),
  }));
}

/** As {@link measureHandlers}, of one kind of review, one at a time. */
export async function measureOneByOne(targets: Targets, client: Child, plan: Plan): Promise<Comparison> {
  await warmUp(targets, client, plan);
  const pairs: Pair[] = [];
  for (let round = 0; round < plan.handlerRounds; round++)
    pairs.push(await inTurn(targets, round, { client, concurrency: 1, durationMs: plan.handlerWindowMs }));
  return compare(pairs);
}

async function warmUp(targets: Targets, client: Child, { warmUpMs }: Plan): Promise<void> {
  const concurrency = Math.max(...CONCURRENCIES);
  for (const target of Object.values(targets)) await window({ target, client, concurrency, durationMs: warmUpMs });
}

async function inTurn(targets: Targets, round: number, input: Omit<WindowInput, "target">): Promise<Pair> {
  const names = round % 2 === 0 ? (["bare", "fairlead"] as const) : (["fairlead", "bare"] as const);
  const pair: { bare?: Window; fairlead?: Window } = {};
  for (const name of names) pair[name] = await window({ ...input, target: targets[name] });
  return pair as Pair;
}

function compare(pairs: readonly Pair[]): Comparison {
  return {
    bare: summary(pairs.map((pair) => pair.bare)),
    fairlead: summary(pairs.map((pair) => pair.fairlead)),
    cpuRatio: spread(pairs.map((pair) => pair.fairlead.cpuMicros / pair.bare.cpuMicros)),
  };
}

const BYTES_PER_MIB = 1024 * 1024;

interface WindowInput {
  readonly target: Target;
  readonly client: Child;
  readonly concurrency: number;
  readonly durationMs: number;
}

/** Connects first, so that handshakes are not counted, then runs between two readings of the server's CPU. */
async function window({ target, client, concurrency, durationMs }: WindowInput): Promise<Window> {
  const { server, requests } = target;
  client.send({ order: { port: server.port, caPem: server.caPem, concurrency, durationMs, requests } });
  await answerOf(client);
  const before = await server.child.ask("usage");
  client.send("go");
  const answer = await answerOf(client);
  const after = await server.child.ask("usage");
  assert(typeof answer === "object" && "result" in answer, "the load client answers with a result");
  const { loopDelayP99Ms, gcPauseMaxMs } = after;
  const cpuMicros = (after.cpuMicros - before.cpuMicros) / answer.result.requests;
  return { ...answer.result, cpuMicros, loopDelayP99Ms, gcPauseMaxMs, rssMiB: after.rssBytes / BYTES_PER_MIB };
}

async function answerOf(client: Child): Promise<LoadAnswer> {
  const answer = await client.receive<LoadAnswer>();
  if (typeof answer === "object" && "failure" in answer) throw new Error(`The load failed: ${answer.failure}`);
  return answer;
}

function summary(windows: readonly Window[]): Measured {
  const of = (value: (window: Window) => number): Spread => spread(windows.map(value));
  return {
    requestsPerSecond: of((window) => (window.requests / window.elapsedMs) * 1_000),
    p50Ms: of((window) => window.p50Ms),
    p95Ms: of((window) => window.p95Ms),
    p99Ms: of((window) => window.p99Ms),
    cpuMicros: of((window) => window.cpuMicros),
    loopDelayP99Ms: of((window) => window.loopDelayP99Ms),
    gcPauseMaxMs: of((window) => window.gcPauseMaxMs),
    rssMiB: of((window) => window.rssMiB),
  };
}

/** The reviews of one operation, for both servers. */
export function loadOf(
  operation: string,
  reviews: readonly CapturedReview[],
  servers: { readonly bare: Server; readonly fairlead: Server; readonly secret: string },
): Targets {
  const chosen = reviews.filter((review) => review.operation === operation);
  return {
    bare: targetOf(servers.bare, chosen, ""),
    fairlead: targetOf(servers.fairlead, chosen, `/${servers.secret}`),
  };
}

/** The comparison is worth something only if both do the work: six annotations on a create, yes at the other door. */
export async function checkSameWork({ server, requests }: Target, operation: string): Promise<void> {
  const agent = new Agent({ ca: server.caPem, keepAlive: true });
  const recordKey = server.name === "bare" ? RECORD_KEY : RECORD_ANNOTATION;
  const wanted = [...Object.keys(BREAKER_ANNOTATIONS), recordKey].sort();
  for (const { path, body } of requests) {
    const { response } = JSON.parse(await post({ port: server.port, path, agent }, body)) as Answered;
    assert.equal(response.allowed, true);
    if (operation !== "CREATE" || !path.startsWith("/mutate")) continue;
    const patch = JSON.parse(Buffer.from(response.patch ?? "", "base64").toString("utf8")) as { path: string }[];
    const written = patch.map((operation) => operation.path.replace(ANNOTATIONS, "").replaceAll("~1", "/"));
    assert.deepEqual(written.filter((key) => !key.startsWith("/metadata/labels")).sort(), wanted);
  }
  agent.destroy();
}

const ANNOTATIONS = "/metadata/annotations/";

interface Answered {
  readonly response: { readonly allowed: boolean; readonly patch?: string };
}

function post(address: { port: number; path: string; agent: Agent }, body: string): Promise<string> {
  const headers = { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) };
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  request({ host: "127.0.0.1", method: "POST", headers, ...address }, (response) => resolve(text(response)))
    .once("error", reject)
    .end(body);
  return promise;
}
