import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import express, { type ErrorRequestHandler, type Express, type Request, type Response } from "express";
import type { Logger } from "pino";
import type { VersionTaken } from "../core/mesh/discovery.ts";
import type { Metrics } from "../observe/metrics.ts";
import { statusBody } from "./admission.ts";
import type { Readiness } from "./readiness.ts";

export interface OperationsOptions {
  /** 0 takes a free port. */
  readonly port: number;
  /** Absent: all addresses. */
  readonly host?: string;
  readonly readiness: Readiness;
  readonly metrics: Metrics;
  /** Seconds since each watch last heard from the API server; shown by `/readyz?verbose`, never a reason to be unready. */
  readonly stalenessSeconds: () => Iterable<readonly [kind: string, seconds: number]>;
  /** The versions of meshes that settings are compiled for; shown by `/readyz?verbose`. */
  readonly meshVersions: () => Iterable<VersionTaken>;
  /** Wall clock, milliseconds since 1970. */
  readonly nowMs: () => number;
  readonly log: Logger;
}

export interface OperationsServer {
  readonly port: number;
  close(): Promise<void>;
}

/** The plain HTTP port for the kubelet and Prometheus: `/livez`, `/readyz`, `/metrics`. */
export async function startOperationsServer(options: OperationsOptions): Promise<OperationsServer> {
  const server = createServer(operationsApp(options));
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(options.port, options.host, resolve);
  await promise;
  server.off("error", reject);
  server.on("error", (error) => options.log.error({ err: error }, "operations port failed"));
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      server.closeAllConnections();
      await closed.promise;
    },
  };
}

function operationsApp(options: OperationsOptions): Express {
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.get("/livez", (_req, res) => {
    res.type("text/plain").send("ok\n");
  });
  app.get("/readyz", (req, res) => answerReadiness(req, res, options));
  app.get("/metrics", async (_req, res) => {
    const text = await options.metrics.registry.metrics();
    res.set("Content-Type", options.metrics.registry.contentType).end(text);
  });
  app.use((_req, res) => {
    res
      .status(404)
      .type("json")
      .send(statusBody(404, "NotFound", "Cannot find this path; there are /livez, /readyz and /metrics"));
  });
  // Express knows error handlers by their four parameters.
  // oxlint-disable-next-line max-params
  const onError: ErrorRequestHandler = (error: unknown, _req, res, next) => {
    options.log.error({ err: error }, "operations request failed");
    if (res.headersSent) next(error);
    else
      res
        .status(500)
        .type("json")
        .send(statusBody(500, "InternalError", "Fairlead failed; its log has the details"));
  };
  app.use(onError);
  return app;
}

/** The format of kube-apiserver's own `/readyz?verbose`, which operators know. */
function answerReadiness(req: Request, res: Response, options: OperationsOptions): void {
  const { ready, lines } = options.readiness.report(options.nowMs());
  res.status(ready ? 200 : 503).type("text/plain");
  if (ready && req.query["verbose"] === undefined) {
    res.send("ok\n");
    return;
  }
  const text = lines.map(({ name, ok, detail }) => (ok ? `[+]${name} ok` : `[-]${name} failed: ${detail}`));
  if (options.readiness.latched) text.push("started: the checks of the start gate no longer count");
  for (const [kind, seconds] of options.stalenessSeconds()) text.push(`staleness ${kind} ${seconds.toFixed(1)}s`);
  for (const { mesh, revision, version, source } of options.meshVersions())
    text.push(`version ${[mesh, ...(revision === "" ? [] : [revision]), version].join(" ")} from ${source}`);
  text.push(ready ? "readyz check passed" : "readyz check failed");
  res.send(`${text.join("\n")}\n`);
}
