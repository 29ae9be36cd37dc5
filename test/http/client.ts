import { Buffer } from "node:buffer";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { Agent, type AgentOptions, type RequestOptions, request } from "node:https";
import { connect, type TLSSocket } from "node:tls";
import { bytes, SECRET, serviceReview, type TestAuthority } from "./support.ts";

export interface Reply {
  readonly status: number;
  readonly body: string;
  readonly connection: string | undefined;
  /** True when it came over a connection that had been used before. */
  readonly reused: boolean;
}

/** What a test says of one request; by default a Service is sent to the mutating door. */
export interface Ask {
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: Buffer;
}

export const MUTATE_PATH = `/mutate/${SECRET}`;

export function trusting({ authority }: TestAuthority, options: AgentOptions = {}): Agent {
  return new Agent({ ca: authority.certPem, keepAlive: true, ...options });
}

export async function ask(port: number, agent: Agent, { path, method, headers, body }: Ask = {}): Promise<Reply> {
  const options: RequestOptions = {
    port,
    agent,
    host: "127.0.0.1",
    path: path ?? MUTATE_PATH,
    method: method ?? "POST",
    headers: { "Content-Type": "application/json", ...headers },
  };
  const req = request(options);
  const answered = once(req, "response") as Promise<[IncomingMessage]>;
  req.end(method === "GET" ? undefined : (body ?? bytes(serviceReview())));
  const [res] = await answered;
  // The server may close while we still send a body that it has refused.
  req.on("error", () => undefined);
  const chunks: Buffer[] = [];
  for await (const chunk of res) chunks.push(chunk as Buffer);
  return {
    status: res.statusCode ?? 0,
    body: Buffer.concat(chunks).toString(),
    connection: res.headers.connection,
    reused: req.reusedSocket,
  };
}

/** A bare TLS connection, for requests that no client library would send. */
export async function openSocket(port: number, { authority }: TestAuthority): Promise<TLSSocket> {
  const socket = connect({ port, host: "127.0.0.1", ca: authority.certPem });
  await once(socket, "secureConnect");
  socket.on("error", () => undefined);
  return socket;
}

/** The head of a review request that promises `length` bytes. */
export function requestHead(length: number): string {
  return `POST ${MUTATE_PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;
}

/** Everything the server says until it closes. */
export async function readToEnd(socket: TLSSocket): Promise<string> {
  let text = "";
  socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
  // Not events.once: it rejects when the connection is reset, which is one way to be closed.
  if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve));
  return text;
}
