import { stringify } from "yaml";
import { z } from "zod";
import { type Certificate, issueServing } from "../control-plane/certificates.ts";
import { launch } from "../control-plane/component.ts";
import { freePort } from "../control-plane/ports.ts";
import type { Supervised } from "../control-plane/process.ts";
import type { Workspace } from "../control-plane/workspace.ts";
import { answers } from "./probe.ts";

export const ISTIO_NAMESPACE = "istio-system";
export const TRUST_DOMAIN = "cluster.local";

/** Short, since a test waits for it again and again; istiod's own 100 ms spare the CPU of large clusters. */
const SHORT_DEBOUNCE = "20ms";

const ENVIRONMENT = {
  POD_NAME: "istiod",
  POD_NAMESPACE: ISTIO_NAMESPACE,
  // Filters of Istio's own build of Envoy; the Envoy of the project Envoy would refuse every listener with them.
  PILOT_ENABLE_METADATA_EXCHANGE: "false",
  PILOT_ENABLE_ALPN_FILTER: "false",
  // Without iptables a proxy does not know which address its client meant, and has to find that of a Pod by itself.
  PILOT_ENABLE_EDS_FOR_HEADLESS_SERVICES: "true",
  // Proxies get their certificates from a server of the tests and say who they are without proof.
  PILOT_CERT_PROVIDER: "none",
  ENABLE_CA_SERVER: "false",
  XDS_AUTH: "false",
  ENABLE_LEADER_ELECTION: "false",
};

export interface IstiodOptions {
  readonly binary: string;
  readonly kubeconfigPath: string;
  readonly workspace: Workspace;
  /** Signs the certificate of istiod's validation webhook. */
  readonly authority: Certificate;
  /** How long istiod waits for more changes before it tells proxies of one, such as `100ms`; short unless told. */
  readonly debounce?: string;
}

interface Ports {
  readonly xds: number;
  readonly http: number;
  readonly webhook: number;
  readonly monitoring: number;
}

const StoredConfig = z.object({
  kind: z.string(),
  metadata: z.object({ name: z.string(), namespace: z.string().optional(), resourceVersion: z.string().optional() }),
});
const StoredConfigs = z.array(StoredConfig);
export type StoredConfig = z.infer<typeof StoredConfig>;

/** A running istiod, which reads the objects of one API server and tells proxies on this machine what follows. */
export class Istiod {
  readonly #ports: Ports;
  readonly #child: Supervised;

  private constructor(ports: Ports, child: Supervised) {
    this.#ports = ports;
    this.#child = child;
  }

  static async start(options: IstiodOptions): Promise<Istiod> {
    const { workspace, authority, debounce = SHORT_DEBOUNCE } = options;
    const serving = await issueServing(authority, "istiod");
    workspace.write("istiod.crt", serving.certPem);
    workspace.write("istiod.key", serving.keyPem);
    workspace.write("istiod-ca.crt", authority.certPem);
    workspace.write("mesh.yaml", stringify(meshConfig()));
    let ports: Ports | undefined;
    const child = await launch({
      name: "istiod",
      logPath: workspace.file("istiod.log"),
      env: { ...ENVIRONMENT, PILOT_DEBOUNCE_AFTER: debounce, PATH: process.env["PATH"], HOME: workspace.path },
      command: async () => {
        ports = {
          xds: await freePort(),
          http: await freePort(),
          webhook: await freePort(),
          monitoring: await freePort(),
        };
        return istiodCommand(options, ports);
      },
      isReady: () => answers(`http://127.0.0.1:${ports?.http}/ready`),
    });
    if (ports === undefined) throw new Error("Cannot tell the ports of istiod: it was never started");
    return new Istiod(ports, child);
  }

  /** Where proxies ask for their configuration, in plain HTTP/2. */
  get discoveryPort(): number {
    return this.#ports.xds;
  }

  /** Where istiod answers AdmissionReviews about Istio's own objects. */
  get webhookUrl(): string {
    return `https://127.0.0.1:${this.#ports.webhook}/validate`;
  }

  /** The objects of Istio that istiod knows now. */
  async storedConfigs(): Promise<readonly StoredConfig[]> {
    return StoredConfigs.parse(await (await this.#get(this.#ports.http, "/debug/configz")).json());
  }

  /** How often a proxy has refused what this istiod sent. */
  async rejections(): Promise<number> {
    const metrics = await (await this.#get(this.#ports.monitoring, "/metrics")).text();
    const counts = [...metrics.matchAll(/^pilot_total_xds_rejects(?:\{[^}]*\})? (\S+)$/gm)];
    return counts.reduce((sum, [, count]) => sum + Number(count), 0);
  }

  async stop(): Promise<void> {
    await this.#child.stop();
  }

  async #get(port: number, path: string): Promise<Response> {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    if (!response.ok) throw new Error(`Cannot read ${path} of istiod: it answers ${response.status}`);
    return response;
  }
}

function istiodCommand(options: IstiodOptions, ports: Ports): string[] {
  const { binary, kubeconfigPath, workspace } = options;
  return [
    binary,
    "discovery",
    `--kubeconfig=${kubeconfigPath}`,
    `--meshConfig=${workspace.file("mesh.yaml")}`,
    "--networksConfig=/dev/null",
    `--grpcAddr=127.0.0.1:${ports.xds}`,
    `--httpAddr=127.0.0.1:${ports.http}`,
    `--httpsAddr=127.0.0.1:${ports.webhook}`,
    `--monitoringAddr=127.0.0.1:${ports.monitoring}`,
    "--secureGRPCAddr=",
    "--ctrlz_port=0",
    `--tlsCertFile=${workspace.file("istiod.crt")}`,
    `--tlsKeyFile=${workspace.file("istiod.key")}`,
    `--caCertFile=${workspace.file("istiod-ca.crt")}`,
    "--kubernetesApiQPS=500",
    "--kubernetesApiBurst=1000",
  ];
}

/** As a mesh is installed by default, except that a request to a host that nobody knows gets an error. */
function meshConfig(): object {
  return {
    enableAutoMtls: true,
    outboundTrafficPolicy: { mode: "REGISTRY_ONLY" },
    protocolDetectionTimeout: "0s",
    trustDomain: TRUST_DOMAIN,
    rootNamespace: ISTIO_NAMESPACE,
  };
}
