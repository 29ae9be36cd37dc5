import { waitFor } from "../../src/dev/control-plane/wait.ts";
import type { ProxyIdentity } from "../../src/dev/mesh/bootstrap.ts";
import { applyStatus } from "./api.ts";
import { Backend } from "./backend.ts";
import type { Member, Mesh } from "./mesh.ts";
import {
  clientSidecar,
  type EndpointOptions,
  endpointSlice,
  hostOf,
  NAMESPACE,
  proxiedPod,
  runningStatus,
  serverSidecar,
  service,
} from "./objects.ts";
import type { HttpRequest } from "./traffic.ts";

const SERVICE_PORT = 80;
export const POD_PORT = 8080;

/** What runs in the mesh: servers behind Services, and clients that ask for them. Each has an address of its own. */
export class Workloads {
  readonly #mesh: Mesh;
  readonly #clients: Member[] = [];
  /** 10.200.0.1 is the interface's own. */
  #lastNumber = 1;

  constructor(mesh: Mesh) {
    this.#mesh = mesh;
  }

  /** A Service with so many backends, whose traffic no proxy receives. */
  async addService(name: string, count = 1): Promise<readonly Backend[]> {
    const addresses = Array.from({ length: count }, () => this.#newAddresses().pod);
    const backends = await Promise.all(addresses.map((address) => this.#startBackend(address, POD_PORT)));
    await this.#publish(name, { addresses, port: POD_PORT, proxied: false });
    return backends;
  }

  /** A Service with one backend behind a proxy, which is where policies of the server's side act. */
  async addProxiedService(name: string): Promise<{ readonly backend: Backend; readonly address: string }> {
    const { pod, bind } = this.#newAddresses();
    const backend = await this.#startBackend("127.0.0.1", POD_PORT + this.#lastNumber);
    const sidecar = serverSidecar(name, { address: pod, port: POD_PORT, bind, backendPort: backend.port });
    const object = proxiedPod(name, pod);
    await this.#mesh.apply([sidecar, object]);
    await applyStatus(this.#mesh.client, runningStatus(object, pod));
    await this.#mesh.join(identityOf(name, { namespace: NAMESPACE, address: pod }), bind);
    await this.#publish(name, { addresses: [pod], port: POD_PORT, proxied: true });
    return { backend, address: pod };
  }

  /** A workload that asks for Services, with a ServiceAccount of its own; its namespace must exist. */
  async addClient(name: string, namespace = NAMESPACE): Promise<Member> {
    const addresses = this.#newAddresses();
    const identity = identityOf(name, { namespace, address: addresses.pod });
    await this.#mesh.apply([clientSidecar(identity, addresses.bind)]);
    const client = await this.#mesh.join(identity, addresses.bind);
    this.#clients.push(client);
    return client;
  }

  async #publish(name: string, options: EndpointOptions): Promise<void> {
    await this.#mesh.apply([service(name, options.port), endpointSlice(name, options)]);
    const wanted = options.addresses.toSorted().join();
    for (const { proxy } of this.#clients) {
      const arrived = async () => (await proxy.endpoints(hostOf(name), SERVICE_PORT)).join() === wanted;
      await waitFor(`the endpoints of ${name} at ${proxy.identity.name}`, arrived);
    }
  }

  async #startBackend(address: string, port: number): Promise<Backend> {
    const backend = await Backend.start(address, port);
    this.#mesh.onStop(() => backend.stop());
    return backend;
  }

  #newAddresses(): { readonly pod: string; readonly bind: string } {
    this.#lastNumber += 1;
    return { pod: `10.200.0.${this.#lastNumber}`, bind: `127.0.1.${this.#lastNumber}` };
  }
}

function identityOf(name: string, at: { readonly namespace: string; readonly address: string }): ProxyIdentity {
  return { name, ...at, labels: { app: name }, serviceAccount: name };
}

/** A request of this client for a Service, through its proxy. */
export function requestTo(name: string, from: Member, rest: Partial<HttpRequest> = {}): HttpRequest {
  return { address: from.bind, port: SERVICE_PORT, host: hostOf(name), ...rest };
}
