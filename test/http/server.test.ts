import { Buffer } from "node:buffer";
import { once } from "node:events";
import type { Agent } from "node:https";
import { connect } from "node:net";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createAuthority, signLeaf } from "../../src/controller/certificate-material.ts";
import { ALLOWED, PHASES } from "../../src/core/admission/review.ts";
import type { AdmissionServer, AdmissionServerOptions } from "../../src/http/server.ts";
import { ask, MUTATE_PATH, openSocket, readToEnd, requestHead, trusting } from "./client.ts";
import {
  bytes,
  type Rig,
  rig,
  SECRET,
  serviceReview,
  signClient,
  startTestServer,
  type TestAuthority,
  testCertificates,
  UID,
} from "./support.ts";

let certificates: TestAuthority;
let server: AdmissionServer | undefined;
let agent: Agent;
let bench: Rig;

beforeAll(async () => {
  certificates = await testCertificates();
});

beforeEach(() => {
  agent = trusting(certificates);
  bench = rig();
});

afterEach(async () => {
  agent.destroy();
  await server?.close();
  server = undefined;
});

async function start(options: Partial<AdmissionServerOptions> = {}): Promise<AdmissionServer> {
  server = await startTestServer(certificates, { rig: bench, ...options });
  return server;
}

async function refusals(reason: string): Promise<number> {
  const metric = await bench.deps.metrics.registry.getSingleMetric("fairlead_admission_refused_total")?.get();
  return metric?.values.find((value) => value.labels["reason"] === reason)?.value ?? 0;
}

/** Resolves when the server has counted a refusal; the loop turns on the event loop, not on time. */
async function untilRefused(reason: string): Promise<void> {
  while ((await refusals(reason)) === 0) await new Promise((resolve) => setImmediate(resolve));
}

describe("startAdmissionServer() answers", () => {
  test("two doors over one kept connection, with the query that the API server appends", async () => {
    const { port } = await start();
    const first = await ask(port, agent, { path: `${MUTATE_PATH}?timeout=3s` });
    const second = await ask(port, agent, { path: `/validate/${SECRET}?timeout=3s` });
    expect([first.status, second.status, first.reused, second.reused]).toEqual([200, 200, false, true]);
    expect(JSON.parse(second.body).response).toEqual({ uid: UID, allowed: true });
    expect(first.connection).toBe("keep-alive");
  });

  test.each(PHASES)("the door %s on its own path, and tells the evaluator which it was", async (door) => {
    const asked: string[] = [];
    const { port } = await start({
      answer(phase) {
        asked.push(phase);
        return { status: 200, body: "{}" };
      },
    });
    expect((await ask(port, agent, { path: `/${door}/${SECRET}` })).status).toBe(200);
    expect((await ask(port, agent, { path: `/${door}/${"f".repeat(SECRET.length)}` })).status).toBe(404);
    expect(asked).toEqual([door]);
  });

  test.each([
    ["GET", MUTATE_PATH],
    ["PUT", MUTATE_PATH],
    ["POST", "/"],
    ["POST", "/mutate/"],
    ["POST", `${MUTATE_PATH}/`],
    ["POST", `/mutate/${SECRET.slice(0, -1)}`],
    ["POST", `/mutate/${"f".repeat(SECRET.length)}`],
    ["POST", `/other/${SECRET}`],
  ])("404 without detail to %s %s", async (method, path) => {
    const { port } = await start();
    const { status, body } = await ask(port, agent, { method, path });
    expect([status, JSON.parse(body).message]).toEqual([404, "not found"]);
    expect(bench.lines).toEqual([]);
  });

  test.each(["text/plain", "application/jsonp", "application/json-patch+json", ""])(
    "415 to Content-Type %j",
    async (type) => {
      const { port } = await start();
      expect((await ask(port, agent, { headers: { "Content-Type": type } })).status).toBe(415);
    },
  );

  test("415 to a compressed body, 200 to a charset", async () => {
    const { port } = await start();
    expect((await ask(port, agent, { headers: { "Content-Encoding": "gzip" } })).status).toBe(415);
    expect((await ask(port, agent, { headers: { "Content-Type": "Application/JSON; charset=utf-8" } })).status).toBe(
      200,
    );
  });

  test("400 to broken JSON, and then the next request on the same connection", async () => {
    const { port } = await start();
    expect((await ask(port, agent, { body: bytes("{") })).status).toBe(400);
    expect(await ask(port, agent)).toMatchObject({ status: 200, reused: true });
  });

  test("an answer that cannot be sent ends its connection and no other", async () => {
    const { port } = await start({
      answer: (door) => ({ status: door === "mutate" ? 99 : 200, body: "{}" }),
    });
    await expect(ask(port, agent)).rejects.toThrow("socket hang up");
    expect((await ask(port, agent, { path: `/validate/${SECRET}` })).status).toBe(200);
    expect(bench.lines).toEqual([expect.objectContaining({ level: "error", msg: "answer could not be sent" })]);
  });

  test("tells the handler when the body was there", async () => {
    const arrived: (number | undefined)[] = [];
    const { port } = await start({
      answer(_door, { arrivedMs }) {
        arrived.push(arrivedMs);
        return { status: 200, body: "{}" };
      },
    });
    const askedMs = performance.now();
    await ask(port, agent);
    const [arrivedMs = Number.NaN] = arrived;
    expect(arrivedMs).toBeGreaterThan(askedMs);
    expect(arrivedMs).toBeLessThan(performance.now());
  });

  test("500 and keeps serving when the handler itself throws", async () => {
    const { port } = await start({
      answer: () => {
        throw new Error("boom");
      },
    });
    expect((await ask(port, agent)).status).toBe(500);
    expect((await ask(port, agent)).status).toBe(500);
  });

  test("a review of 6 MiB that comes in many pieces", async () => {
    const { port } = await start();
    const review = serviceReview();
    Object.assign(review, { padding: "x".repeat(6 * 1024 * 1024) });
    expect((await ask(port, agent, { body: bytes(review) })).status).toBe(200);
  });
});

