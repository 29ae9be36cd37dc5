/**
 * The load, in a process of its own so that its CPU is not counted. It speaks HTTP/1.1 over raw TLS: node's own client
 * costs more than either server, and on two cores that would hide them. One request at a time on each connection.
 */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { connect, type TLSSocket } from "node:tls";
import { quantile } from "./statistics.ts";

export interface LoadOrder {
  readonly port: number;
  readonly caPem: string;
  readonly concurrency: number;
  readonly durationMs: number;
  readonly requests: readonly { readonly path: string; readonly body: string }[];
}

export interface LoadResult {
  readonly requests: number;
  readonly elapsedMs: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
}

/** The parent sends an order, hears `connected`, says `go`, and hears the result. */
export type LoadMessage = { readonly order: LoadOrder } | "go";
export type LoadAnswer = "connected" | { readonly result: LoadResult } | { readonly failure: string };

const HEAD_END = Buffer.from("\r\n\r\n");

/** One connection and what has arrived of the current answer. */
interface Lane {
  readonly socket: TLSSocket;
  next: number;
  received: Buffer;
  startedMs: number;
}

class Run {
  readonly #order: LoadOrder;
  readonly #requests: readonly Buffer[];
  readonly #latenciesMs: number[] = [];
  readonly #finished = Promise.withResolvers<void>();
  #lanes: Lane[] = [];
  #open = 0;
  #endMs = 0;

  constructor(order: LoadOrder) {
    this.#order = order;
    this.#requests = order.requests.map(({ path, body }) => encode(path, body));
  }

  async connect(): Promise<void> {
    const { port, caPem, concurrency } = this.#order;
    for (let index = 0; index < concurrency; index++) {
      const socket = connect({ host: "127.0.0.1", port, ca: caPem, ALPNProtocols: ["http/1.1"] });
      socket.setNoDelay(true);
      await once(socket, "secureConnect");
      // Each lane begins elsewhere, so that all kinds of reviews are in flight together.
      const lane: Lane = { socket, next: index, received: Buffer.alloc(0), startedMs: 0 };
      socket.on("data", (chunk: Buffer) => this.#onData(lane, chunk));
      socket.on("error", (error) => this.#finished.reject(error));
      socket.on("close", () => this.#finished.reject(new Error("the server closed a connection")));
      this.#lanes.push(lane);
    }
  }

  async go(): Promise<LoadResult> {
    const startMs = performance.now();
    this.#endMs = startMs + this.#order.durationMs;
    this.#open = this.#lanes.length;
    for (const lane of this.#lanes) this.#send(lane);
    await this.#finished.promise;
    const elapsedMs = performance.now() - startMs;
    for (const { socket } of this.#lanes) socket.destroy();
    const sorted = Float64Array.from(this.#latenciesMs).sort();
    const [p50Ms, p95Ms, p99Ms] = [0.5, 0.95, 0.99].map((fraction) => quantile(sorted, fraction)) as [
      number,
      number,
      number,
    ];
    return { requests: sorted.length, elapsedMs, p50Ms, p95Ms, p99Ms };
  }

  #send(lane: Lane): void {
    const request = this.#requests[lane.next % this.#requests.length] as Buffer;
    lane.next += 1;
    lane.startedMs = performance.now();
    lane.socket.write(request);
  }

  #onData(lane: Lane, chunk: Buffer): void {
    lane.received = lane.received.length === 0 ? chunk : Buffer.concat([lane.received, chunk]);
    if (!isComplete(lane.received)) return;
    const nowMs = performance.now();
    this.#latenciesMs.push(nowMs - lane.startedMs);
    if (!lane.received.includes('"allowed":true')) {
      this.#finished.reject(new Error(`a review was not allowed: ${lane.received.toString()}`));
    }
    lane.received = Buffer.alloc(0);
    if (nowMs < this.#endMs) this.#send(lane);
    else if (--this.#open === 0) this.#finished.resolve();
  }
}

function encode(path: string, body: string): Buffer {
  const length = Buffer.byteLength(body);
  // The header lines of kube-apiserver's client.
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: kube-apiserver-admission\r\nContent-Length: ${length}\r\n` +
      `Accept: application/json, */*\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n${body}`,
  );
}

function isComplete(received: Buffer): boolean {
  const headEnd = received.indexOf(HEAD_END);
  if (headEnd < 0) return false;
  const head = received.toString("latin1", 0, headEnd);
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  if (!head.startsWith("HTTP/1.1 200") || length === undefined) throw new Error(`unexpected answer: ${head}`);
  return received.length >= headEnd + HEAD_END.length + Number(length);
}

function say(answer: LoadAnswer): void {
  process.send?.(answer);
}

let run: Run | undefined;
process.on("disconnect", () => process.exit());
process.on("message", (message: LoadMessage) => {
  const step = async (): Promise<void> => {
    if (message === "go") {
      if (run !== undefined) say({ result: await run.go() });
    } else {
      run = new Run(message.order);
      await run.connect();
      say("connected");
    }
  };
  step().catch((error: unknown) => say({ failure: String(error) }));
});
