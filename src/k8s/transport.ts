import type { IncomingMessage } from "node:http";
import { Agent, request as httpsRequest } from "node:https";
import { createSecureContext } from "node:tls";
import type { Cluster, Credentials } from "./config.ts";

/** Requests in flight at once; more wait in the agent. Watches do not count: each holds a connection of its own. */
const REQUESTS_MAX = 16;

export interface Outgoing {
  readonly method: string;
  /** Path and query, without the prefix of the server. */
  readonly path: string;
  readonly payload?: string | undefined;
  readonly contentType?: string | undefined;
  readonly signal: AbortSignal;
  /** True for a watch, which must not take one of the places of ordinary requests. */
  readonly longLived?: boolean;
}

interface Agents {
  readonly cert: string;
  readonly short: Agent;
  readonly long: Agent;
}

/** Connections to one API server: node:https, HTTP/1.1, kept alive (docs/adr/0005-watching.md). */
export class Transport {
  readonly #cluster: Cluster;
  readonly #server: URL;
  #agents: Agents | undefined;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#server = new URL(cluster.server);
    if (this.#server.protocol !== "https:") throw new Error(`Cannot use ${cluster.server}: want an https address`);
  }

  /** Resolves at the headers. A kept-alive connection that the server had just closed is tried once more. */
  async send(outgoing: Outgoing): Promise<IncomingMessage> {
    const credentials = await this.#cluster.credentials();
    const agents = this.#agentsFor(credentials);
    const agent = outgoing.longLived ? agents.long : agents.short;
    try {
      return await this.#once(outgoing, credentials, agent);
    } catch (error) {
      if (!(error instanceof StaleConnectionError)) throw error;
      return this.#once(outgoing, credentials, agent);
    }
  }

  refreshCredentials(): void {
    this.#cluster.refresh();
  }

  close(): void {
    this.#agents?.short.destroy();
    this.#agents?.long.destroy();
    this.#agents = undefined;
  }

  #once(outgoing: Outgoing, credentials: Credentials, agent: Agent): Promise<IncomingMessage> {
    const { payload, contentType } = outgoing;
    const headers: Record<string, string | number> = { Accept: "application/json", ...credentials.headers };
    if (payload !== undefined) {
      headers["Content-Type"] = contentType ?? "application/json";
      headers["Content-Length"] = Buffer.byteLength(payload);
    }
    return new Promise((resolve, reject) => {
      const request = httpsRequest({
        agent,
        host: this.#server.hostname.replace(/^\[(.*)\]$/, "$1"),
        port: this.#server.port || 443,
        method: outgoing.method,
        path: this.#server.pathname.replace(/\/$/, "") + outgoing.path,
        headers,
        signal: outgoing.signal,
      });
      request.once("response", resolve);
      request.on("error", (error: NodeJS.ErrnoException) => {
        const stale = request.reusedSocket && (error.code === "ECONNRESET" || error.code === "EPIPE");
        reject(stale ? new StaleConnectionError("The server closed the connection", { cause: error }) : error);
      });
      request.end(payload);
    });
  }

  /**
   * One pair of agents for each client certificate; the parsed TLS context is shared by all connections. An earlier
   * pair is left to end its requests; the server closes its idle connections.
   */
  #agentsFor(credentials: Credentials): Agents {
    const cert = String(credentials.cert ?? "");
    if (this.#agents?.cert === cert) return this.#agents;
    const { ca, serverName, insecure } = this.#cluster;
    const secureContext = createSecureContext({ ca, cert: credentials.cert, key: credentials.key });
    const tls = {
      keepAlive: true,
      secureContext,
      ...(serverName !== undefined && { servername: serverName }),
      ...(insecure && { rejectUnauthorized: false }),
    };
    this.#agents = { cert, short: new Agent({ ...tls, maxSockets: REQUESTS_MAX }), long: new Agent(tls) };
    return this.#agents;
  }
}

class StaleConnectionError extends Error {}
