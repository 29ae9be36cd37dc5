import { Buffer } from "node:buffer";
import { timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import type { Logger } from "pino";
import { PHASES } from "../core/admission/review.ts";
import type { Metrics } from "../observe/metrics.ts";
import { type Answer, type Call, type Door, statusBody } from "./admission.ts";
import { inBatches } from "./batches.ts";
import { type BodyLimits, readBody } from "./body.ts";
import { type RefusalReason, refuse, type RefuseLimits, send } from "./respond.ts";

export interface ServingPair {
  readonly certPem: string;
  readonly keyPem: string;
}

export interface ServerLimits extends BodyLimits, RefuseLimits {
  /** Must be longer than the 90 s for which Go keeps an idle connection, else the API server meets EOFs. */
  readonly keepAliveTimeoutMs: number;
  readonly headersTimeoutMs: number;
  /** A backstop over the whole request, behind `bodyTimeoutMs`. */
  readonly requestTimeoutMs: number;
  readonly handshakeTimeoutMs: number;
}

export const SERVER_LIMITS: ServerLimits = {
  // Two objects of 3 MB and one for the rest, as controller-runtime has it (pkg/webhook/admission/http.go).
  bodyMaxBytes: 7 * 1024 * 1024,
  // Just under the timeout of our webhooks (3 s): later, nobody waits for the answer.
  bodyTimeoutMs: 2_800,
  keepAliveTimeoutMs: 120_000,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 15_000,
  handshakeTimeoutMs: 10_000,
  lingerMs: 1_000,
};
/** How often Node looks for connections over headersTimeoutMs and requestTimeoutMs. */
const TIMEOUT_SWEEP_MS = 5_000;
/** 128 bits in base 64 make 22 characters. */
const PATH_SECRET_MIN_LENGTH = 22;

export interface AdmissionServerOptions extends ServingPair {
  /** 0 takes a free port. */
  readonly port: number;
  /** Absent: all addresses. */
  readonly host?: string;
  /** The unguessable part of the paths: letters, digits, `-` and `_`. */
  readonly pathSecret: string;
  /** When set, only clients with a certificate of this CA get through the handshake. */
  readonly clientCaPem?: string;
  readonly answer: (door: Door, call: Call) => Answer;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly limits?: Partial<ServerLimits>;
}

export interface DrainOptions {
  /** First phase: new connections are still served, while the Service's endpoints forget this replica. */
  readonly serveMs: number;
  /** Second phase: the port is closed, requests in flight may end. What is left after that is cut. */
  readonly inFlightMs: number;
}

export interface AdmissionServer {
  readonly port: number;
  /** New handshakes get the new certificate, open connections stay. Throws, and changes nothing, on a bad pair. */
  reload(pair: ServingPair): void;
  /** From the first call on every answer closes its connection. Resolves when the port and all sockets are closed. */
  drain(options: DrainOptions): Promise<void>;
  /** Cuts everything at once; for tests and failed starts. */
  close(): Promise<void>;
}

/** What a request handler needs to know of its server. */
interface ServerContext {
  readonly options: AdmissionServerOptions;
  readonly limits: ServerLimits;
  readonly doorOf: (url: string) => Door | undefined;
  /** Answers soon after, together with the others of this turn of the event loop. */
  readonly answerSoon: (review: Arrived) => void;
  draining: boolean;
}

interface Arrived {
  readonly res: ServerResponse;
  readonly door: Door;
  readonly call: Call;
}

/** The TLS port that answers `POST /<door>/<secret>` for each of {@link PHASES}, and nothing else. */
export async function startAdmissionServer(options: AdmissionServerOptions): Promise<AdmissionServer> {
  const limits = { ...SERVER_LIMITS, ...options.limits };
  const context: ServerContext = {
    options,
    limits,
    doorOf: doorFinder(options.pathSecret),
    answerSoon: inBatches({
      answer: ({ res, door, call }: Arrived) => ({ res, answer: answerSafely(door, call, options) }),
      send: ({ res, answer }) => sendSafely(res, answer, context),
      monotonicMs: () => performance.now(),
    }),
    draining: false,
  };
  const tls = (pair: ServingPair): SecureContextOptions => ({
    cert: pair.certPem,
    key: pair.keyPem,
    minVersion: "TLSv1.2",
    ...(options.clientCaPem === undefined ? {} : { ca: options.clientCaPem }),
  });
  const server = createServer({
    ...tls(options),
    requestCert: options.clientCaPem !== undefined,
    rejectUnauthorized: options.clientCaPem !== undefined,
    handshakeTimeout: limits.handshakeTimeoutMs,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    connectionsCheckingInterval: TIMEOUT_SWEEP_MS,
  });
  server.on("request", (req, res) => handle(req, res, context));
  server.on("clientError", (error, socket) => onClientError(error, socket, options.metrics));
  server.on("tlsClientError", () => options.metrics.refused("tls"));
  const port = await listen(server, options);
  return {
    port,
    reload(pair) {
      // setSecureContext keeps half of a bad pair; createSecureContext throws before anything has changed.
      createSecureContext(tls(pair));
      server.setSecureContext(tls(pair));
    },
    drain: (drainOptions) => drain(server, context, drainOptions),
    close: () => closeServer(server, 0),
  };
}

/** Compares in constant time what is secret; which door, and how long its path is, is not. A query is cut off. */
function doorFinder(pathSecret: string): (url: string) => Door | undefined {
  if (!/^[\w-]+$/.test(pathSecret) || pathSecret.length < PATH_SECRET_MIN_LENGTH) {
    throw new Error(
      `Cannot use the admission path secret: found ${pathSecret.length} characters, wanted at least ` +
        `${PATH_SECRET_MIN_LENGTH} of letters, digits, "-" and "_"; generate one with "openssl rand -hex 16"`,
    );
  }
  const paths = PHASES.map((door) => {
    const path = Buffer.from(`/${door}/${pathSecret}`);
    return { door, prefix: `/${door}/`, path, asked: Buffer.alloc(path.length) };
  });
  return (url) => {
    const query = url.indexOf("?");
    const length = query < 0 ? url.length : query;
    for (const { door, prefix, path, asked } of paths) {
      if (length !== path.length || !url.startsWith(prefix)) continue;
      // URLs reach us as bytes in latin1, so that this fills all of the buffer and cuts the query off.
      asked.write(url, "latin1");
      return timingSafeEqual(asked, path) ? door : undefined;
    }
    return undefined;
  };
}

function handle(req: IncomingMessage, res: ServerResponse, context: ServerContext): void {
  res.on("error", ignore);
  const turnAway = (why: RefusalReason): void => {
    context.options.metrics.refused(why);
    refuse(res, why, context.limits);
  };
  const door = req.method === "POST" ? context.doorOf(req.url ?? "") : undefined;
  if (door === undefined) {
    turnAway("path");
  } else if (isJson(req)) {
    readBody(req, context.limits, (result) => {
      const traceparent = req.headers["traceparent"] as string | undefined;
      if (!result.ok) turnAway(result.why);
      else context.answerSoon({ res, door, call: { body: result.body, traceparent, arrivedMs: performance.now() } });
    });
  } else {
    turnAway("content_type");
  }
}

/** The handler catches for itself; this is the belt to its braces. */
function answerSafely(door: Door, call: Call, options: AdmissionServerOptions): Answer {
  try {
    return options.answer(door, call);
  } catch (error) {
    options.log.error({ fault: error }, "admission handler failed");
    return { status: 500, body: statusBody(500, "InternalError", "Fairlead failed; its log has the details") };
  }
}

/** Nothing is known that could throw here; if something does, the other answers of the batch are sent all the same. */
function sendSafely(res: ServerResponse, answer: Answer, { options, draining }: ServerContext): void {
  try {
    send(res, answer, draining);
  } catch (error) {
    options.log.error({ fault: error }, "answer could not be sent");
    res.destroy();
  }
}

/** `application/json`, with or without parameters, not compressed: what kube-apiserver sends. */
function isJson(req: IncomingMessage): boolean {
  const type = req.headers["content-type"];
  if (type === undefined || req.headers["content-encoding"] !== undefined) return false;
  return type === "application/json" || /^application\/json\s*(?:;|$)/i.test(type);
}

/** A request that is no HTTP, that timed out, or whose client went away: nothing to log, never a crash. */
function onClientError(error: NodeJS.ErrnoException, socket: Duplex, metrics: Metrics): void {
  metrics.refused(error.code === "ECONNRESET" ? "aborted" : "protocol");
  if (socket.writable && error.code !== "ECONNRESET") {
    socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", () => socket.destroy());
  } else {
    socket.destroy();
  }
}

async function listen(server: Server, options: AdmissionServerOptions): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(options.port, options.host, resolve);
  await promise;
  server.off("error", reject);
  server.on("error", (error) => options.log.error({ err: error }, "admission port failed"));
  return (server.address() as AddressInfo).port;
}

/**
 * Between the two phases idle connections are closed. The first phase is what makes that safe: a client that is
 * active meets `Connection: close` on its next answer and leaves by itself, without a race.
 */
async function drain(server: Server, context: ServerContext, options: DrainOptions): Promise<void> {
  context.draining = true;
  await sleep(options.serveMs);
  await closeServer(server, options.inFlightMs);
}

async function closeServer(server: Server, inFlightMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  // An error here means that the port is closed already: draining twice is no fault.
  server.close(() => resolve());
  if (inFlightMs === 0) server.closeAllConnections();
  const cut = setTimeout(() => server.closeAllConnections(), inFlightMs);
  await promise;
  clearTimeout(cut);
}

function ignore(): void {}
