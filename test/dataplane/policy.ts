import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { FAIRLEAD_GROUP } from "../../src/core/names.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { ApiError } from "../../src/k8s/api-error.ts";
import { isNotFound } from "../../src/k8s/apply.ts";
import { resourcePath } from "../../src/k8s/client.ts";
import { applyObject, deleteObject } from "./api.ts";
import type { Mesh } from "./mesh.ts";
import { NAMESPACE } from "./objects.ts";
import type { Stage } from "./stage.ts";

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

/** The policies of several Services as one, whose sections stand under the name of their Service. */
export class ServicePolicies {
  readonly #stage: Pick<Stage, "mesh" | "idle">;
  /** By Service what was written and not taken back. */
  readonly #written = new Map<string, string>();

  constructor(stage: Pick<Stage, "mesh" | "idle">) {
    this.#stage = stage;
  }

  /** Writes those that are new or say something else, and deletes those that are no longer there. */
  async apply(wanted: Readonly<Record<string, object>>): Promise<void> {
    for (const service of this.#written.keys()) {
      if (wanted[service] !== undefined) continue;
      await this.#policy(service).remove();
      this.#written.delete(service);
    }
    for (const [service, sections] of Object.entries(wanted)) {
      const text = JSON.stringify(sections);
      if (this.#written.get(service) === text) continue;
      this.#written.set(service, text);
      await this.#policy(service).apply(sections);
    }
    // What was written for one Service may have to follow the policy of another, whose status tells nothing of that.
    await this.#stage.idle();
    await this.#stage.mesh.settle();
  }

  remove(): Promise<void> {
    return this.apply({});
  }

  #policy(service: string): ServicePolicy {
    return new ServicePolicy(this.#stage.mesh, service);
  }
}

/** Whether the status says so of what the spec says now. */
export function isReady({ metadata, status }: ObservedPolicy): boolean {
  const ready = status?.conditions?.find(({ type }) => type === "Ready");
  return ready?.status === "True" && ready.observedGeneration === metadata?.generation;
}
