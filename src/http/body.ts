import { Buffer } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { nextTick } from "node:process";

export type BodyResult =
  | { readonly ok: true; readonly body: Buffer }
  | { readonly ok: false; readonly why: "too_large" | "body_timeout" | "aborted" };

export interface BodyLimits {
  readonly bodyMaxBytes: number;
  /** From the headers to the last byte of the body. */
  readonly bodyTimeoutMs: number;
}

/** Reads a body and calls `done` exactly once. What was refused is left unread and paused: the caller closes. */
export function readBody(req: IncomingMessage, limits: BodyLimits, done: (result: BodyResult) => void): void {
  if (Number(req.headers["content-length"] ?? 0) > limits.bodyMaxBytes) done({ ok: false, why: "too_large" });
  // By then Node has handed over all that came with the headers, which for most reviews is the whole body.
  else nextTick(takeBody, req, limits, done);
}

/** Takes a body that is all here in one piece: listeners and a timer would cost as much as a decision. */
function takeBody(req: IncomingMessage, limits: BodyLimits, done: (result: BodyResult) => void): void {
  if (req.readableLength === 0 || req.readableLength !== Number(req.headers["content-length"])) {
    collectBody(req, limits, done);
    return;
  }
  const body = req.read() as Buffer;
  // Lets the end pass, which Node has yet to tell.
  req.resume();
  done({ ok: true, body });
}

/** Waits for what is still on its way. */
function collectBody(req: IncomingMessage, limits: BodyLimits, done: (result: BodyResult) => void): void {
  let first: Buffer | undefined;
  let rest: Buffer[] | undefined;
  let size = 0;
  let settled = false;
  const settle = (result: BodyResult): void => {
    if (settled) return;
    settled = true;
    clearTimeout(deadline);
    done(result);
  };
  const giveUp = (why: "too_large" | "body_timeout"): void => {
    req.off("data", onData);
    req.pause();
    settle({ ok: false, why });
  };
  const onData = (chunk: Buffer): void => {
    size += chunk.length;
    if (size > limits.bodyMaxBytes) giveUp("too_large");
    else if (first === undefined) first = chunk;
    else (rest ??= [first]).push(chunk);
  };
  const deadline = setTimeout(giveUp, limits.bodyTimeoutMs, "body_timeout");
  req.on("data", onData);
  // A body that came in one piece, as nearly every review does, is not copied.
  req.on("end", () =>
    settle({ ok: true, body: rest === undefined ? (first ?? Buffer.alloc(0)) : Buffer.concat(rest) }),
  );
  req.on("error", () => settle({ ok: false, why: "aborted" }));
  req.on("close", () => settle({ ok: false, why: "aborted" }));
}
