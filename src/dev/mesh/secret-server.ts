import { once } from "node:events";
import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import type { Certificate } from "../control-plane/certificates.ts";
import { decodeMessage, encodeField, encodeMessage } from "./protobuf.ts";

const METHOD = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets";
const SECRET_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
/** gRPC over HTTP/2 puts a byte for "compressed" and four of length before each message. */
const FRAME_HEADER_BYTES = 5;
/** The secrets that Istio's configuration asks for: the proxy's own certificate, and the CA that signs its peers'. */
const OWN_CERTIFICATE = "default";
const TRUSTED_CA = "ROOTCA";

/** Fields of envoy.service.discovery.v3.DiscoveryRequest and of the Node in it. */
const REQUEST = { node: 2, resourceNames: 3, nonce: 5, errorDetail: 6 } as const;
const NODE_ID = 1;

/**
 * What istio-agent is beside each proxy: a secret discovery service. It knows a proxy by the id that the proxy states,
 * which is enough where every proxy is started by the tests.
 */
export class SecretServer {
  readonly #server: Http2Server;
  readonly #authority: Certificate;
  readonly #identities = new Map<string, Certificate>();
  readonly #sessions = new Set<ServerHttp2Session>();
  /** What proxies said about secrets that they did not accept. */
  readonly refusals: string[] = [];

  private constructor(authority: Certificate) {
    this.#authority = authority;
    this.#server = createServer();
    this.#server.on("session", (session) => {
      this.#sessions.add(session);
      session.once("close", () => this.#sessions.delete(session));
      session.on("error", () => {});
    });
    this.#server.on("stream", (stream, headers) => this.#serve(stream, String(headers[":path"])));
  }

  static async start(authority: Certificate): Promise<SecretServer> {
    const server = new SecretServer(authority);
    server.#server.listen(0, "127.0.0.1");
    await once(server.#server, "listening");
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** From now on the proxy with this id gets this certificate. */
  addIdentity(nodeId: string, certificate: Certificate): void {
    this.#identities.set(nodeId, certificate);
  }

  async stop(): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    this.#server.close();
  }

  #serve(stream: ServerHttp2Stream, path: string): void {
    stream.on("error", () => {});
    if (path !== METHOD) {
      stream.respond({ ":status": 404 }, { endStream: true });
      return;
    }
    stream.respond({ ":status": 200, "content-type": "application/grpc" });
    let nodeId = "";
    let received = Buffer.alloc(0);
    stream.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      for (;;) {
        const end = FRAME_HEADER_BYTES + (received.length < FRAME_HEADER_BYTES ? 0 : received.readUInt32BE(1));
        if (received.length < end || end === FRAME_HEADER_BYTES) return;
        const request = decodeMessage(received.subarray(FRAME_HEADER_BYTES, end));
        received = received.subarray(end);
        const node = request.get(REQUEST.node)?.[0];
        if (node !== undefined) nodeId = decodeMessage(node).get(NODE_ID)?.[0]?.toString("utf8") ?? nodeId;
        const answer = this.#answer(nodeId, request);
        if (answer !== undefined) stream.write(frame(answer));
      }
    });
  }

  /** The answer to a question for secrets; none to a confirmation, which carries the nonce of what it confirms. */
  #answer(nodeId: string, request: ReadonlyMap<number, readonly Buffer[]>): Buffer | undefined {
    const problem = request.get(REQUEST.errorDetail)?.[0];
    if (problem !== undefined) this.refusals.push(`${nodeId}: ${problem.toString("utf8")}`);
    if ((request.get(REQUEST.nonce)?.[0]?.length ?? 0) > 0) return undefined;
    const names = (request.get(REQUEST.resourceNames) ?? []).map((name) => name.toString("utf8"));
    const secrets = names.map((name) => this.#secret(nodeId, name));
    return discoveryResponse(secrets.filter((secret) => secret !== undefined));
  }

  #secret(nodeId: string, name: string): Buffer | undefined {
    if (name === TRUSTED_CA) {
      const validationContext = encodeField(1, inline(this.#authority.certPem));
      return encodeMessage([
        [1, name],
        [4, validationContext],
      ]);
    }
    const identity = this.#identities.get(nodeId);
    if (name !== OWN_CERTIFICATE || identity === undefined) return undefined;
    const tlsCertificate = encodeMessage([
      [1, inline(identity.certPem)],
      [2, inline(identity.keyPem)],
    ]);
    return encodeMessage([
      [1, name],
      [2, tlsCertificate],
    ]);
  }
}

/** A DataSource with inline bytes. */
function inline(text: string): Buffer {
  return encodeField(2, text);
}

function discoveryResponse(secrets: readonly Buffer[]): Buffer {
  const resources = secrets.map((secret): readonly [number, Buffer] => [
    2,
    encodeMessage([
      [1, SECRET_TYPE],
      [2, secret],
    ]),
  ]);
  return encodeMessage([[1, "1"], ...resources, [4, SECRET_TYPE], [5, "1"]]);
}

function frame(message: Buffer): Buffer {
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  header.writeUInt32BE(message.length, 1);
  return Buffer.concat([header, message]);
}
