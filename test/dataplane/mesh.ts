import { networkInterfaces } from "node:os";
import { type Certificate, createAuthority, issueWorkload } from "../../src/dev/control-plane/certificates.ts";
import { type ControlPlane, startControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { Workspace } from "../../src/dev/control-plane/workspace.ts";
import { nodeId, type ProxyIdentity } from "../../src/dev/mesh/bootstrap.ts";
import { ISTIO_NAMESPACE, Istiod, TRUST_DOMAIN } from "../../src/dev/mesh/istiod.ts";
import { Proxy } from "../../src/dev/mesh/proxy.ts";
import { SecretServer } from "../../src/dev/mesh/secret-server.ts";
import { KubernetesClient } from "../../src/k8s/client.ts";
import { loadCluster } from "../../src/k8s/config.ts";
import { applyObject, deleteObject, ISTIO_KINDS, listIstioObjects, versionKey } from "./api.ts";
import { type ApiObject, BARRIER, barrierRoute, hostOf, NAMESPACE, service, validatingWebhook } from "./objects.ts";
import type { MeshTools } from "./tools.ts";
import { send } from "./traffic.ts";

/** A proxy that takes part, and where it listens on the port of each Service that it knows. */
export interface Member {
  readonly proxy: Proxy;
  readonly bind: string;
}

export interface MeshOptions {
  /** CRDs beside Istio's and the Gateway API's. */
  readonly crdPaths?: readonly string[];
  readonly apiServerArgs?: readonly string[];
  /** See {@link Istiod}; short unless told. */
  readonly debounce?: string;
}

interface Parts {
  readonly tools: MeshTools;
  readonly workspace: Workspace;
  readonly authority: Certificate;
}

/**
 * A real API server, a real istiod that reads it, and real Envoys that istiod configures, all in the network namespace
 * of this process.
 */
export class Mesh {
  readonly #parts: Parts;
  readonly #members: Member[] = [];
  readonly #ends: (() => Promise<void>)[] = [];
  #cluster: ControlPlane | undefined;
  #client: KubernetesClient | undefined;
  #istiod: Istiod | undefined;
  #secrets: SecretServer | undefined;
  #step = 0;

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  static async start(tools: MeshTools, options: MeshOptions = {}): Promise<Mesh> {
    requireNamespace();
    const [workspace, authority] = await Promise.all([
      Workspace.create("fairlead-mesh-"),
      createAuthority("fairlead-mesh-ca"),
    ]);
    const mesh = new Mesh({ tools, workspace, authority });
    try {
      await mesh.#start(options);
      return mesh;
    } catch (error) {
      await mesh.stop();
      throw error;
    }
  }

  get cluster(): ControlPlane {
    return started(this.#cluster);
  }

  get client(): KubernetesClient {
    return started(this.#client);
  }

  /** Writes objects, which the API server, istiod's webhook and every proxy must accept, and waits until they act. */
  async apply(objects: readonly ApiObject[]): Promise<void> {
    for (const object of objects) await applyObject(this.client, object);
    await this.settle();
  }

  /** Deletes objects in the opposite order and waits until every proxy has forgotten them. */
  async remove(objects: readonly ApiObject[]): Promise<void> {
    for (const object of objects.toReversed()) await deleteObject(this.client, object);
    await this.settle();
  }

  /** Starts a proxy that is configured like any other from then on. */
  async join(identity: ProxyIdentity, bind: string): Promise<Member> {
    const { tools, workspace, authority } = this.#parts;
    const secrets = started(this.#secrets);
    const spiffeId = `spiffe://${TRUST_DOMAIN}/ns/${identity.namespace}/sa/${identity.serviceAccount}`;
    secrets.addIdentity(nodeId(identity), await issueWorkload(authority, spiffeId));
    const ports = { discoveryPort: started(this.#istiod).discoveryPort, secretPort: secrets.port };
    const proxy = await Proxy.start({ binary: tools.envoy, workspace, identity, ...ports });
    this.onStop(() => proxy.stop());
    const member = { proxy, bind };
    this.#members.push(member);
    return member;
  }

  /** Something to end with the mesh; what began last ends first. */
  onStop(end: () => Promise<void>): void {
    this.#ends.push(end);
  }

  /**
   * Waits until everything that was written is in force at every proxy. First istiod must know what the API server has;
   * then a further object is written, which each proxy can only show once it has all that istiod sent before.
   */
  async settle(): Promise<void> {
    await waitFor("istiod to know the objects of the API server", async () => {
      const [wanted, found] = await Promise.all([listIstioObjects(this.client), this.#knownToIstiod()]);
      return wanted.join() === found.join();
    });
    this.#step += 1;
    await applyObject(this.client, barrierRoute(this.#step));
    for (const member of this.#members) {
      await waitFor(`step ${this.#step} at ${member.proxy.identity.name}`, () => this.#hasPassed(member));
    }
    await this.#requireNothingRefused();
  }

  async stop(): Promise<void> {
    for (const end of this.#ends.reverse()) await end();
    await this.#parts.workspace.remove();
  }

  async #start({ crdPaths = [], apiServerArgs = [], debounce }: MeshOptions): Promise<void> {
    const { tools, workspace, authority } = this.#parts;
    const cluster = await startControlPlane({
      controllerManager: false,
      crdPaths: [...tools.crdPaths, ...crdPaths],
      extraApiServerArgs: apiServerArgs,
    });
    this.#cluster = cluster;
    this.onStop(() => cluster.stop());
    const client = new KubernetesClient(await loadCluster({ kubeconfig: cluster.kubeconfigPath }));
    this.#client = client;
    this.onStop(async () => client.close());
    for (const name of [ISTIO_NAMESPACE, NAMESPACE]) {
      await applyObject(client, { apiVersion: "v1", kind: "Namespace", metadata: { name } });
    }
    const secrets = await SecretServer.start(authority);
    this.#secrets = secrets;
    this.onStop(() => secrets.stop());
    const { kubeconfigPath } = cluster;
    const common = { binary: tools.istiod, kubeconfigPath, workspace, authority };
    const istiod = await Istiod.start({ ...common, ...(debounce !== undefined && { debounce }) });
    this.#istiod = istiod;
    this.onStop(() => istiod.stop());
    await applyObject(client, validatingWebhook(istiod.webhookUrl, authority.certPem));
    await applyObject(client, service(BARRIER, 1));
  }

  async #knownToIstiod(): Promise<readonly string[]> {
    const configs = await started(this.#istiod).storedConfigs();
    return configs
      .filter(({ kind }) => ISTIO_KINDS.has(kind))
      .map(versionKey)
      .sort();
  }

  /** Whether the proxy shows the current step, and is then done with everything that came before it. */
  async #hasPassed({ proxy, bind }: Member): Promise<boolean> {
    const refused = await proxy.rejections();
    if (refused.length > 0)
      throw new Error(`${proxy.identity.name} has refused: ${refused.join()}\n${proxy.logTail()}`);
    const shown = await barrierShownAt(bind);
    return shown === String(this.#step) && (await proxy.inTransition()) === 0 && (await barrierShownAt(bind)) === shown;
  }

  async #requireNothingRefused(): Promise<void> {
    const ofProxies = await Promise.all(this.#members.map(({ proxy }) => proxy.rejections()));
    const ofIstiod = await started(this.#istiod).rejections();
    const refused = [...ofProxies.flat(), ...(ofIstiod > 0 ? [`istiod was refused ${ofIstiod} times`] : [])];
    refused.push(...started(this.#secrets).refusals);
    if (refused.length > 0) throw new Error(`Updates were refused: ${refused.join("; ")}`);
  }
}

/** Nothing of this may run where it could reach another machine, or be in the way of one that listens here. */
function requireNamespace(): void {
  const others = Object.keys(networkInterfaces()).filter((name) => name !== "lo");
  if (others.length === 0) return;
  throw new Error(
    `Cannot start a mesh: found the network interfaces ${others.join()}, wanted a namespace with only lo`,
  );
}

/** The step that the proxy listening here is at; undefined while it does not answer. */
async function barrierShownAt(address: string): Promise<string | undefined> {
  try {
    return (await send({ address, port: 80, host: hostOf(BARRIER) })).body;
  } catch {
    return undefined;
  }
}

function started<T>(part: T | undefined): T {
  if (part === undefined) throw new Error("The mesh is not started");
  return part;
}
