import { Buffer } from "node:buffer";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { createAuthority, signLeaf } from "../../src/controller/certificate-material.ts";
import type { ControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import type { KubernetesClient } from "../../src/k8s/client.ts";
import { kubectl } from "../cluster/support.ts";
import { registerLikeFairlead, unregister, whenAsked } from "./webhooks.ts";
import { BENCH_PRODUCT, service, SHOP } from "./world.ts";

/** One AdmissionReview as kube-apiserver sent it, byte for byte. */
export interface CapturedReview {
  readonly door: "mutate" | "validate";
  readonly operation: string;
  readonly body: string;
}

/** Sorts before Fairlead's configuration, so that its mutating webhook sees Services before they are injected. */
const NAME = "a-capture";
export const CAPTURE_LABEL = "bench.fairlead.dev/capture";
/** Each is created and then changed, and passes both doors each time. */
const CAPTURED_SERVICES = 8;

/**
 * Real reviews: kubectl applies Services and applies them again with a change, while Fairlead injects; a third server
 * that is registered for the same writes keeps what it is sent.
 */
export async function captureReviews(
  controlPlane: ControlPlane,
  client: KubernetesClient,
): Promise<readonly CapturedReview[]> {
  const seen: CapturedReview[] = [];
  const capture = await startCapture(seen);
  try {
    const { port, caPem } = capture;
    await registerLikeFairlead(client, { name: NAME, namespaceLabel: CAPTURE_LABEL, reinvoked: false, port, caPem });
    const doors = (): number => new Set(seen.map((review) => review.door)).size;
    await whenAsked(client, SHOP, () => doors() === 2);
    seen.length = 0;
    for (const version of ["4.17.2", "4.18.0"])
      await kubectl(controlPlane, ["apply", "-n", SHOP, "-f", "-"], manifests(version));
    await unregister(client, NAME);
  } finally {
    capture.close();
  }
  const wanted = CAPTURED_SERVICES * 4;
  if (seen.length !== wanted) throw new Error(`Cannot use the capture: found ${seen.length} reviews, wanted ${wanted}`);
  return seen;
}

function manifests(version: string): string {
  const items = Array.from({ length: CAPTURED_SERVICES }, (_, index) => {
    const object = service(`captured-${index}`, BENCH_PRODUCT);
    const labels = { ...object.metadata?.labels, "app.kubernetes.io/version": version };
    return { ...object, metadata: { ...object.metadata, labels } };
  });
  return JSON.stringify({ apiVersion: "v1", kind: "List", items });
}

interface Capture {
  readonly port: number;
  readonly caPem: string;
  close(): void;
}

async function startCapture(seen: CapturedReview[]): Promise<Capture> {
  const nowMs = Date.now();
  const authority = await createAuthority(nowMs);
  const leaf = await signLeaf(authority, { names: ["localhost", "127.0.0.1"], nowMs });
  const server = createServer({ cert: leaf.certPem, key: leaf.keyPem }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks).toString("utf8");
      const review = JSON.parse(body) as { request: { uid: string; operation: string } };
      const { uid, operation } = review.request;
      seen.push({ door: request.url?.startsWith("/mutate") ? "mutate" : "validate", operation, body });
      response.setHeader("Content-Type", "application/json");
      response.end(JSON.stringify({ ...review, request: undefined, response: { uid, allowed: true } }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  return { port: (server.address() as AddressInfo).port, caPem: authority.certPem, close };
}
