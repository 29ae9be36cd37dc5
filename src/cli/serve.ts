import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import {
  type CertificateSource,
  parseLeaseTiming,
  parseMesh,
  parseMeshVersion,
  parsePeriod,
  parsePort,
  parseRuleLimits,
  parseUrl,
  type Role,
  type ServeConfig,
} from "../config.ts";
import type { FailurePolicy } from "../core/admission/registration.ts";
import { startRole } from "../main.ts";
import type { LogLevel } from "../observe/levels.ts";
import { createLog } from "../observe/log.ts";
import { UsageError } from "../usage-error.ts";

/** The flags of `fairlead serve`, as commander hands them over. */
export interface ServeFlags {
  readonly role: Role;
  readonly certificateDir?: string;
  readonly certificates: CertificateSource;
  readonly leaseDuration?: string;
  readonly leaseRenewDeadline?: string;
  readonly leaseRetryPeriod?: string;
  readonly resyncPeriod: string;
  readonly auditPeriod: string;
  readonly ruleCostLimit: string;
  readonly requestCostLimit: string;
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
  readonly clusterDomain: string;
  readonly logLevel: LogLevel;
}

/** Endpoints forget a terminating pod within a few seconds; writes in flight end within the webhooks' 3 s. */
const DRAIN = { serveMs: 5_000, inFlightMs: 5_000 };

/** Serves until SIGTERM or SIGINT, then drains. Before the start is over there is nothing to drain. */
export async function serve(flags: ServeFlags): Promise<void> {
  const config = configOf(flags);
  const { log, flush } = createLog({ level: flags.logLevel });
  process.once("exit", flush);
  const stopped = Promise.withResolvers<string>();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stopped.resolve(signal));
  const fairlead = await Promise.race([startRole(config, log), stopped.promise]);
  if (typeof fairlead === "string") {
    log.warn({ signal: fairlead }, "stopped while starting");
    process.exit();
  }
  const signal = await stopped.promise;
  log.info({ signal }, "draining");
  await fairlead.stop();
}

function configOf(flags: ServeFlags): ServeConfig {
  return {
    role: flags.role,
    certificateDir: flags.certificateDir,
    certificates: flags.certificates,
    lease: parseLeaseTiming({
      duration: flags.leaseDuration,
      renewDeadline: flags.leaseRenewDeadline,
      retryPeriod: flags.leaseRetryPeriod,
    }),
    identity: `${process.env["POD_NAME"] || hostname()}_${randomBytes(4).toString("hex")}`,
    resyncPeriodMs: parsePeriod("--resync-period", flags.resyncPeriod),
    auditPeriodMs: parsePeriod("--audit-period", flags.auditPeriod),
    ruleLimits: parseRuleLimits({ rule: flags.ruleCostLimit, request: flags.requestCostLimit }),
    // An empty variable counts as none, as kubectl has it.
    kubeconfig: flags.kubeconfig ?? (process.env["KUBECONFIG"] || undefined),
    env: process.env,
    namespace: flags.namespace,
    host: flags.host,
    port: parsePort(flags.port),
    operationsPort: parsePort(flags.operationsPort),
    register: flags.register ?? false,
    url: flags.url === undefined ? undefined : parseUrl(flags.url),
    mesh: flags.mesh === undefined ? undefined : parseMesh(flags.mesh),
    meshVersion: parseMeshVersion(flags.meshVersion),
    clusterDomain: flags.clusterDomain,
    failurePolicy: flags.failurePolicy,
    clientCaPem: flags.clientCa === undefined ? undefined : readCa(flags.clientCa),
    drain: DRAIN,
  };
}

function readCa(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError(`Cannot read --client-ca ${file}: ${(error as Error).message}`, { cause: error });
  }
}
