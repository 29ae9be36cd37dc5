import { Buffer } from "node:buffer";
import type { ServerResponse } from "node:http";
import type { Refusal } from "../observe/metrics.ts";
import { type Answer, statusBody } from "./admission.ts";

export type RefusalReason = keyof typeof REFUSALS | "aborted";

export interface RefuseLimits {
  readonly bodyMaxBytes: number;
  /** How long a refused client may keep its connection open after the answer; the rest of its body is not read. */
  readonly lingerMs: number;
}

/** Answers and, when `closing`, asks the client to leave. */
export function send(res: ServerResponse, answer: Answer, closing: boolean): void {
  const length = Buffer.byteLength(answer.body);
  const headers = ["Content-Type", "application/json", "Content-Length", String(length)];
  if (closing) headers.push("Connection", "close");
  res.writeHead(answer.status, headers);
  // One byte a character means ASCII, which is the same in latin1 and needs no encoding.
  res.end(answer.body, length === answer.body.length ? "latin1" : "utf8");
}

/** Answers of 4xx without a uid: the body was not read. */
const REFUSALS = {
  path: { status: 404, reason: "NotFound", message: "not found" },
  content_type: {
    status: 415,
    reason: "UnsupportedMediaType",
    message: "Cannot read the body: wanted Content-Type application/json without Content-Encoding",
  },
  too_large: { status: 413, reason: "RequestEntityTooLarge", message: "Cannot read the body: it is over the limit" },
  body_timeout: { status: 408, reason: "Timeout", message: "Cannot read the body: it did not arrive in time" },
} satisfies Partial<Record<Refusal, { status: number; reason: string; message: string }>>;

/**
 * Answers and closes without reading the rest of the body. The whole answer is written but the response is not ended:
 * ending it makes Node read all that is left, and closing at once makes TCP reset a client that still sends, which
 * may lose the answer. The client sees `Connection: close` and closes; if it does not, we do after `lingerMs`.
 */
export function refuse(res: ServerResponse, why: RefusalReason, limits: RefuseLimits): void {
  const { req, socket } = res;
  if (why === "aborted" || socket === null || socket.destroyed) {
    req.destroy();
    return;
  }
  const { status, reason, message } = REFUSALS[why];
  const limit = why === "too_large" ? ` of ${limits.bodyMaxBytes} bytes` : "";
  const answer = { status, body: statusBody(status, reason, message + limit) };
  if (req.complete) {
    send(res, answer, true);
    return;
  }
  const length = Buffer.byteLength(answer.body);
  res.writeHead(status, { "Content-Type": "application/json", "Content-Length": length, Connection: "close" });
  res.write(answer.body);
  const linger = setTimeout(() => socket.destroy(), limits.lingerMs);
  socket.once("close", () => clearTimeout(linger));
}
