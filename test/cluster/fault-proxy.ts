import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Agent, createServer, request as httpsRequest, type Server } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { type Certificate, createAuthority, issueServing } from "../../src/dev/control-plane/certificates.ts";
import type { Cluster } from "../../src/k8s/config.ts";

/**
 * What the proxy does with requests that arrive from now on:
 * `pass` hands them on, `hang` takes them and never answers, `refuse` resets their connection; for watches only,
 * `gone` answers 410, `expired` an ERROR frame, `garbage` a line that is not JSON, `torn` half a frame and the end,
 * `oversize` a line without end; for lists only, `listGone` answers 410 to the second page, `throttle` 429.
 */
export type Fault =
  | "pass"
  | "hang"
  | "refuse"
  | "gone"
  | "expired"
  | "garbage"
  | "torn"
  | "oversize"
  | "listGone"
  | "throttle";

/** A request that changes something. */
export interface ProxiedWrite {
  readonly method: string;
  readonly path: string;
}

export interface ForcedAnswer {
  readonly status: number;
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Upstream {
  readonly url: string;
  readonly caPem: string;
  readonly client: Certificate;
}

/** What a proxy shows to its clients, and the CA by which they know it. */
interface Identity {
  readonly serving: Certificate;
  readonly caPem: string;
}

/** Of all proxies of a process: to make keys takes longer than most tests. */
let shared: Promise<Identity> | undefined;

async function identity(): Promise<Identity> {
  const ca = await createAuthority("fault-proxy");
  return { serving: await issueServing(ca), caPem: ca.certPem };
}

/** A TLS proxy in front of a kube-apiserver that misbehaves on demand. */
export class FaultProxy {
  fault: Fault = "pass";
  /** Asked about each write that arrives: what it gives is the answer, undefined hands the write on. */
  onWrite: (write: ProxiedWrite) => ForcedAnswer | undefined | Promise<ForcedAnswer | undefined> = () => undefined;
  /** Overrides the page size of lists, so that few objects make many pages. */
  pageLimit: number | undefined;
  /** Requests seen since the start. */
  readonly seen = { lists: 0, watches: 0, others: 0, faults: 0 };
  readonly #upstream: Upstream;
  readonly #server: Server;
  readonly #caPem: string;
  readonly #agent: Agent;
  readonly #sockets = new Set<Socket>();
  readonly #streams = new Set<ServerResponse>();
  readonly #muted = new WeakSet<ServerResponse>();

  static async start(upstream: Upstream): Promise<FaultProxy> {
    const proxy = new FaultProxy(upstream, await (shared ??= identity()));
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  private constructor(upstream: Upstream, own: Identity) {
    this.#upstream = upstream;
    this.#caPem = own.caPem;
    this.#agent = new Agent({ ca: upstream.caPem, cert: upstream.client.certPem, key: upstream.client.keyPem });
    this.#server = createServer({ cert: own.serving.certPem, key: own.serving.keyPem }, (request, response) =>
      this.#handle(request, response),
    );
    this.#server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
  }

  /** The API server as seen through the proxy. */
  get cluster(): Cluster {
    const { port } = this.#server.address() as AddressInfo;
    return {
      server: `https://127.0.0.1:${port}`,
      ca: this.#caPem,
      credentials: async () => ({ headers: {} }),
      refresh: () => {},
    };
  }

  /** Streams that are open now, of any kind. */
  get openStreams(): number {
    return this.#streams.size;
  }

  /** Resets every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Makes what is open now half-open: the connections stay, and nothing comes through them any more. */
  mute(): void {
    for (const stream of this.#streams) this.#muted.add(stream);
  }

  async stop(): Promise<void> {
    this.cut();
    this.#agent.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", "https://proxy");
    const watching = url.searchParams.has("watch");
    const listing = url.searchParams.has("limit");
    this.seen[watching ? "watches" : listing ? "lists" : "others"] += 1;
    if (this.#misbehave(request, response, { watching, continuing: url.searchParams.has("continue"), listing })) {
      this.seen.faults += 1;
      return;
    }
    if (listing && this.pageLimit !== undefined) url.searchParams.set("limit", String(this.pageLimit));
    const path = url.pathname + url.search;
    if (request.method === "GET") this.#forward(request, response, path);
    else void this.#write(request, response, path);
  }

  async #write(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    const forced = await this.onWrite({ method: request.method ?? "", path });
    if (forced === undefined) {
      this.#forward(request, response, path);
      return;
    }
    const { status, message, headers } = forced;
    response.writeHead(status, { "Content-Type": "application/json", ...headers });
    response.end(JSON.stringify({ kind: "Status", apiVersion: "v1", code: status, message }));
  }

  #misbehave(
    request: IncomingMessage,
    response: ServerResponse,
    about: { watching: boolean; listing: boolean; continuing: boolean },
  ): boolean {
    if (this.fault === "hang") return true;
    if (this.fault === "refuse") return request.socket.destroy() !== undefined;
    if (this.fault === "throttle" && about.listing) return answer(response, 429, { "Retry-After": "1" });
    if (this.fault === "listGone" && about.continuing) {
      this.fault = "pass";
      return answer(response, 410, {});
    }
    if (!about.watching) return false;
    if (this.fault === "gone") return answer(response, 410, {});
    const body = WATCH_BODIES[this.fault];
    if (body === undefined) return false;
    response.writeHead(200, { "Content-Type": "application/json" });
    if (this.fault === "torn") response.end(body);
    else response.write(body);
    return true;
  }

  #forward(request: IncomingMessage, response: ServerResponse, path: string): void {
    const { method } = request;
    const { host: _host, ...headers } = request.headers;
    const forwarded = httpsRequest(this.#upstream.url + path, { agent: this.#agent, method, headers }, (answered) => {
      response.writeHead(answered.statusCode ?? 502, answered.headers);
      response.flushHeaders();
      this.#streams.add(response);
      answered.on("data", (chunk: Buffer) => this.#muted.has(response) || response.write(chunk));
      answered.on("end", () => this.#muted.has(response) || response.end());
      answered.on("error", () => request.socket.destroy());
    });
    forwarded.on("error", () => request.socket.destroy());
    response.on("close", () => {
      this.#streams.delete(response);
      forwarded.destroy();
    });
    request.pipe(forwarded);
  }
}

const expired = { kind: "Status", apiVersion: "v1", code: 410, reason: "Expired", message: "too old resource version" };

const WATCH_BODIES: Partial<Record<Fault, string>> = {
  expired: `${JSON.stringify({ type: "ERROR", object: expired })}\n`,
  garbage: '{"type":"ADDED","object":{"metadata":\u0000}}\n',
  torn: '{"type":"DELETED","object":{"metadata":{"name":"to',
  oversize: "x".repeat(2_000_000),
};

function answer(response: ServerResponse, status: number, headers: Record<string, string>): true {
  response.writeHead(status, { "Content-Type": "application/json", ...headers });
  response.end(JSON.stringify({ ...expired, code: status, reason: status === 410 ? "Expired" : "TooManyRequests" }));
  return true;
}
