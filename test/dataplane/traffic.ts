import { once } from "node:events";
import { type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import { text } from "node:stream/consumers";

/** Longer than anything here takes; a proxy that never answers fails its test instead of holding it. */
const ANSWER_LIMIT_MS = 30_000;
const PARALLEL = 8;

export interface HttpRequest {
  readonly address: string;
  readonly port: number;
  /** The host that is asked for, whatever is at the address. */
  readonly host: string;
  /** The address that it comes from, where that matters. */
  readonly from?: string;
  /** GET unless told. */
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  readonly headers: IncomingHttpHeaders;
  readonly elapsedMs: number;
}

/** Sends one request without a body over a connection of its own: one that was kept would still have the configuration it began with. */
export async function send(options: HttpRequest): Promise<HttpAnswer> {
  const { address, port, host, from, method = "GET", path = "/", headers = {} } = options;
  const startMs = performance.now();
  const source = from === undefined ? {} : { localAddress: from };
  const outgoing = request({
    ...source,
    host: address,
    port,
    method,
    path,
    headers: { ...headers, host },
    agent: false,
  });
  const limit = setTimeout(
    () => outgoing.destroy(new Error(`no answer within ${ANSWER_LIMIT_MS} ms`)),
    ANSWER_LIMIT_MS,
  );
  // What goes wrong once there is a response is told by the response.
  outgoing.on("error", () => {});
  outgoing.end();
  try {
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    const body = await text(response);
    const { statusCode: status = 0, headers: answered } = response;
    return { status, body, headers: answered, elapsedMs: performance.now() - startMs };
  } finally {
    clearTimeout(limit);
  }
}

/** The status of the answer, or that there is none: the connection was refused or cut off. */
export async function statusOf(request: HttpRequest): Promise<number | "no answer"> {
  try {
    return (await send(request)).status;
  } catch {
    return "no answer";
  }
}

/** Sends the same request so many times, some at once, and counts the answers by status. */
export async function sendMany(count: number, options: HttpRequest): Promise<Readonly<Record<number, number>>> {
  const answers: HttpAnswer[] = [];
  let left = count;
  const sender = async (): Promise<void> => {
    while (left-- > 0) answers.push(await send(options));
  };
  await Promise.all(Array.from({ length: PARALLEL }, sender));
  return countStatuses(answers);
}

/** Sends the same request so many times, one after the other, and tells the answers in order. */
export async function sendInOrder(count: number, options: HttpRequest): Promise<readonly HttpAnswer[]> {
  const answers: HttpAnswer[] = [];
  for (let index = 0; index < count; index++) answers.push(await send(options));
  return answers;
}

export function countStatuses(answers: readonly HttpAnswer[]): Readonly<Record<number, number>> {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}
