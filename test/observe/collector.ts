import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";

type Value = { readonly stringValue?: string; readonly intValue?: number | string; readonly boolValue?: boolean };
type KeyValues = readonly { readonly key: string; readonly value: Value }[];

/** A span as OTLP's JSON has it, attributes as a record. */
export interface Received {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly status: unknown;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly resource: Readonly<Record<string, unknown>>;
}

/** A collector for OTLP over HTTP that keeps what it gets; `hang` never answers. */
export class Collector {
  readonly spans: Received[] = [];
  readonly bodies: string[] = [];
  readonly headers: IncomingHttpHeaders[] = [];
  readonly paths: (string | undefined)[] = [];
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async start(mode: "answer" | "hang" = "answer"): Promise<Collector> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const collector = new Collector(server);
    server.on("request", (request, response) => {
      collector.paths.push(request.url);
      collector.headers.push(request.headers);
      let body = "";
      request.setEncoding("utf8").on("data", (text: string) => (body += text));
      request.on("end", () => {
        collector.bodies.push(body);
        collector.spans.push(...spansOf(JSON.parse(body)));
        if (mode === "answer") response.setHeader("Content-Type", "application/json").end("{}");
      });
    });
    return collector;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}

interface ExportRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: KeyValues };
    readonly scopeSpans: readonly {
      readonly spans: readonly (Omit<Received, "attributes" | "resource"> & { readonly attributes: KeyValues })[];
    }[];
  }[];
}

function spansOf({ resourceSpans }: ExportRequest): readonly Received[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({ ...span, attributes: record(span.attributes), resource: record(resource.attributes) })),
    ),
  );
}

function record(list: KeyValues): Readonly<Record<string, unknown>> {
  return Object.fromEntries(list.map(({ key, value }) => [key, Object.values(value)[0]]));
}
