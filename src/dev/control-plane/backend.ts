/** What stands behind the API servers: their files, the etcd they share, and the controllers. */

import { controllerManagerCommand, etcdCommand } from "./arguments.ts";
import type { ControlPlaneCertificates } from "./certificates.ts";
import { answersOk, launch } from "./component.ts";
import { renderKubeconfig } from "./kubeconfig.ts";
import { freePort } from "./ports.ts";
import type { Supervised } from "./process.ts";
import type { Workspace } from "./workspace.ts";

interface BackendOptions {
  readonly workspace: Workspace;
  readonly certificates: ControlPlaneCertificates;
  readonly certificateDirectory: string;
  readonly binary: string;
}

/** Writes the files that the command lines name, and returns their directory. */
export function writeCertificates(options: Pick<BackendOptions, "workspace" | "certificates">): string {
  const { workspace } = options;
  const { ca, serving, serviceAccount } = options.certificates;
  const directory = workspace.directory("certificates");
  workspace.write("certificates/ca.crt", ca.certPem);
  workspace.write("certificates/serving.crt", serving.certPem);
  workspace.write("certificates/serving.key", serving.keyPem);
  workspace.write("certificates/service-account.key", serviceAccount.privatePem);
  workspace.write("certificates/service-account.pub", serviceAccount.publicPem);
  return directory;
}

/** Starts etcd and tells the port on which it serves clients. */
export async function startEtcd(options: BackendOptions): Promise<{ child: Supervised; port: number }> {
  const { workspace, certificates, certificateDirectory, binary } = options;
  const probe = { caPem: certificates.ca.certPem, ...certificates.admin };
  let port = 0;
  const child = await launch({
    name: "etcd",
    logPath: workspace.file("etcd.log"),
    command: async () => {
      port = await freePort();
      const ports = { clientPort: port, peerPort: await freePort() };
      return etcdCommand({ binary, certificateDirectory, dataDirectory: workspace.file("etcd"), ...ports });
    },
    isReady: () => answersOk(`https://127.0.0.1:${port}/health`, probe),
  });
  return { child, port };
}

/** Starts the controllers at the API server of this URL and waits for the first object that they write. */
export async function startControllerManager(options: BackendOptions & { url: string }): Promise<Supervised> {
  const { workspace, certificates, certificateDirectory, binary, url } = options;
  const caPem = certificates.ca.certPem;
  const kubeconfig = renderKubeconfig({ url, caPem, client: certificates.controllerManager });
  const kubeconfigPath = workspace.write("kubeconfig-controller-manager", kubeconfig);
  const firstWritten = `${url}/api/v1/namespaces/default/serviceaccounts/default`;
  return launch({
    name: "kube-controller-manager",
    logPath: workspace.file("kube-controller-manager.log"),
    command: async () => controllerManagerCommand({ binary, kubeconfigPath, certificateDirectory }),
    isReady: () => answersOk(firstWritten, { caPem, ...certificates.admin }),
  });
}
