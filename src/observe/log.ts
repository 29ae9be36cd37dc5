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

/** One write(2) for some thirty lines: a write for each would cost more than the line itself. */
const BUFFER_LENGTH = 8_192;
/** A line is never held back longer than this. */
const FLUSH_INTERVAL_MS = 1_000;

/** A JSON log, passed in wherever it is needed. Object contents and secrets never show, whoever logs them by mistake. */
export function createLog(options: LogOptions): Log {
  const { destination, flush } = openDestination(options.destination);
  const timestamp = isoTimestamps();
  const log = pino(
    {
      level: options.level,
      base: null,
      timestamp,
      formatters: { level: (label) => ({ level: label }), log: redact },
      serializers: { err: errorFields, fault: faultFields },
    },
    destination,
  );
  plainWriters.set(log, (level, members) => destination.write(`{"level":"${level}"${timestamp()}${members}}\n`));
  return { log, flush };
}

/** For each logger, how a line goes past the formatters of pino: `members` is JSON, each with its comma in front. */
const plainWriters = new WeakMap<Logger, (level: string, members: string) => void>();
/** What needs no escape in JSON. A PEM block is not like this: its first line has blanks. */
const PLAIN_TEXT = /^[\w.:/@,-]*$/;

/**
 * `log[level](fields)` for a record of names and numbers: the same line, at a fraction of what pino takes for it.
 * Whatever else a field holds, or if its name is that of a secret, the record goes through pino.
 */
export function logRecord(log: Logger, level: Exclude<LogLevel, "silent">, fields: Record<string, unknown>): void {
  if (!log.isLevelEnabled(level)) return;
  const write = plainWriters.get(log);
  const members = plainMembers(fields);
  if (write === undefined || members === undefined) log[level](fields);
  else write(level, members);
}

function plainMembers(fields: Record<string, unknown>): string | undefined {
  let members = "";
  for (const name in fields) {
    const value = fields[name];
    if (SECRET_FIELDS.has(name)) return undefined;
    if (value === undefined) continue;
    if (typeof value === "string" && PLAIN_TEXT.test(value)) members += `,"${name}":"${value}"`;
    else if (Number.isFinite(value) || typeof value === "boolean") members += `,"${name}":${value as number | boolean}`;
    else return undefined;
  }
  return members;
}

/**
 * Collects lines in front of pino's own buffer, which measures all that it holds at every line. `flush` comes at the
 * end only: it also waits for the disk.
 */
function openDestination(given: DestinationStream | undefined): { destination: DestinationStream; flush: () => void } {
  if (given !== undefined) return { destination: given, flush: () => undefined };
  const stdout = pino.destination({ dest: 1, sync: true });
  let pending = "";
  const writeOut = (): void => {
    if (pending !== "") stdout.write(pending);
    pending = "";
  };
  setInterval(writeOut, FLUSH_INTERVAL_MS).unref();
  const write = (line: string): void => {
    pending += line;
    if (pending.length >= BUFFER_LENGTH) writeOut();
  };
  const flush = (): void => {
    writeOut();
    stdout.flushSync();
  };
  return { destination: { write }, flush };
}

const MS_PER_SECOND = 1_000;

/** ISO 8601 to the millisecond. Formatting a date costs as much as three fields, so a second is formatted once. */
function isoTimestamps(): () => string {
  let second = Number.NaN;
  let prefix = "";
  return () => {
    const nowMs = Date.now();
    const nowSecond = Math.floor(nowMs / MS_PER_SECOND);
    if (nowSecond !== second) {
      second = nowSecond;
      prefix = `,"time":"${new Date(nowMs).toISOString().slice(0, -"000Z".length)}`;
    }
    return `${prefix}${String(nowMs % MS_PER_SECOND).padStart(3, "0")}Z"`;
  };
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

/** Longer messages are cut: an API server may quote a whole object in its answer. */
const MESSAGE_MAX_LENGTH = 500;

/** What an `err` field shows: errors of I/O and of our own code, with causes ("fetch failed" says nothing without). */
export function errorFields(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error };
  // JSON.parse and the like quote what they read; a PEM block is a key or leads to one.
  const hidden = error instanceof SyntaxError || isSecret(error.message);
  return {
    ...withoutMessage(error),
    message: hidden ? REDACTED : error.message.slice(0, MESSAGE_MAX_LENGTH),
    cause: error.cause instanceof Error ? errorFields(error.cause) : undefined,
  };
}

/** Messages of these come from V8 and name properties at most. */
const SAFE_ERRORS: readonly unknown[] = [TypeError, RangeError, ReferenceError];

/** What a `fault` field shows: an error met while an object was read. Its message might hold a part of the object. */
export function faultFields(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error };
  const safe = SAFE_ERRORS.includes(error.constructor);
  return { ...withoutMessage(error), message: safe ? error.message.slice(0, MESSAGE_MAX_LENGTH) : undefined };
}

/** The stack begins with the message; only its frames are shown. */
function withoutMessage(error: Error): Record<string, unknown> {
  const frames = (error.stack ?? "").split("\n").filter((line) => line.startsWith("    at "));
  const code: unknown = "code" in error ? error.code : undefined;
  return { type: error.name, code: typeof code === "string" ? code : undefined, stack: frames.join("\n") };
}
