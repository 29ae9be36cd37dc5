import { Buffer } from "node:buffer";
import { request } from "node:https";
import type { Answer, Call, Door } from "./admission.ts";

const REVIEW = JSON.stringify({
  apiVersion: "admission.k8s.io/v1",
  kind: "AdmissionReview",
  request: {
    uid: "self-review",
    kind: { group: "", version: "v1", kind: "Service" },
    operation: "CREATE",
    namespace: "default",
    name: "self-review",
    object: { apiVersion: "v1", kind: "Service", metadata: { name: "self-review", namespace: "default" } },
  },
});
/** Longer than the 3 s after which the API server would give up. */
const TIMEOUT_MS = 5_000;

export interface SelfReviewOptions {
  readonly host: string;
  readonly port: number;
  /** A name that the certificate has, whatever the address. */
  readonly serverName: string;
  readonly pathSecret: string;
  /** The CAs that API servers are told to trust. */
  readonly caPem: string;
  /** Asked in place of the port, when the port lets in API servers only: we have no certificate of their CA. */
  readonly inProcess?: (door: Door, call: Call) => Answer;
}

/** Asks our own port as the API server will: certificate, path and evaluator must all work. Throws when they do not. */
export async function selfReview(options: SelfReviewOptions): Promise<void> {
  const status = options.inProcess?.("validate", { body: Buffer.from(REVIEW) }).status ?? (await askPort(options));
  if (status !== 200) throw new Error(`Cannot serve: the self-review was answered with HTTP ${status}, wanted 200`);
}

function askPort({ host, port, serverName, pathSecret, caPem }: SelfReviewOptions): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const asked = request(
    {
      host,
      port,
      servername: serverName,
      path: `/validate/${pathSecret}`,
      method: "POST",
      ca: caPem,
      headers: { "content-type": "application/json", "content-length": REVIEW.length, connection: "close" },
      timeout: TIMEOUT_MS,
    },
    (response) => {
      response.resume();
      response.once("error", reject);
      response.once("end", () => resolve(response.statusCode ?? 0));
    },
  );
  asked.once("timeout", () => asked.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
  asked.on("error", (error) =>
    reject(new Error(`Cannot serve: the self-review failed: ${error.message}`, { cause: error })),
  );
  asked.end(REVIEW);
  return promise;
}
