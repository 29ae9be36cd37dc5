import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";

/** What a backend does with a request. */
export interface Behaviour {
  /** 200 unless told. */
  readonly status?: number;
  readonly delayMs?: number;
}

/** A server behind a Service, which counts what reaches it and can be told to fail or to be slow. */
export class Backend {
  readonly address: string;
  readonly port: number;
  behaviour: Behaviour = {};
  hits = 0;
  /** The headers of the last request. */
  headers: IncomingHttpHeaders = {};
  readonly #server: Server;

  private constructor(address: string, port: number) {
    this.address = address;
    this.port = port;
    this.#server = createServer((request, response) => {
      this.hits += 1;
      this.headers = request.headers;
      const { status = 200, delayMs = 0 } = this.behaviour;
      request.resume();
      const answer = () => response.writeHead(status).end();
      if (delayMs > 0) setTimeout(answer, delayMs).unref();
      else answer();
    });
  }

  static async start(address: string, port: number): Promise<Backend> {
    const backend = new Backend(address, port);
    backend.#server.listen(port, address);
    await once(backend.#server, "listening");
    return backend;
  }

  /** Forgets what it has counted and how it was told to behave. */
  reset(): void {
    this.behaviour = {};
    this.hits = 0;
    this.headers = {};
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
