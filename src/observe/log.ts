import { type DestinationStream, type Logger, pino } from "pino";
import type { LogLevel } from "./levels.ts";

export interface LogOptions {
  readonly level: LogLevel;
  /** Where the lines go; absent: standard output, buffered. */
  readonly destination?: DestinationStream;
}

export interface Log {
  readonly log: Logger;
  /** Writes out what is buffered; call it when the process exits. */
  readonly flush: () => void;
}

/** One write(2) for some ten lines: a write for each would cost more than the line itself. */
const BUFFER_BYTES = 4_096;
/** A line is never held back longer than this. */
const FLUSH_INTERVAL_MS = 1_000;

/** A JSON log, passed in wherever it is needed. Object contents and secrets never show, whoever logs them by mistake. */
export function createLog(options: LogOptions): Log {
  const { destination, flush } = openDestination(options.destination);
  const log = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: redact },
      serializers: { err: describeError },
    },
    destination,
  );
  return { log, flush };
}

function openDestination(given: DestinationStream | undefined): { destination: DestinationStream; flush: () => void } {
  if (given !== undefined) return { destination: given, flush: () => undefined };
  const stdout = pino.destination({
    dest: 1,
    sync: true,
    minLength: BUFFER_BYTES,
    periodicFlush: FLUSH_INTERVAL_MS,
  });
  return { destination: stdout, flush: () => stdout.flushSync() };
}

const REDACTED = "[redacted]";
/** Fields that hold contents of objects or secrets, by the names they have in this project. */
const SECRET_FIELDS: ReadonlySet<string> = new Set([
  "object",
  "oldObject",
  "body",
  "data",
  "patch",
  "request",
  "review",
  "secret",
  "pathSecret",
  "token",
  "authorization",
  "headers",
  "password",
  "keyPem",
  "key",
]);

/** Replaces secrets in place of the first level; a line is a flat record of ours, so deeper values are lists of names. */
function redact(fields: Record<string, unknown>): Record<string, unknown> {
  for (const name in fields) {
    const value = fields[name];
    if (SECRET_FIELDS.has(name) || isSecret(value)) return redactedCopy(fields);
  }
  return fields;
}

function redactedCopy(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      SECRET_FIELDS.has(name) || isSecret(value) ? REDACTED : value,
    ]),
  );
}

/** PEM blocks, and anything with the shape of a Kubernetes object. */
function isSecret(value: unknown): boolean {
  if (typeof value === "string") return value.includes("-----BEGIN ");
  if (typeof value !== "object" || value === null) return false;
  return "metadata" in value || "apiVersion" in value || "spec" in value;
}

/** Messages of these come from V8 and name properties at most; other messages may quote what was being read. */
const SAFE_ERRORS: readonly unknown[] = [TypeError, RangeError, ReferenceError];

/** What an `err` field shows: type and stack, and the message only where it cannot hold object contents. */
export function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error };
  const frames = (error.stack ?? "").split("\n").filter((line) => line.startsWith("    at "));
  const code: unknown = "code" in error ? error.code : undefined;
  return {
    type: error.name,
    code: typeof code === "string" ? code : undefined,
    message: SAFE_ERRORS.includes(error.constructor) ? error.message : undefined,
    stack: frames.join("\n"),
  };
}