describe("startAdmissionServer() bounds", () => {
  const BODY_BYTES = 20 * 1024 * 1024;
  const PIECE = Buffer.alloc(256 * 1024, 0x20);
  /** 64 MiB: far above the limit and all buffers of kernel and TLS together. */
  const PIECES = 256;

  test.each([
    ["with its length", `Content-Length: ${PIECES * PIECE.length}\r\n\r\n`],
    ["in one chunk", `Transfer-Encoding: chunked\r\n\r\n${(PIECES * PIECE.length).toString(16)}\r\n`],
  ])("a body that is too large, %s: 413, most of it unread, the next request served", async (_name, rest) => {
    const { port } = await start({ limits: { lingerMs: 200 } });
    const socket = await openSocket(port, certificates);
    let flushed = 0;
    socket.write(`POST ${MUTATE_PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${rest}`);
    for (let piece = 0; piece < PIECES; piece += 1) socket.write(PIECE, (error) => (flushed += error ? 0 : 1));
    expect(await readToEnd(socket)).toMatch(
      /^HTTP\/1.1 413 [\s\S]*Connection: close[\s\S]*over the limit of 7340032 bytes/,
    );
    expect(flushed).toBeLessThan(PIECES / 2);
    expect((await ask(port, agent)).status).toBe(200);
  });

  test("a body of 20 MiB from an ordinary client", async () => {
    const { port } = await start();
    expect((await ask(port, agent, { body: Buffer.alloc(BODY_BYTES) })).status).toBe(413);
    expect((await ask(port, agent)).status).toBe(200);
  });

  test("a slow body: 408 and a closed connection", async () => {
    const { port } = await start({ limits: { bodyTimeoutMs: 30, lingerMs: 30 } });
    const socket = await openSocket(port, certificates);
    socket.write(`${requestHead(100)}{"half":`);
    expect(await readToEnd(socket)).toMatch(/^HTTP\/1.1 408 /);
    expect(await refusals("body_timeout")).toBe(1);
  });

  test("a client that stops half-way: counted, cleaned up, the next request served", async () => {
    const { port } = await start();
    const socket = await openSocket(port, certificates);
    await new Promise((resolve) => socket.write(`${requestHead(100)}{"half":`, resolve));
    socket.destroy();
    await untilRefused("aborted");
    expect(await ask(port, agent)).toMatchObject({ status: 200 });
    expect(bench.lines.map((line) => line["level"])).toEqual(["debug"]);
  });

  test("what is no HTTP, no TLS or a broken chunk", async () => {
    const { port } = await start();
    const socket = await openSocket(port, certificates);
    socket.write("GARBAGE\r\n\r\n");
    expect(await readToEnd(socket)).toMatch(/^HTTP\/1.1 400 Bad Request/);
    const chunked = await openSocket(port, certificates);
    chunked.write(`${requestHead(0).replace("Content-Length: 0", "Transfer-Encoding: chunked")}zz\r\n`);
    expect(await readToEnd(chunked)).toMatch(/^HTTP\/1.1 400 Bad Request/);
    const plain = connect(port, "127.0.0.1");
    plain.on("error", () => undefined);
    plain.write("GET / HTTP/1.1\r\n\r\n");
    await once(plain, "close");
    await untilRefused("tls");
    expect((await ask(port, agent)).status).toBe(200);
  });

  test("the path secret: short or strange ones are refused at the start", async () => {
    await expect(start({ pathSecret: "short" })).rejects.toThrow("found 5 characters, wanted at least 22");
    await expect(start({ pathSecret: "../".repeat(10) })).rejects.toThrow("Cannot use the admission path secret");
  });
});

