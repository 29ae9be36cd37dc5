import type { IncomingMessage } from "node:http";

interface Answer {
  readonly status: number;
  readonly reason: string;
  readonly message: string;
  readonly retryAfterSeconds?: number | undefined;
}

/** The API server answered with something other than 2xx. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  /** `Conflict`, `NotFound`, `Expired`: from the Status object, empty when there was none. */
  readonly reason: string;
  readonly retryAfterSeconds: number | undefined;

  constructor(answer: Answer, options?: ErrorOptions) {
    super(answer.message, options);
    this.status = answer.status;
    this.reason = answer.reason;
    this.retryAfterSeconds = answer.retryAfterSeconds;
  }
}

/**
 * Milliseconds for which the API server asks to be left alone (429 and 503 carry it), 0 when it does not: the longest of
 * the error, its cause, and the errors that it stands for.
 */
export function retryAfterMs(error: unknown): number {
  if (!(error instanceof Error)) return 0;
  const all: unknown[] = [error, error.cause, ...(error instanceof AggregateError ? error.errors : [])];
  const seconds = all.map((one) => (one instanceof ApiError ? (one.retryAfterSeconds ?? 0) : 0));
  return Math.max(...seconds) * 1_000;
}

interface StatusBody {
  readonly reason?: string;
  readonly message?: string;
}

/** Longest text taken from an answer that is not a Status object, in characters. */
const RAW_MESSAGE_MAX = 500;

export function toError(response: IncomingMessage, text: string): ApiError {
  const status = response.statusCode ?? 0;
  const retryAfter = Number(response.headers["retry-after"]);
  const body = parseStatus(text);
  return new ApiError({
    status,
    reason: body.reason ?? "",
    message: body.message || text.trim().slice(0, RAW_MESSAGE_MAX) || `the API server answered ${status}`,
    retryAfterSeconds: Number.isFinite(retryAfter) ? retryAfter : undefined,
  });
}

export async function readBody(response: IncomingMessage): Promise<string> {
  response.setEncoding("utf8");
  let text = "";
  for await (const chunk of response) text += chunk as string;
  return text;
}

function parseStatus(text: string): StatusBody {
  try {
    const parsed = JSON.parse(text) as unknown;
    return typeof parsed === "object" && parsed !== null ? parsed : {};
  } catch {
    return {};
  }
}
