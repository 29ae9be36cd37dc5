import { z } from "zod";
import { launch } from "../control-plane/component.ts";
import { freePort } from "../control-plane/ports.ts";
import type { Supervised } from "../control-plane/process.ts";
import type { Workspace } from "../control-plane/workspace.ts";
import { type ProxyIdentity, renderBootstrap } from "./bootstrap.ts";
import { answers } from "./probe.ts";

export interface ProxyOptions {
  readonly binary: string;
  readonly workspace: Workspace;
  readonly identity: ProxyIdentity;
  readonly discoveryPort: number;
  readonly secretPort: number;
}

const Clusters = z.object({
  cluster_statuses: z
    .array(
      z.object({
        name: z.string(),
        host_statuses: z
          .array(
            z.object({
              address: z.object({ socket_address: z.object({ address: z.string() }).optional() }).optional(),
            }),
          )
          .optional(),
      }),
    )
    .optional(),
});

const TRANSITION_GAUGES =
  "^(cluster_manager.warming_clusters|listener_manager.total_(listeners_warming|listeners_draining|filter_chains_draining))$";

/** A running Envoy that gets its configuration from istiod. */
export class Proxy {
  readonly identity: ProxyIdentity;
  readonly #adminPort: number;
  readonly #child: Supervised;

  private constructor(parts: { identity: ProxyIdentity; adminPort: number; child: Supervised }) {
    this.identity = parts.identity;
    this.#adminPort = parts.adminPort;
    this.#child = parts.child;
  }

  /** Starts Envoy and waits until it has its first configuration and its certificates. */
  static async start(options: ProxyOptions): Promise<Proxy> {
    const { binary, workspace, identity } = options;
    let adminPort = 0;
    const child = await launch({
      name: `Envoy of ${identity.name}`,
      logPath: workspace.file(`envoy-${identity.name}.log`),
      command: async () => {
        adminPort = await freePort();
        const bootstrap = JSON.stringify(renderBootstrap({ ...options, adminPort }));
        const path = workspace.write(`envoy-${identity.name}.json`, bootstrap);
        return envoyCommand(binary, path);
      },
      isReady: () => answers(`http://127.0.0.1:${adminPort}/ready`),
    });
    return new Proxy({ identity, adminPort, child });
  }

  /** The counters and gauges whose name matches, which is a regular expression of Envoy's. */
  async stats(filter: string): Promise<ReadonlyMap<string, number>> {
    const text = await this.#get(`/stats?filter=${encodeURIComponent(filter)}`);
    const rows = text.split("\n").map((line) => line.split(": "));
    return new Map(rows.flatMap(([name, value]) => (name && value ? [[name, Number(value)]] : [])));
  }

  /** The updates that this Envoy has refused, by the name of their counter. */
  async rejections(): Promise<readonly string[]> {
    const counters = await this.stats("update_rejected$");
    return [...counters].flatMap(([name, count]) => (count > 0 ? [`${name}: ${count}`] : []));
  }

  /**
   * How much is between the old and the new configuration: clusters and listeners that wait for their endpoints, routes
   * or certificates, and old listeners whose connections are not closed yet. Those still do what they were told before.
   */
  async inTransition(): Promise<number> {
    const gauges = await this.stats(TRANSITION_GAUGES);
    return [...gauges.values()].reduce((sum, value) => sum + value, 0);
  }

  /** The addresses behind a port of a host, each as often as it is there; empty when the proxy knows no such host. */
  async endpoints(host: string, port: number): Promise<readonly string[]> {
    const { cluster_statuses: clusters = [] } = Clusters.parse(JSON.parse(await this.#get("/clusters?format=json")));
    const cluster = clusters.find(({ name }) => name === `outbound|${port}||${host}`);
    const addresses = (cluster?.host_statuses ?? []).map((status) => status.address?.socket_address?.address ?? "");
    return addresses.sort();
  }

  /** The last lines of what Envoy wrote, which say why it refused an update. */
  logTail(): string {
    return this.#child.logTail();
  }

  async stop(): Promise<void> {
    await this.#child.stop();
  }

  async #get(path: string): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.#adminPort}${path}`);
    if (!response.ok) throw new Error(`Cannot read ${path} of ${this.identity.name}: it answers ${response.status}`);
    return response.text();
  }
}

/** One worker, so that what a worker counts is what the proxy counts; old listeners end at once. */
function envoyCommand(binary: string, bootstrapPath: string): string[] {
  return [
    binary,
    "--config-path",
    bootstrapPath,
    "--concurrency",
    "1",
    "--disable-hot-restart",
    "--drain-time-s",
    "0",
    "--drain-strategy",
    "immediate",
    "--log-level",
    "warning",
  ];
}