describe("startAdmissionServer() with a client CA", () => {
  test("lets in clients with its certificate only", async () => {
    const clientCa = await createAuthority(Date.now());
    const client = await signClient(clientCa, "kube-apiserver");
    const { port } = await start({ clientCaPem: clientCa.certPem });
    const known = trusting(certificates, { cert: client.certPem, key: client.keyPem });
    const foreign = trusting(certificates, { cert: certificates.leaf.certPem, key: certificates.leaf.keyPem });
    await expect(ask(port, agent)).rejects.toThrow();
    await expect(ask(port, foreign)).rejects.toThrow();
    expect((await ask(port, known)).status).toBe(200);
    known.destroy();
    foreign.destroy();
  });
});

describe("reload()", () => {
  test("serves the new certificate without one failed request, and keeps open connections", async () => {
    const running = await start();
    const { port } = running;
    await ask(port, agent);
    const nowMs = Date.now();
    const leaves = await Promise.all(
      Array.from({ length: 4 }, () => signLeaf(certificates.authority, { names: ["127.0.0.1"], nowMs })),
    );
    const load = { streaming: true };
    /** Asks over new connections and kept ones by turns until the reloads are over. */
    const stream = async (keepAlive: boolean): Promise<number[]> => {
      const own = trusting(certificates, { keepAlive });
      const statuses: number[] = [];
      while (load.streaming) statuses.push((await ask(port, own)).status);
      own.destroy();
      return statuses;
    };
    const streams = Promise.all([stream(true), stream(true), stream(false), stream(false)]);
    for (const leaf of leaves) {
      running.reload(leaf);
      const socket = await openSocket(port, certificates);
      expect(socket.getPeerX509Certificate()?.toString()).toBe(leaf.certPem);
      socket.destroy();
      for (let index = 0; index < 5; index += 1) await ask(port, agent);
    }
    load.streaming = false;
    for (const statuses of await streams) expect(new Set(statuses)).toEqual(new Set([200]));
    expect(await ask(port, agent)).toMatchObject({ status: 200, reused: true });
  });

  test("refuses a pair that does not fit and goes on with the old one", async () => {
    const running = await start();
    const { certPem } = certificates.leaf;
    expect(() => running.reload({ certPem, keyPem: certificates.authority.keyPem })).toThrow("key values mismatch");
    expect(() => running.reload({ certPem: "garbage", keyPem: "garbage" })).toThrow();
    expect((await ask(running.port, trusting(certificates, { keepAlive: false }))).status).toBe(200);
  });
});

describe("drain()", () => {
  test("answers Connection: close while it serves, then closes the port", async () => {
    const running = await start();
    await ask(running.port, agent);
    const idle = await openSocket(running.port, certificates);
    const drained = running.drain({ serveMs: 100, inFlightMs: 100 });
    const last = await ask(running.port, agent);
    expect(last).toMatchObject({ status: 200, connection: "close", reused: true });
    const other = trusting(certificates);
    expect(await ask(running.port, other)).toMatchObject({ status: 200, connection: "close" });
    await drained;
    await readToEnd(idle);
    await expect(ask(running.port, other)).rejects.toThrow("ECONNREFUSED");
    await running.drain({ serveMs: 0, inFlightMs: 0 });
  });

  test("lets a request in flight end, even when the port is closed already", async () => {
    const running = await start();
    const socket = await openSocket(running.port, certificates);
    const body = bytes(serviceReview());
    socket.write(requestHead(body.length));
    socket.write(body.subarray(0, 100));
    await ask(running.port, agent);
    const drained = running.drain({ serveMs: 0, inFlightMs: 5_000 });
    await expect
      .poll(() => ask(running.port, trusting(certificates)).catch((error: Error) => error.message))
      .toMatch("ECONNREFUSED");
    socket.write(body.subarray(100));
    expect(await readToEnd(socket)).toMatch(/^HTTP\/1.1 200 OK[\s\S]*Connection: close/);
    await drained;
  });

  test("cuts what has not ended in time", async () => {
    const running = await start();
    const socket = await openSocket(running.port, certificates);
    socket.write(requestHead(100));
    await running.drain({ serveMs: 0, inFlightMs: 20 });
    expect(await readToEnd(socket)).toBe("");
  });
});

test("many requests at once are answered each with its own uid", async () => {
  bench = rig(() => ALLOWED);
  const { port } = await start();
  const many = trusting(certificates, { maxSockets: 8 });
  const replies = await Promise.all(
    Array.from({ length: 200 }, (_, index) => ask(port, many, { body: bytes(serviceReview({ uid: `uid-${index}` })) })),
  );
  expect(replies.map(({ body }) => JSON.parse(body).response.uid as string)).toEqual(
    replies.map((_, index) => `uid-${index}`),
  );
  many.destroy();
});
