/**
 * The yardstick of the controller: what a person would write by hand on `node:https` to bring many objects in line. It
 * knows what to send before the clock runs: no watch, no plan, no queue, no check of the answer but its status. In a
 * process of its own.
 */
import { Buffer } from "node:buffer";
import { Agent, request } from "node:https";

export interface PatchOrder {
  /** `https://127.0.0.1:6443`. */
  readonly server: string;
  readonly caPem: string;
  readonly token: string;
  readonly concurrency: number;
  readonly patches: readonly { readonly path: string; readonly body: string }[];
}

/** The parent sends an order, hears `ready`, says `go`, and hears `done` or what failed. */
export type PatchMessage = { readonly order: PatchOrder } | "go";
export type PatchAnswer = "ready" | "done" | { readonly failure: string };

/** One request; resolves when its answer has been read whole. */
type Send = (method: string, path: string, body?: string) => Promise<void>;

function sender({ server, caPem, token, concurrency }: PatchOrder): Send {
  const agent = new Agent({ ca: caPem, keepAlive: true, maxSockets: concurrency });
  const { hostname, port } = new URL(server);
  return (method, path, body) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const headers = {
      Accept: "application/json",
      Authorization: `Bearer ${token}`,
      ...(body !== undefined && {
        "Content-Type": "application/merge-patch+json",
        "Content-Length": Buffer.byteLength(body),
      }),
    };
    request({ host: hostname, port, method, path, headers, agent }, (response) => {
      response.resume();
      response.once("end", () => {
        if (response.statusCode === 200) resolve();
        else reject(new Error(`${method} ${path} was answered with ${response.statusCode}`));
      });
    })
      .once("error", reject)
      .end(body);
    return promise;
  };
}

async function inLanes<T>(items: Iterable<T>, lanes: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items[Symbol.iterator]();
  const lane = async (): Promise<void> => {
    for (let next = queue.next(); !next.done; next = queue.next()) await work(next.value);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

let go: () => Promise<void> = () => Promise.reject(new Error("nothing was ordered"));

async function handle(message: PatchMessage): Promise<PatchAnswer> {
  if (message === "go") {
    await go();
    return "done";
  }
  const { concurrency, patches } = message.order;
  const send = sender(message.order);
  // So that handshakes are not counted.
  await Promise.all(Array.from({ length: concurrency }, () => send("GET", "/version")));
  go = () => inLanes(patches, concurrency, ({ path, body }) => send("PATCH", path, body));
  return "ready";
}

process.on("message", (message: PatchMessage) => {
  handle(message).then(
    (answer) => process.send?.(answer),
    (error: unknown) => process.send?.({ failure: String(error) }),
  );
});
process.on("disconnect", () => process.exit());
