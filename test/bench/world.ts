import type { ControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { KubernetesClient, resourcePath } from "../../src/k8s/client.ts";
import { POLICIES, SERVICES } from "./limits.ts";

/** The namespace of the world, opted in to Fairlead. */
export const SHOP = "shop";
/** Product whose policy selects by label: what is created by the benchmark belongs to it. */
export const BENCH_PRODUCT = "product-07";

/** Half of the policies name ten Services each, the other half select theirs by label. */
const NAMING_POLICIES = POLICIES / 2;
const SELECTING_POLICIES = POLICIES - NAMING_POLICIES;
const NAMED_PER_POLICY = 10;
/** As many as KubernetesClient has in flight. */
const WRITERS = 16;

export const SERVICES_REF = { group: "", version: "v1", resource: "services" } as const;
export const POLICIES_REF = { group: "fairlead.dev", version: "v1alpha1", resource: "resiliencepolicies" } as const;

/** An administrator's client; the same one measures the creates. */
export function adminClient(controlPlane: ControlPlane): KubernetesClient {
  const { certPem: cert, keyPem: key } = controlPlane.admin;
  const credentials = { headers: {}, cert, key };
  return new KubernetesClient({
    server: controlPlane.url,
    ca: controlPlane.caPem,
    credentials: () => Promise.resolve(credentials),
    refresh: () => undefined,
  });
}

export async function createNamespace(
  client: KubernetesClient,
  name: string,
  labels: Readonly<Record<string, string>>,
): Promise<void> {
  const path = resourcePath({ group: "", version: "v1", resource: "namespaces" });
  // As a namespace of a mesh has it: nothing is to be said about it.
  const metadata = { name, labels, annotations: { "linkerd.io/inject": "enabled" } };
  await client.create(path, { apiVersion: "v1", kind: "Namespace", metadata });
}

/** 100 policies, then 1,000 Services, each of which one policy applies to. */
export async function createWorld(client: KubernetesClient): Promise<void> {
  const policies = Array.from({ length: POLICIES }, (_, index) => policy(index));
  await inParallel(policies, (object) => client.create(resourcePath({ ...POLICIES_REF, namespace: SHOP }), object));
  const services = Array.from({ length: SERVICES }, (_, index) => index);
  await inParallel(services, (index) => createService(client, SHOP, service(nameOf(index), productOf(index))));
}

export async function createService(
  client: KubernetesClient,
  namespace: string,
  object: KubernetesObject,
): Promise<KubernetesObject> {
  return client.create(resourcePath({ ...SERVICES_REF, namespace }), object);
}

export async function deleteServices(
  client: KubernetesClient,
  namespace: string,
  names: readonly string[],
): Promise<void> {
  await inParallel(names, (name) => client.delete(resourcePath({ ...SERVICES_REF, namespace, name })));
}

/** Gives a selecting policy another threshold, so that its ten Services have to follow. */
export async function changePolicy(client: KubernetesClient, product: number, failures: number): Promise<void> {
  const name = policyName(NAMING_POLICIES + product);
  const body = { spec: { circuitBreaker: { consecutiveFailures: failures } } };
  await client.patch({ path: resourcePath({ ...POLICIES_REF, namespace: SHOP, name }), type: "merge", body });
}

/** Services of a product. */
export async function servicesOf(client: KubernetesClient, product: number): Promise<readonly KubernetesObject[]> {
  const found: KubernetesObject[] = [];
  const query = { labelSelector: `app.kubernetes.io/part-of=${productName(product)}` };
  await client.list(resourcePath({ ...SERVICES_REF, namespace: SHOP }), {
    query,
    onPage: (page) => found.push(...page),
  });
  return found;
}

/** A Service as a team writes it. Its reviews have 3 to 4 KB, on an update twice that: it holds the old object too. */
export function service(name: string, product: string): KubernetesObject {
  const selector = { "app.kubernetes.io/name": name };
  const ports = [
    { name: "http", port: 80, targetPort: 8080 },
    { name: "metrics", port: 9090 },
  ];
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      name,
      labels: {
        ...selector,
        "app.kubernetes.io/part-of": product,
        "app.kubernetes.io/version": "4.17.2",
        team: "payments",
      },
      annotations: { "example.com/owner": "payments", "prometheus.io/scrape": "true", "prometheus.io/port": "9090" },
    },
    spec: { selector, ports },
  };
}

export async function inParallel<Item>(items: readonly Item[], work: (item: Item) => Promise<unknown>): Promise<void> {
  const queue = items.values();
  const worker = async (): Promise<void> => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: WRITERS }, worker));
}

function policy(index: number): KubernetesObject {
  const first = index * NAMED_PER_POLICY;
  const targets =
    index < NAMING_POLICIES
      ? {
          targetRefs: Array.from({ length: NAMED_PER_POLICY }, (_, n) => ({
            kind: "Service",
            name: nameOf(first + n),
          })),
        }
      : { targetSelector: { matchLabels: { "app.kubernetes.io/part-of": productName(index - NAMING_POLICIES) } } };
  return {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "ResiliencePolicy",
    metadata: { name: policyName(index), namespace: SHOP },
    spec: { ...targets, circuitBreaker: {} },
  };
}

function policyName(index: number): string {
  return `policy-${String(index).padStart(3, "0")}`;
}

function nameOf(index: number): string {
  return `service-${String(index).padStart(4, "0")}`;
}

/** Those that are named by a policy belong to a product that no policy selects. */
function productOf(index: number): string {
  return index < NAMING_POLICIES * NAMED_PER_POLICY ? "platform" : productName(index % SELECTING_POLICIES);
}

function productName(index: number): string {
  return `product-${String(index).padStart(2, "0")}`;
}
