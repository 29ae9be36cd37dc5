import { DEFAULT_NAMESPACE, parseMeshVersion, type ServeConfig } from "../config.ts";

/** Fairlead beside a control plane of its own on this machine, on free ports of the loopback address: demo and tests. */
export function localServeConfig(kubeconfig: string): ServeConfig {
  return {
    kubeconfig,
    env: {},
    namespace: DEFAULT_NAMESPACE,
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
  };
}
