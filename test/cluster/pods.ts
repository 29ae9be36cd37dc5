import { mkdir, readlink, rename, rm, symlink, writeFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { setTimeout as delay, setInterval } from "node:timers/promises";
import type { ControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { freePort } from "../../src/dev/control-plane/ports.ts";
import { spawnSupervised, type Supervised } from "../../src/dev/control-plane/process.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { ApiError } from "../../src/k8s/api-error.ts";
import { type KubernetesClient, resourcePath } from "../../src/k8s/client.ts";
import {
  deploymentsIn,
  NAMESPACE,
  type Rendered,
  type RenderedDeployment,
  type VolumeSource,
} from "./chart-support.ts";
import { kubectl, ROOT } from "./support.ts";

/** The kubelet takes up to a minute to follow a Secret; a test need not. */
const FOLLOW_MS = 200;
/** `terminationGracePeriodSeconds` of the chart. */
const GRACE_MS = 30_000;
/** The API server goes on sending requests for so long after SIGTERM: endpoints follow pods with a delay. */
const ENDPOINT_LAG_MS = 1_000;
const SLICES = { group: "discovery.k8s.io", version: "v1", resource: "endpointslices", namespace: NAMESPACE };

export interface Machine {
  readonly cluster: ControlPlane;
  /** Of an administrator. */
  readonly client: KubernetesClient;
}

/**
 * One pod of a Deployment as a process of this machine, started with the arguments, the environment and the
 * ServiceAccount of the Deployment and with nothing else. This class does what the kubelet does: the token, the
 * mounted files, the address of the API server, the name of the pod, readiness, SIGTERM. Because all pods share one
 * machine, their ports are free ones in place of 8443 and 8080, and mounts are directories in place of absolute paths.
 */
export class Pod {
  readonly name: string;
  readonly deployment: RenderedDeployment;
  readonly operationsUrl: string;
  readonly #process: Supervised;
  readonly #machine: Machine;
  readonly #admissionPort: number | undefined;
  readonly #volumes: readonly MountedVolume[];
  #isServing = false;

  private constructor(parts: {
    machine: Machine;
    name: string;
    deployment: RenderedDeployment;
    process: Supervised;
    ports: ReadonlyMap<string, number>;
    volumes: readonly MountedVolume[];
  }) {
    this.name = parts.name;
    this.deployment = parts.deployment;
    this.operationsUrl = `http://127.0.0.1:${parts.ports.get("--operations-port")}`;
    this.#process = parts.process;
    this.#machine = parts.machine;
    this.#admissionPort = parts.ports.get("--port");
    this.#volumes = parts.volumes;
  }

  /** Starts the process; it need not be ready. */
  static async start(machine: Machine, deployment: RenderedDeployment, name: string): Promise<Pod> {
    const { cluster } = machine;
    const directory = join(cluster.directory, "pods", name);
    const account = await mountServiceAccount(cluster, deployment.serviceAccount, join(directory, "serviceaccount"));
    const volumes = Object.entries(deployment.mounts).map(
      ([path, sources]) => [path, new MountedVolume(machine.client, join(directory, path), sources)] as const,
    );
    await Promise.all(volumes.map(([, volume]) => volume.start()));
    const ports = new Map<string, number>();
    const args: string[] = [];
    for (const arg of deployment.args) {
      const flag = /^(--port|--operations-port)=\d+$/.exec(arg)?.[1];
      if (flag !== undefined) ports.set(flag, await freePort());
      const mount = volumes.find(([path]) => arg.includes(`=${path}`));
      if (flag !== undefined) args.push(`${flag}=${ports.get(flag)}`);
      else args.push(mount === undefined ? arg : arg.replace(mount[0], mount[1].directory));
    }
    const { hostname, port } = new URL(cluster.url);
    const fields: Readonly<Record<string, string>> = { "metadata.name": name };
    const env = {
      KUBERNETES_SERVICE_HOST: hostname,
      KUBERNETES_SERVICE_PORT: port,
      KUBERNETES_SERVICE_ACCOUNT_DIR: account,
      ...deployment.env,
      ...Object.fromEntries(Object.entries(deployment.fieldEnv).map(([key, path]) => [key, fields[path]])),
    };
    const command = [process.execPath, join(ROOT, "src", "cli.ts"), ...args];
    const child = spawnSupervised(command, { logPath: join(directory, "log"), cwd: directory, env });
    return new Pod({ machine, name, deployment, process: child, ports, volumes: volumes.map(([, it]) => it) });
  }

  get log(): string {
    return this.#process.logTail();
  }

  get hasEnded(): boolean {
    return this.#process.outcome() !== undefined;
  }

  /** What the operations port answers. */
  async ask(path: string): Promise<string> {
    return (await fetch(this.operationsUrl + path)).text();
  }

  /** Waits for the readiness probe of the chart, then lets the Service send requests here. */
  async serve(): Promise<void> {
    await waitFor(`${this.name} to be ready`, async () => {
      if (this.hasEnded) throw new Error(`${this.name} has ended: ${this.log}`);
      return (await fetch(`${this.operationsUrl}/readyz`).catch(() => undefined))?.status === 200;
    });
    if (this.#admissionPort === undefined) return;
    await this.#machine.client.create(resourcePath(SLICES), {
      metadata: { name: this.name, labels: { "kubernetes.io/service-name": "fairlead-admission" } },
      addressType: "IPv4",
      ports: [{ name: "admission", port: this.#admissionPort }],
      endpoints: [{ addresses: [machineAddress()], conditions: { ready: true } }],
    } as object);
    this.#isServing = true;
  }

  /** Asks it to end, and takes it out of its Service meanwhile; resolves with its exit code. */
  async terminate(): Promise<number | string | undefined> {
    const left = delay(ENDPOINT_LAG_MS).then(() => this.#leave());
    await Promise.all([left, this.#process.stop(GRACE_MS)]);
    await this.#unmount();
    return this.#process.outcome();
  }

  /** Ends it at once, as a node that dies does. */
  async kill(): Promise<void> {
    await this.#process.stop();
    await this.#leave();
    await this.#unmount();
  }

  async #leave(): Promise<void> {
    if (!this.#isServing) return;
    this.#isServing = false;
    await this.#machine.client.delete(resourcePath({ ...SLICES, name: this.name }));
  }

  async #unmount(): Promise<void> {
    await Promise.all(this.#volumes.map((volume) => volume.stop()));
  }
}

/** The API server takes no loopback address as an endpoint. */
function machineAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const address = addresses.find(({ internal, family }) => !internal && family === "IPv4")?.address;
  if (address === undefined) throw new Error("This test needs an IPv4 address that is not a loopback address");
  return address;
}

async function mountServiceAccount(cluster: ControlPlane, account: string, directory: string): Promise<string> {
  const token = await kubectl(cluster, ["create", "token", account, "-n", NAMESPACE]);
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, "token"), token.trim());
  await writeFile(join(directory, "ca.crt"), cluster.caPem);
  return directory;
}

/** A projected volume that follows its Secrets, all files in one step, as the kubelet's AtomicWriter does it. */
class MountedVolume {
  readonly directory: string;
  readonly #client: KubernetesClient;
  readonly #sources: readonly VolumeSource[];
  readonly #end = new AbortController();
  #following: Promise<void> = Promise.resolve();
  #mounted = "";
  #versions = 0;

  constructor(client: KubernetesClient, directory: string, sources: readonly VolumeSource[]) {
    this.#client = client;
    this.directory = directory;
    this.#sources = sources;
  }

  async start(): Promise<void> {
    await mkdir(this.directory, { recursive: true });
    await this.#mount();
    this.#following = this.#follow();
  }

  async stop(): Promise<void> {
    this.#end.abort();
    await this.#following;
  }

  async #follow(): Promise<void> {
    try {
      for await (const _ of setInterval(FOLLOW_MS, undefined, { signal: this.#end.signal })) await this.#mount();
    } catch (error) {
      if (!this.#end.signal.aborted) throw error;
    }
  }

  async #mount(): Promise<void> {
    const files = Object.assign({}, ...(await Promise.all(this.#sources.map((it) => this.#read(it)))));
    const text = JSON.stringify(files);
    if (text === this.#mounted) return;
    this.#mounted = text;
    this.#versions += 1;
    const version = `..${this.#versions}`;
    await mkdir(join(this.directory, version));
    for (const [name, base64] of Object.entries<string>(files))
      await writeFile(join(this.directory, version, name), Buffer.from(base64, "base64"));
    await symlink(version, join(this.directory, "..new"));
    await rename(join(this.directory, "..new"), join(this.directory, "..data"));
    for (const name of Object.keys(files)) {
      const link = join(this.directory, name);
      if ((await readlink(link).catch(() => undefined)) === undefined) await symlink(join("..data", name), link);
    }
    await rm(join(this.directory, `..${this.#versions - 1}`), { recursive: true, force: true });
  }

  /** By file name, in base64. */
  async #read({ kind, name, optional, files }: VolumeSource): Promise<Readonly<Record<string, string>>> {
    if (kind !== "Secret") throw new Error(`Cannot mount ${kind} ${name}: only Secrets are mounted by this test`);
    const path = resourcePath({ group: "", version: "v1", resource: "secrets", namespace: NAMESPACE, name });
    try {
      const { data = {} } = (await this.#client.get(path)) as { readonly data?: Readonly<Record<string, string>> };
      const wanted = Object.entries(files ?? Object.fromEntries(Object.keys(data).map((key) => [key, key])));
      return Object.fromEntries(wanted.flatMap(([key, file]) => (data[key] === undefined ? [] : [[file, data[key]]])));
    } catch (error) {
      if (optional && error instanceof ApiError && error.status === 404) return {};
      throw error;
    }
  }
}

/** The Deployments of the chart, as installed, with their pods. It rolls them over as the Deployment controller does. */
export class Workloads {
  readonly #machine: Machine;
  readonly #pods: Pod[] = [];
  #started = 0;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** The pods of one role that have not ended. */
  of(role: "admission" | "controller"): readonly Pod[] {
    return this.#pods.filter((pod) => pod.deployment.name === `fairlead-${role}` && !pod.hasEnded);
  }

  /** Starts what is missing to the number of replicas that the Deployments want. */
  async start(): Promise<void> {
    const missing: Pod[] = [];
    for (const deployment of await this.#installed()) {
      const running = this.#pods.filter((pod) => pod.deployment.name === deployment.name && !pod.hasEnded);
      for (let count = running.length; count < deployment.replicas; count += 1)
        missing.push(await this.#start(deployment));
    }
    await Promise.all(missing.map((pod) => pod.serve()));
  }

  /** Replaces every pod, of each Deployment one at a time, a new one first (maxSurge 1, maxUnavailable 0). Returns their exit codes. */
  async roll(): Promise<readonly unknown[]> {
    const old = this.#pods.filter((pod) => !pod.hasEnded);
    const exits = (await this.#installed()).map(async (deployment) => {
      const codes: Promise<unknown>[] = [];
      for (const pod of old.filter((it) => it.deployment.name === deployment.name)) {
        await (await this.#start(deployment)).serve();
        codes.push(pod.terminate());
      }
      return Promise.all(codes);
    });
    return (await Promise.all(exits)).flat();
  }

  /** Ends every pod in the good way; returns their exit codes. */
  async terminate(): Promise<readonly unknown[]> {
    return Promise.all(this.#pods.filter((pod) => !pod.hasEnded).map((pod) => pod.terminate()));
  }

  /** Ends what still runs, at once. */
  async stop(): Promise<void> {
    await Promise.all(this.#pods.map((pod) => pod.kill()));
  }

  async #start(deployment: RenderedDeployment): Promise<Pod> {
    this.#started += 1;
    const pod = await Pod.start(this.#machine, deployment, `${deployment.name}-${this.#started}`);
    this.#pods.push(pod);
    return pod;
  }

  async #installed(): Promise<readonly (RenderedDeployment & { readonly replicas: number })[]> {
    const text = await kubectl(this.#machine.cluster, ["get", "deployments", "-n", NAMESPACE, "-o", "json"]);
    const { items } = JSON.parse(text) as { readonly items: readonly Rendered[] };
    const replicas = items.map(({ spec }) => (spec as { readonly replicas: number }).replicas);
    return deploymentsIn(items).map((deployment, index) => ({ ...deployment, replicas: replicas[index] ?? 0 }));
  }
}
