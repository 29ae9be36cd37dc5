/** A ResiliencePolicy for the Service "user", which Fairlead turns into objects of the mesh. */

import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { FAIRLEAD_GROUP } from "../../src/core/names.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { ApiError } from "../../src/k8s/api-error.ts";
import { isNotFound } from "../../src/k8s/apply.ts";
import { resourcePath } from "../../src/k8s/client.ts";
import { applyObject, deleteObject } from "./api.ts";
import type { Mesh } from "./mesh.ts";
import { NAMESPACE } from "./objects.ts";
import type { Delivery } from "./scenario.ts";

const NAME = "user";
const PATH = resourcePath({
  group: FAIRLEAD_GROUP,
  version: "v1alpha1",
  resource: "resiliencepolicies",
  namespace: NAMESPACE,
  name: NAME,
});

/** What the status of a policy says of how far it is. */
interface Observed extends KubernetesObject {
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly observedGeneration?: number;
    }[];
  };
}

/** Puts a policy with these sections in force by way of Fairlead. */
export function written(mesh: Mesh, sections: object): Delivery {
  return { apply: () => applyPolicy(mesh, sections), takeBack: () => deletePolicy(mesh) };
}

/** Writes the policy and waits until Fairlead says that it is in force, and the proxies have what it wrote. */
export async function applyPolicy(mesh: Mesh, sections: object): Promise<void> {
  await applyObject(mesh.client, policy(sections));
  await waitFor("the policy to be ready", async () => isReady(await mesh.client.get(PATH)));
  await mesh.settle();
}

/** Deletes the policy and waits until Fairlead has taken back what it wrote, and the proxies have forgotten it. */
export async function deletePolicy(mesh: Mesh): Promise<void> {
  await deleteObject(mesh.client, policy({}));
  await waitFor("the policy to be gone", async () => {
    try {
      await mesh.client.get(PATH);
      return false;
    } catch (error) {
      if (error instanceof ApiError && isNotFound(error)) return true;
      throw error;
    }
  });
  await mesh.settle();
}

function policy(sections: object): KubernetesObject {
  const spec = { targetRefs: [{ kind: "Service", name: NAME }], ...sections };
  const metadata = { name: NAME, namespace: NAMESPACE };
  return { apiVersion: `${FAIRLEAD_GROUP}/v1alpha1`, kind: "ResiliencePolicy", metadata, spec };
}

function isReady({ metadata, status }: Observed): boolean {
  const ready = status?.conditions?.find(({ type }) => type === "Ready");
  return ready?.status === "True" && ready.observedGeneration === metadata?.generation;
}
