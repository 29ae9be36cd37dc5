import { join } from "node:path";
import { pino } from "pino";
import type { ServeConfig } from "../../src/config.ts";
import { parseMeshVersion } from "../../src/config.ts";
import {
  type ControlPlane,
  type ControlPlaneOptions,
  startControlPlane,
} from "../../src/dev/control-plane/control-plane.ts";
import { gatewayApiCrdPaths, linkerdCrdPaths } from "../../src/dev/control-plane/crds.ts";
import { type Fairlead, startFairlead } from "../../src/main.ts";

export const ROOT = join(import.meta.dirname, "..", "..");
export const FAIRLEAD_CRDS = join(ROOT, "webhook-config", "crds.yaml");

/** A control plane with every CRD that Fairlead knows, before its garbage collector starts. */
export async function startClusterWithCrds(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const crdPaths = [...(await gatewayApiCrdPaths()), ...(await linkerdCrdPaths()), FAIRLEAD_CRDS];
  return startControlPlane({ ...options, crdPaths });
}

export function serveConfig(
  controlPlane: Pick<ControlPlane, "kubeconfigPath">,
  overrides: Partial<ServeConfig> = {},
): ServeConfig {
  return {
    kubeconfig: controlPlane.kubeconfigPath,
    env: {},
    namespace: "fairlead",
    host: "127.0.0.1",
    port: 0,
    operationsPort: 0,
    register: true,
    url: undefined,
    mesh: undefined,
    meshVersion: parseMeshVersion(),
    failurePolicy: "Ignore",
    clientCaPem: undefined,
    drain: { serveMs: 0, inFlightMs: 3_000 },
    ...overrides,
  };
}

/** Fairlead inside the test process. `FAIRLEAD_TEST_LOG=debug` shows what it says. */
export function startInProcess(
  controlPlane: Pick<ControlPlane, "kubeconfigPath">,
  overrides: Partial<ServeConfig> = {},
): Promise<Fairlead> {
  return startFairlead(
    serveConfig(controlPlane, overrides),
    pino({ level: process.env["FAIRLEAD_TEST_LOG"] ?? "silent" }),
  );
}

/** kubectl that fails the test on a non-zero exit. */
export async function kubectl(controlPlane: ControlPlane, args: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await controlPlane.kubectl(args, input === undefined ? {} : { input });
  if (code !== 0) throw new Error(`kubectl ${args.join(" ")} ended with ${code}: ${stderr}`);
  return stdout;
}
