/**
 * The yardstick: what a person would write by hand on `node:https` for this one case. It parses the review, adds the
 * five keys of the breaker and a record where they are missing, and answers the validating door with yes. No checks,
 * no limits, no policies, no metrics, no log.
 */
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { BREAKER_ANNOTATIONS, RECORD_KEY, RECORD_TEXT } from "./breaker.ts";

interface Review {
  readonly request: {
    readonly uid: string;
    readonly object: { readonly metadata: { readonly annotations?: Readonly<Record<string, string>> } };
  };
}

interface Operation {
  readonly op: "add";
  readonly path: string;
  readonly value: unknown;
}

/** As Fairlead has it: longer than the 90 s for which the API server keeps a connection. */
const KEEP_ALIVE_MS = 120_000;
const WANTED = Object.entries({ ...BREAKER_ANNOTATIONS, [RECORD_KEY]: RECORD_TEXT }).map(([key, value]) => ({
  key,
  value,
  path: `/metadata/annotations/${key.replaceAll("/", "~1")}`,
}));

function patchFor(annotations: Readonly<Record<string, string>> | undefined): readonly Operation[] {
  if (annotations === undefined) {
    const value = Object.fromEntries(WANTED.map((wanted) => [wanted.key, wanted.value]));
    return [{ op: "add", path: "/metadata/annotations", value }];
  }
  const operations: Operation[] = [];
  for (const { key, value, path } of WANTED) {
    const isThere = key === RECORD_KEY ? annotations[key] !== undefined : annotations[key] === value;
    if (!isThere) operations.push({ op: "add", path, value });
  }
  return operations;
}

function answer(mutates: boolean, body: Buffer): string {
  const { request } = JSON.parse(body.toString("utf8")) as Review;
  const patch = mutates ? patchFor(request.object.metadata.annotations) : [];
  const encoded = Buffer.from(JSON.stringify(patch)).toString("base64");
  return JSON.stringify({
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    response: {
      uid: request.uid,
      allowed: true,
      ...(patch.length > 0 && { patchType: "JSONPatch", patch: encoded }),
    },
  });
}

const options = {
  cert: readFileSync(process.env["BENCH_CERT"] ?? ""),
  key: readFileSync(process.env["BENCH_KEY"] ?? ""),
  keepAliveTimeout: KEEP_ALIVE_MS,
};
const server = createServer(options, (request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const text = answer(request.url?.startsWith("/mutate") ?? false, Buffer.concat(chunks));
    response.writeHead(200, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) });
    response.end(text);
  });
});
server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.once("SIGTERM", () => process.exit());
