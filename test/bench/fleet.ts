import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { REVISION_LABEL } from "../../src/core/names.ts";
import { type KubernetesClient, resourcePath } from "../../src/k8s/client.ts";
import { createService, inParallel, service, SERVICES_REF } from "./world.ts";

/** Services in one namespace, and the one policy there, which selects them all. */
export interface Fleet {
  readonly namespace: string;
  readonly size: number;
  /** Threshold that the policy asks for at present; each change asks for another. */
  failures: number;
}

const PRODUCT = "fleet";
const POLICY = { group: "fairlead.dev", version: "v1alpha1", resource: "resiliencepolicies", name: "fleet" } as const;
const FIRST_FAILURES = 10;
const LAST_FAILURES = 99;
/** What the policy makes of the threshold. */
export const MAX_FAILURES = "balancer.linkerd.io/failure-accrual-consecutive-max-failures";

/** In a namespace that exists. Policy first, so that the webhook injects from the first Service on, if it is asked. */
export async function createFleet(client: KubernetesClient, namespace: string, size: number): Promise<Fleet> {
  const { name, ...collection } = POLICY;
  await client.create(resourcePath({ ...collection, namespace }), {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "ResiliencePolicy",
    metadata: { name, namespace },
    spec: {
      targetSelector: { matchLabels: { "app.kubernetes.io/part-of": PRODUCT } },
      circuitBreaker: { consecutiveFailures: FIRST_FAILURES },
    },
  });
  await createServices(client, { namespace, size });
  return { namespace, size, failures: FIRST_FAILURES };
}

export interface ServicesOrder {
  readonly namespace: string;
  readonly size: number;
  /** More annotations of their own, such as a large one. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** Without an address of the cluster, which takes the API server longer to find than all the rest. */
  readonly headless?: boolean;
}

export async function createServices(client: KubernetesClient, order: ServicesOrder): Promise<void> {
  const { namespace, size, annotations, headless = false } = order;
  const indexes = Array.from({ length: size }, (_, index) => index);
  await inParallel(indexes, (index) => {
    const object = service(nameOf(index), PRODUCT);
    const metadata = { ...object.metadata, annotations: { ...object.metadata?.annotations, ...annotations } };
    const { spec } = object as { readonly spec?: object };
    return createService(client, namespace, {
      ...object,
      metadata,
      spec: { ...spec, ...(headless && { clusterIP: "None" }) },
    });
  });
}

/** The one change: another threshold, for every Service of the fleet. */
export async function changeFleet(client: KubernetesClient, fleet: Fleet): Promise<void> {
  fleet.failures = fleet.failures === LAST_FAILURES ? FIRST_FAILURES : fleet.failures + 1;
  const path = resourcePath({ ...POLICY, namespace: fleet.namespace });
  const body = { spec: { circuitBreaker: { consecutiveFailures: fleet.failures } } };
  await client.patch({ path, type: "merge", body });
}

interface FleetStatus {
  readonly observedGeneration?: number;
  readonly appliedCount?: number;
  readonly currentRevision?: string;
  readonly updateRevision?: string;
}

/** True when the controller says that every Service has what the policy asks for now. */
export async function isSettled(client: KubernetesClient, fleet: Fleet): Promise<boolean> {
  const policy = (await client.get(resourcePath({ ...POLICY, namespace: fleet.namespace }))) as KubernetesObject & {
    readonly status?: FleetStatus;
  };
  const { observedGeneration, appliedCount, currentRevision, updateRevision } = policy.status ?? {};
  return (
    observedGeneration === policy.metadata?.generation &&
    appliedCount === fleet.size &&
    currentRevision !== undefined &&
    currentRevision === updateRevision
  );
}

/** The first Service as it would be after a write of its revision label; nothing is stored. */
export function serviceWith(client: KubernetesClient, fleet: Fleet, label: string | null): Promise<KubernetesObject> {
  const body = { metadata: { labels: { [REVISION_LABEL]: label } } };
  return client.patch({ path: pathOf(fleet, nameOf(0)), type: "merge", body, query: { dryRun: "All" } });
}

/** For each Service the write by which the controller brings it in line, byte for byte. */
export async function patchesOf(
  client: KubernetesClient,
  fleet: Fleet,
  label: string,
): Promise<readonly { readonly path: string; readonly body: string }[]> {
  const patches: { path: string; body: string }[] = [];
  await client.list(resourcePath({ ...SERVICES_REF, namespace: fleet.namespace }), {
    onPage(items) {
      for (const { metadata: { name = "", resourceVersion = "" } = {} } of items) {
        const body = JSON.stringify({ metadata: { resourceVersion, labels: { [REVISION_LABEL]: label } } });
        patches.push({ path: `${pathOf(fleet, name)}?fieldManager=fairlead`, body });
      }
    },
  });
  return patches;
}

function pathOf({ namespace }: Fleet, name: string): string {
  return resourcePath({ ...SERVICES_REF, namespace, name });
}

function nameOf(index: number): string {
  return `service-${String(index).padStart(5, "0")}`;
}
