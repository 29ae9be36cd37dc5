import { Buffer } from "node:buffer";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { createAuthority, signLeaf } from "../../src/controller/certificate-material.ts";
import type { PatchOperation } from "../../src/core/admission/review.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";

export interface ForeignWebhookOptions {
  /** Of the configuration; the API server asks webhooks in the order of these names. */
  readonly name: string;
  /** Only Services of this namespace are sent. */
  readonly namespace: string;
  readonly mutate: (object: KubernetesObject) => readonly PatchOperation[];
  /** Why an object is refused; undefined, the default, lets it pass. */
  readonly refuse?: (object: KubernetesObject) => string | undefined;
}

/** Somebody else's mutating webhook for Services. */
export class ForeignWebhook {
  readonly configuration: object;
  readonly #server: Server;

  private constructor(server: Server, configuration: object) {
    this.#server = server;
    this.configuration = configuration;
  }

  static async start(options: ForeignWebhookOptions): Promise<ForeignWebhook> {
    const nowMs = Date.now();
    const authority = await createAuthority(nowMs);
    const leaf = await signLeaf(authority, { names: ["127.0.0.1"], nowMs });
    const server = createServer({ cert: leaf.certPem, key: leaf.keyPem }, (request, response) => {
      void respond(request, response, options);
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    const url = `https://127.0.0.1:${port}/`;
    return new ForeignWebhook(server, configuration(options, { url, caBundle: base64(authority.certPem) }));
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  options: ForeignWebhookOptions,
): Promise<void> {
  const review = (await json(request)) as Review;
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(answer(review, options)));
}

interface Review {
  readonly request: { readonly uid: string; readonly object: KubernetesObject };
}

function answer({ request }: Review, { mutate, refuse }: ForeignWebhookOptions): object {
  const message = refuse?.(request.object);
  const patch = base64(JSON.stringify(mutate(request.object)));
  const response =
    message === undefined
      ? { uid: request.uid, allowed: true, patchType: "JSONPatch", patch }
      : { uid: request.uid, allowed: false, status: { code: 403, message } };
  return { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", response };
}

function configuration({ name, namespace }: ForeignWebhookOptions, clientConfig: object): object {
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: { name },
    webhooks: [
      {
        name: `${name}.example.com`,
        clientConfig,
        rules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE", "UPDATE"], resources: ["services"] }],
        namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": namespace } },
        reinvocationPolicy: "IfNeeded",
        failurePolicy: "Fail",
        sideEffects: "None",
        admissionReviewVersions: ["v1"],
      },
    ],
  };
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
