import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { FAIRLEAD_GROUP } from "../../src/core/names.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { ApiError } from "../../src/k8s/api-error.ts";
import { isNotFound } from "../../src/k8s/apply.ts";
import { resourcePath } from "../../src/k8s/client.ts";
import { applyObject, deleteObject } from "./api.ts";
import type { Mesh } from "./mesh.ts";
import { NAMESPACE } from "./objects.ts";

/** What the status of a policy says of how far it is. */
export interface ObservedPolicy extends KubernetesObject {
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly observedGeneration?: number;
    }[];
  };
}

/** The ResiliencePolicy of one Service, which Fairlead turns into objects of the mesh. */
export class ServicePolicy {
  readonly #mesh: Mesh;
  readonly #service: string;
  readonly #path: string;

  constructor(mesh: Mesh, service: string) {
    this.#mesh = mesh;
    this.#service = service;
    const kind = { group: FAIRLEAD_GROUP, version: "v1alpha1", resource: "resiliencepolicies" };
    this.#path = resourcePath({ ...kind, namespace: NAMESPACE, name: service });
  }

  /** Writes the policy and waits until Fairlead says that it is in force, and the proxies have what it wrote. */
  async apply(sections: object): Promise<void> {
    await applyObject(this.#mesh.client, this.#object(sections));
    await waitFor("the policy to be ready", async () => isReady(await this.#mesh.client.get(this.#path)));
    await this.#mesh.settle();
  }

  /** Deletes the policy and waits until Fairlead has taken back what it wrote, and the proxies have forgotten it. */
  async remove(): Promise<void> {
    await deleteObject(this.#mesh.client, this.#object({}));
    await waitFor("the policy to be gone", async () => {
      try {
        await this.#mesh.client.get(this.#path);
        return false;
      } catch (error) {
        if (error instanceof ApiError && isNotFound(error)) return true;
        throw error;
      }
    });
    await this.#mesh.settle();
  }

  #object(sections: object): KubernetesObject {
    const spec = { targetRefs: [{ kind: "Service", name: this.#service }], ...sections };
    const metadata = { name: this.#service, namespace: NAMESPACE };
    return { apiVersion: `${FAIRLEAD_GROUP}/v1alpha1`, kind: "ResiliencePolicy", metadata, spec };
  }
}

/** Whether the status says so of what the spec says now. */
export function isReady({ metadata, status }: ObservedPolicy): boolean {
  const ready = status?.conditions?.find(({ type }) => type === "Ready");
  return ready?.status === "True" && ready.observedGeneration === metadata?.generation;
}
