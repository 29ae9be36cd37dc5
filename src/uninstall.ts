import type { MeshVersion } from "./core/mesh/version.ts";
import { KubernetesClient } from "./k8s/client.ts";
import { loadCluster } from "./k8s/config.ts";
import { Uninstall, type UninstallResult } from "./k8s/uninstall.ts";

export type { Uninstall, UninstallResult };

/** Everything that `uninstall` can be told about the cluster. */
export interface UninstallConfig {
  /** Path of a kubeconfig; undefined: the service account of the pod, found through `env`. */
  readonly kubeconfig: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly namespace: string;
  readonly meshVersion: MeshVersion;
  readonly timeoutMs: number;
}

/** Composition root of `uninstall`. */
export async function connectUninstall(
  config: UninstallConfig,
): Promise<{ readonly server: string; readonly uninstall: Uninstall; readonly close: () => void }> {
  const cluster = await loadCluster({ kubeconfig: config.kubeconfig, env: config.env });
  const client = new KubernetesClient(cluster);
  const { namespace, meshVersion, timeoutMs } = config;
  const uninstall = new Uninstall({ client, namespace, meshVersion, timeoutMs });
  return { server: cluster.server, uninstall, close: () => client.close() };
}
