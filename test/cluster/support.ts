import { join } from "node:path";
import { pino } from "pino";
import type { ServeConfig } from "../../src/config.ts";
import {
  type ControlPlane,
  type ControlPlaneOptions,
  startControlPlane,
} from "../../src/dev/control-plane/control-plane.ts";
import { gatewayApiCrdPaths, istioCrdPaths, linkerdCrdPaths } from "../../src/dev/control-plane/crds.ts";
import { localServeConfig } from "../../src/dev/local-serve-config.ts";
import { type Fairlead, startFairlead } from "../../src/main.ts";
import { kubeconfigOf } from "./rights.ts";

export const ROOT = join(import.meta.dirname, "..", "..");
export const REPORT_CRD = join(ROOT, "test", "fixtures", "crds", "openreports.yaml");
export const FAIRLEAD_CRDS = join(ROOT, "webhook-config", "crds.yaml");

/** A control plane with every CRD that Fairlead knows, before its garbage collector starts. */
export async function startClusterWithCrds(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const crdPaths = [
    ...(await gatewayApiCrdPaths()),
    ...(await linkerdCrdPaths()),
    ...(await istioCrdPaths()),
    FAIRLEAD_CRDS,
  ];
  return startControlPlane({ ...options, crdPaths });
}

export function serveConfig(
  controlPlane: Pick<ControlPlane, "kubeconfigPath">,
  overrides: Partial<ServeConfig> = {},
): ServeConfig {
  return { ...localServeConfig(controlPlane.kubeconfigPath), ...overrides };
}

/** Fairlead inside the test process, with the rights of the chart. `FAIRLEAD_TEST_LOG=debug` shows what it says. */
export async function startInProcess(
  controlPlane: ControlPlane,
  overrides: Partial<ServeConfig> = {},
): Promise<Fairlead> {
  const kubeconfigPath = await kubeconfigOf(controlPlane, "fairlead");
  return startFairlead(
    serveConfig({ kubeconfigPath }, overrides),
    pino({ level: process.env["FAIRLEAD_TEST_LOG"] ?? "silent" }),
  );
}

/** kubectl that fails the test on a non-zero exit. */
export async function kubectl(controlPlane: ControlPlane, args: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await controlPlane.kubectl(args, input === undefined ? {} : { input });
  if (code !== 0) throw new Error(`kubectl ${args.join(" ")} ended with ${code}: ${stderr}`);
  return stdout;
}
