import type { KubernetesObject } from "../core/kubernetes.ts";
import { FIELD_MANAGER } from "../core/names.ts";
import { ApiError } from "./api-error.ts";
import { type ApiResponse, type KubernetesClient, resourcePath } from "./client.ts";

/** The `spec` of a coordination.k8s.io/v1 Lease, as far as leader election uses it. */
export interface LeaseSpec {
  /** Empty or absent: nobody holds the Lease. */
  readonly holderIdentity?: string;
  /** For how long others leave the holder alone after a renewal. The API wants a whole number, 1 or more. */
  readonly leaseDurationSeconds?: number;
  /** See {@link microTime}. Shown to people, never compared with a clock. */
  readonly acquireTime?: string;
  readonly renewTime?: string;
  /** How often the holder has changed. */
  readonly leaseTransitions?: number;
}

export interface Lease {
  readonly spec: LeaseSpec;
  /** Changes with every write that changes anything. */
  readonly resourceVersion: string;
  /** As it was read: what people and other tools wrote on it is kept by {@link LeaseClient.replace}. */
  readonly object: KubernetesObject;
}

export interface LeaseRequest {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** One Lease. It needs the verbs get and update on it, and create on Leases of its namespace. */
export class LeaseClient {
  readonly namespace: string;
  readonly name: string;
  readonly #client: KubernetesClient;

  /** Give it a client of its own: a client whose connections are all busy with slow writes would keep a renewal waiting. */
  constructor(client: KubernetesClient, { namespace, name }: { readonly namespace: string; readonly name: string }) {
    this.#client = client;
    this.namespace = namespace;
    this.name = name;
  }

  /** Undefined when there is none. A plain GET is answered by a quorum of etcd, never from a cache. */
  async read(request: LeaseRequest): Promise<Lease | undefined> {
    try {
      return leaseIn(await this.#client.request({ ...request, method: "GET", path: this.#path(this.name) }));
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  }

  /** An {@link ApiError} 409 when somebody was first. */
  async create(spec: LeaseSpec, request: LeaseRequest): Promise<Lease> {
    const { name, namespace } = this;
    const body = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { name, namespace }, spec };
    return this.#write({ ...request, method: "POST", path: this.#path(), body });
  }

  /**
   * Changes these fields of the Lease that was read; an {@link ApiError} 409 when it has changed since. Its uid goes
   * along with its resourceVersion: a PUT without one would make a Lease again that was deleted.
   */
  async replace(read: Lease, change: LeaseSpec, request: LeaseRequest): Promise<Lease> {
    const body = { ...read.object, spec: { ...read.spec, ...change } };
    return this.#write({ ...request, method: "PUT", path: this.#path(this.name), body });
  }

  async #write(request: Parameters<KubernetesClient["request"]>[0]): Promise<Lease> {
    return leaseIn(await this.#client.request({ ...request, query: { fieldManager: FIELD_MANAGER } }));
  }

  #path(name?: string): string {
    return resourcePath({
      group: "coordination.k8s.io",
      version: "v1",
      resource: "leases",
      namespace: this.namespace,
      ...(name !== undefined && { name }),
    });
  }
}

/** `2026-08-01T12:00:00.000007Z`: the API server takes exactly six digits after the second. */
export function microTime(epochMs: number, microseconds: number): string {
  return new Date(epochMs).toISOString().replace("Z", `${String(microseconds).padStart(3, "0")}Z`);
}

function leaseIn(response: ApiResponse): Lease {
  const object = response.body as KubernetesObject;
  return { spec: object.spec ?? {}, resourceVersion: object.metadata?.resourceVersion ?? "", object };
}
