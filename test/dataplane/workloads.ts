import { waitFor } from "../../src/dev/control-plane/wait.ts";
import type { ProxyIdentity } from "../../src/dev/mesh/bootstrap.ts";
import { applyStatus } from "./api.ts";
import { Backend } from "./backend.ts";
import type { Member, Mesh } from "./mesh.ts";
import {
  clientSidecar,
  endpointSlice,
  hostOf,
  NAMESPACE,
  proxiedPod,
  runningStatus,
  type ServiceOptions,
  serverSidecar,
  service,
  servicePort,
} from "./objects.ts";
import type { HttpRequest } from "./traffic.ts";

export const POD_PORT = 8080;

/** A Service, and the port of its pods that it leads to. */
export interface ServedPort extends ServiceOptions {
  readonly name: string;
  readonly port: number;
}

interface Endpoints {
  readonly addresses: readonly string[];
  readonly proxied: boolean;
}

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
    await this.#publish([{ name, port: POD_PORT }], { addresses, proxied: false });
    return backends;
  }

  /**
   * A Service with one backend behind a proxy, which is where policies of the server's side act, and others that lead to
   * further ports of the same Pod.
   */
  async addProxiedService(
    name: string,
    others: readonly ServedPort[],
  ): Promise<{ readonly backend: Backend; readonly address: string }> {
    const { pod, bind } = this.#newAddresses();
    const backend = await this.#startBackend("127.0.0.1", POD_PORT + this.#lastNumber);
    const ports: readonly ServedPort[] = [{ name, port: POD_PORT }, ...others];
    const sidecar = serverSidecar(name, { address: pod, ports, bind, backendPort: backend.port });
    const object = proxiedPod(name, pod);
    await this.#mesh.apply([sidecar, object]);
    await applyStatus(this.#mesh.client, runningStatus(object, pod));
    await this.#mesh.join(identityOf(name, { namespace: NAMESPACE, address: pod }), bind);
    const services = ports.map((port) => ({ ...port, app: name }));
    await this.#publish(services, { addresses: [pod], proxied: true });
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

  async #publish(services: readonly ServedPort[], endpoints: Endpoints): Promise<void> {
    const objects = services.flatMap(({ name, ...options }) => [
      service(name, options.port, options),
      endpointSlice(name, { ...options, ...endpoints }),
    ]);
    await this.#mesh.apply(objects);
    const wanted = endpoints.addresses.toSorted().join();
    for (const { name, port, protocol } of services) {
      for (const { proxy } of this.#clients) {
        const found = () => proxy.endpoints(hostOf(name), servicePort(port, protocol));
        const arrived = async () => (await found()).join() === wanted;
        await waitFor(`the endpoints of ${name} at ${proxy.identity.name}`, arrived);
      }
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
  return { address: from.bind, port: servicePort(POD_PORT), host: hostOf(name), ...rest };
}
