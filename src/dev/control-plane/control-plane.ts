import { ApiServer } from "./api-server.ts";
import { startControllerManager, startEtcd, writeCertificates } from "./backend.ts";
import { resolveBinary } from "./binaries.ts";
import {
  type Certificate,
  type ClientIdentity,
  type ControlPlaneCertificates,
  createCertificates,
  issueClient,
} from "./certificates.ts";
import { type CommandOptions, type CommandResult, runCommand } from "./command.ts";
import { installCrds } from "./crds.ts";
import type { Supervised } from "./process.ts";
import type { BinaryName } from "./versions.ts";
import { Workspace } from "./workspace.ts";

export interface ControlPlaneOptions {
  /** How many kube-apiservers share the one etcd; 1 unless told. */
  readonly apiServers?: number;
  /** Without it nothing collects garbage, makes ServiceAccounts or ends a Namespace; it runs unless told. */
  readonly controllerManager?: boolean;
  readonly extraApiServerArgs?: readonly string[];
  /**
   * CRDs to install before the controllers start. The garbage collector looks for new kinds only every 30 seconds,
   * so it would notice late that an owner of a kind installed afterwards is gone.
   */
  readonly crdPaths?: readonly string[];
}

/** Starts etcd, kube-apiserver and kube-controller-manager and waits until they are ready. */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const { apiServers = 1, controllerManager = true, extraApiServerArgs = [], crdPaths = [] } = options;
  const needed: BinaryName[] = ["etcd", "kube-apiserver", "kubectl"];
  if (controllerManager) needed.push("kube-controller-manager");
  const binaries = new Map<BinaryName, string>();
  for (const name of needed) binaries.set(name, await resolveBinary(name));
  const certificates = await createCertificates();
  const workspace = await Workspace.create("fairlead-control-plane-");
  const controlPlane = new ControlPlane({ workspace, certificates, binaries });
  try {
    await controlPlane.start({ apiServers, controllerManager, extraApiServerArgs, crdPaths });
    return controlPlane;
  } catch (error) {
    await controlPlane.stop();
    throw error;
  }
}

interface Parts {
  readonly workspace: Workspace;
  readonly certificates: ControlPlaneCertificates;
  readonly binaries: ReadonlyMap<BinaryName, string>;
}

/** A running control plane. All of its files are in one directory, which stop() removes. */
export class ControlPlane {
  readonly directory: string;
  readonly caPem: string;
  readonly admin: Certificate;
  readonly apiServers: ApiServer[] = [];
  readonly #parts: Parts;
  #etcd: Supervised | undefined;
  #controllerManager: Supervised | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.directory = parts.workspace.path;
    this.caPem = parts.certificates.ca.certPem;
    this.admin = parts.certificates.admin;
  }

  /** The first API server's URL. */
  get url(): string {
    return this.#apiServer(0).url;
  }

  /** The kubeconfig of an administrator at the first API server. */
  get kubeconfigPath(): string {
    return this.#apiServer(0).kubeconfigPath;
  }

  /** Called once, by startControlPlane(). */
  async start(options: Required<ControlPlaneOptions>): Promise<void> {
    const { workspace, certificates } = this.#parts;
    const certificateDirectory = writeCertificates(this.#parts);
    workspace.directory("home");
    const shared = { workspace, certificates, certificateDirectory };
    const etcd = await startEtcd({ ...shared, binary: this.#binary("etcd") });
    this.#etcd = etcd.child;
    const settings = {
      binary: this.#binary("kube-apiserver"),
      etcdPort: etcd.port,
      certificateDirectory,
      serviceAccounts: options.controllerManager,
      extra: options.extraApiServerArgs,
    };
    for (let index = 0; index < options.apiServers; index++) {
      this.apiServers.push(new ApiServer({ index, workspace, caPem: this.caPem, admin: this.admin, settings }));
    }
    // One server alone writes the objects that every cluster begins with; the others find them.
    await this.startApiServer(0);
    const starts = await Promise.allSettled(this.apiServers.map((server) => server.start()));
    for (const start of starts) if (start.status === "rejected") throw start.reason;
    if (options.crdPaths.length > 0) await installCrds(this, options.crdPaths);
    if (!options.controllerManager) return;
    const binary = this.#binary("kube-controller-manager");
    this.#controllerManager = await startControllerManager({ ...shared, binary, url: this.url });
  }

  /** Runs the control plane's own kubectl as an administrator. */
  async kubectl(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return runCommand([this.#binary("kubectl"), ...args], this.#home(), options);
  }

  /** Runs Helm as an administrator; the first call on a machine builds it. */
  async helm(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return runCommand([await resolveBinary("helm"), ...args], this.#home(), options);
  }

  /** Issues a client certificate for any user and groups. */
  async issueClient(identity: ClientIdentity): Promise<Certificate> {
    return issueClient(this.#parts.certificates.ca, identity);
  }

  async startApiServer(index: number): Promise<void> {
    await this.#apiServer(index).start();
  }

  /** Ends an API server at once, without a chance to finish its requests. */
  async killApiServer(index: number): Promise<void> {
    await this.#apiServer(index).kill();
  }

  /** Restarts an API server on the same port, as a rolling update does. */
  async restartApiServer(index: number): Promise<void> {
    await this.#apiServer(index).stop();
    await this.#apiServer(index).start();
  }

  /** Kills every process, since nothing they hold is kept, and removes the directory. */
  async stop(): Promise<void> {
    const children = [this.#controllerManager?.stop(), ...this.apiServers.map((server) => server.kill())];
    await Promise.all([...children, this.#etcd?.stop()]);
    await this.#parts.workspace.remove();
  }

  #home(): { directory: string; kubeconfigPath: string } {
    return { directory: this.#parts.workspace.file("home"), kubeconfigPath: this.kubeconfigPath };
  }

  #binary(name: BinaryName): string {
    const path = this.#parts.binaries.get(name);
    if (path === undefined) throw new Error(`Cannot run ${name}: it was not resolved when the control plane started`);
    return path;
  }

  #apiServer(index: number): ApiServer {
    const server = this.apiServers[index];
    if (server === undefined) throw new Error(`Cannot find API server ${index}: there are ${this.apiServers.length}`);
    return server;
  }
}
