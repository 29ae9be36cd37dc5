import { readFileSync } from "node:fs";
import { parseMesh, parseMeshVersion, parsePort, parseUrl, type ServeConfig } from "../config.ts";
import type { FailurePolicy } from "../core/admission/registration.ts";
import { startFairlead } from "../main.ts";
import type { LogLevel } from "../observe/levels.ts";
import { createLog } from "../observe/log.ts";

/** The flags of `fairlead serve`, as commander hands them over. */
export interface ServeFlags {
  readonly kubeconfig?: string;
  readonly namespace: string;
  readonly host?: string;
  readonly port: string;
  readonly operationsPort: string;
  readonly register?: boolean;
  readonly url?: string;
  readonly failurePolicy: FailurePolicy;
  readonly clientCa?: string;
  readonly mesh?: string;
  readonly meshVersion?: string;
  readonly logLevel: LogLevel;
}

/** Endpoints forget a terminating pod within a few seconds; writes in flight end within the webhooks' 3 s. */
const DRAIN = { serveMs: 5_000, inFlightMs: 5_000 };

/** Serves until SIGTERM or SIGINT, then drains. */
export async function serve(flags: ServeFlags): Promise<void> {
  const { log, flush } = createLog({ level: flags.logLevel });
  process.once("exit", flush);
  const stopped = Promise.withResolvers<string>();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stopped.resolve(signal));
  const fairlead = await startFairlead(configOf(flags), log);
  const signal = await stopped.promise;
  log.info({ signal }, "draining");
  await fairlead.stop();
}

function configOf(flags: ServeFlags): ServeConfig {
  return {
    kubeconfig: flags.kubeconfig ?? process.env["KUBECONFIG"],
    env: process.env,
    namespace: flags.namespace,
    host: flags.host,
    port: parsePort(flags.port),
    operationsPort: parsePort(flags.operationsPort),
    register: flags.register ?? false,
    url: flags.url === undefined ? undefined : parseUrl(flags.url),
    mesh: flags.mesh === undefined ? undefined : parseMesh(flags.mesh),
    meshVersion: parseMeshVersion(flags.meshVersion),
    failurePolicy: flags.failurePolicy,
    clientCaPem: flags.clientCa === undefined ? undefined : readFileSync(flags.clientCa, "utf8"),
    drain: DRAIN,
  };
}
