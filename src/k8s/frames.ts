import type { KubernetesObject } from "../core/kubernetes.ts";

/** The place from which to watch is lost, or what came cannot be trusted: list again. */
export class ExpiredError extends Error {}

const FRAME_TYPES = ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"] as const;

export interface Frame {
  readonly type: (typeof FRAME_TYPES)[number];
  readonly object: KubernetesObject;
  readonly resourceVersion: string;
}

/** Throws {@link ExpiredError} for anything that is not a good frame, the server's own ERROR frames included. */
export function parseFrame(line: string): Frame {
  const { type, object } = (parseJson(line) ?? {}) as { type?: unknown; object?: unknown };
  if (typeof object !== "object" || object === null) throw new ExpiredError("A watch frame has no object");
  if (type === "ERROR") {
    const { code, message } = object as { code?: unknown; message?: unknown };
    throw new ExpiredError(`The API server ended the watch: ${String(code)} ${String(message)}`);
  }
  const known = FRAME_TYPES.find((entry) => entry === type);
  if (known === undefined) throw new ExpiredError(`A watch frame has the unknown type ${String(type)}`);
  const resourceVersion = (object as KubernetesObject).metadata?.resourceVersion;
  if (typeof resourceVersion !== "string")
    throw new ExpiredError(`A watch frame of type ${known} has no resourceVersion`);
  return { type: known, object, resourceVersion };
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    // V8's own message quotes the frame, which is somebody's object: not for a log.
    throw new ExpiredError("A watch frame is not JSON");
  }
}

/**
 * Splits a watch's body into lines. A last line without its newline is a torn frame and never given out: the watch
 * resumes before it.
 */
export class LineSplitter {
  readonly #maxLength: number;
  #rest = "";

  /** `maxLength` in UTF-16 code units. */
  constructor(maxLength: number) {
    this.#maxLength = maxLength;
  }

  /** Throws when a line outgrows the limit; the stream is of no use then. */
  push(chunk: string): readonly string[] {
    const end = chunk.lastIndexOf("\n");
    if (end < 0) {
      this.#rest += chunk;
      this.#check(this.#rest);
      return [];
    }
    const lines = (this.#rest + chunk.slice(0, end)).split("\n");
    this.#rest = chunk.slice(end + 1);
    for (const line of lines) this.#check(line);
    this.#check(this.#rest);
    return lines.filter((line) => line !== "");
  }

  #check(line: string): void {
    if (line.length > this.#maxLength) {
      throw new ExpiredError(
        `A line of the watch is too long: found ${line.length} characters, max is ${this.#maxLength}`,
      );
    }
  }
}
