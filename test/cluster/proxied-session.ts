import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ServeConfig } from "../../src/config.ts";
import { FaultProxy, type ProxiedWrite } from "./fault-proxy.ts";
import { Session } from "./session.ts";

/** Not what Fairlead does to the cluster's objects: its Lease, its Events, questions. */
const HOUSEKEEPING = /\/leases\/|\/leases\?|\/events|selfsubject/;

/** A session whose Fairlead reaches the API server through a proxy that misbehaves on demand; people reach it directly. */
export class ProxiedSession {
  readonly session: Session;
  readonly proxy: FaultProxy;
  readonly #kubeconfig: string;
  /** Writes of Fairlead that arrived at the proxy, in order. */
  readonly writes: ProxiedWrite[] = [];

  private constructor(session: Session, proxy: FaultProxy, kubeconfig: string) {
    this.session = session;
    this.proxy = proxy;
    this.#kubeconfig = kubeconfig;
    this.misbehave(() => undefined);
  }

  static async start(config: Partial<ServeConfig>): Promise<ProxiedSession> {
    const session = await Session.start();
    const { cluster, directory } = session;
    const client = await cluster.issueClient({ user: "fairlead", groups: ["system:masters"] });
    const proxy = await FaultProxy.start({ url: cluster.url, caPem: cluster.caPem, client });
    const kubeconfig = join(directory, "proxy.kubeconfig");
    const { server, ca = "" } = proxy.cluster;
    const authority = Buffer.from(ca).toString("base64");
    await writeFile(
      kubeconfig,
      JSON.stringify({
        apiVersion: "v1",
        kind: "Config",
        "current-context": "proxy",
        contexts: [{ name: "proxy", context: { cluster: "proxy", user: "proxy" } }],
        clusters: [{ name: "proxy", cluster: { server, "certificate-authority-data": authority } }],
        users: [{ name: "proxy", user: {} }],
      }),
    );
    const proxied = new ProxiedSession(session, proxy, kubeconfig);
    await proxied.restart(config);
    return proxied;
  }

  restart(config: Partial<ServeConfig>): Promise<void> {
    return this.session.restart({ ...config, kubeconfig: this.#kubeconfig });
  }

  /** From now on this answers writes, but for housekeeping; {@link writes} starts anew. */
  misbehave(onWrite: FaultProxy["onWrite"]): void {
    this.writes.length = 0;
    this.proxy.onWrite = (write) => {
      if (HOUSEKEEPING.test(write.path)) return undefined;
      this.writes.push(write);
      return onWrite(write);
    };
  }

  async stop(): Promise<void> {
    await this.session.stopFairlead();
    await this.proxy.stop();
    await this.session.stop();
  }
}
