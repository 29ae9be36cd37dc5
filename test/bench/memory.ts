import type { KubernetesClient } from "../../src/k8s/client.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { MAX_FAILURES } from "./fleet.ts";
import type { Plan } from "./limits.ts";
import type { Server } from "./servers.ts";
import { median } from "./statistics.ts";
import { BENCH_PRODUCT, changePolicy, createService, deleteServices, service, servicesOf, SHOP } from "./world.ts";

export interface MemoryResult {
  /** Medians of the RSS in the first and in the last third of the churn. */
  readonly churnStartMiB: number;
  readonly churnEndMiB: number;
  /** What is in use after a full collection, before and after the churn. */
  readonly heapStartMiB: number;
  readonly heapEndMiB: number;
  /** How often an object was written in the churn, by us or by Fairlead's controller. */
  readonly writes: number;
}

const BYTES_PER_MIB = 1024 * 1024;
const CHURNED_POLICIES = 5;
const CHURNED_SERVICES = 40;

/** Whether RSS stays, after all the load, while policies and Services come, change and go. */
export async function measureMemory({ child }: Server, client: KubernetesClient, plan: Plan): Promise<MemoryResult> {
  const before = await child.ask("heap");
  const samplesMiB: number[] = [];
  let writes = 0;
  for (let cycle = 0; cycle < plan.churnCycles; cycle++) {
    writes += await churn(client, cycle);
    samplesMiB.push((await child.ask("usage")).rssBytes / BYTES_PER_MIB);
  }
  const after = await child.ask("heap");
  const third = Math.ceil(samplesMiB.length / 3);
  return {
    churnStartMiB: median(samplesMiB.slice(0, third)),
    churnEndMiB: median(samplesMiB.slice(-third)),
    heapStartMiB: (before.heapBytes ?? Number.NaN) / BYTES_PER_MIB,
    heapEndMiB: (after.heapBytes ?? Number.NaN) / BYTES_PER_MIB,
    writes,
  };
}

/** Changes policies, waits until every Service of theirs follows, and creates and deletes Services. */
async function churn(client: KubernetesClient, cycle: number): Promise<number> {
  const failures = 10 + (cycle % 10);
  const names = Array.from({ length: CHURNED_SERVICES }, (_, index) => `churned-${index}`);
  const products = Array.from({ length: CHURNED_POLICIES }, (_, index) => (cycle * CHURNED_POLICIES + index) % 50);
  for (const product of products) await changePolicy(client, product, failures);
  for (const name of names) await createService(client, SHOP, service(name, BENCH_PRODUCT));
  let followers = 0;
  for (const product of products) followers += await whenFollowing(client, product, String(failures));
  await deleteServices(client, SHOP, names);
  return CHURNED_POLICIES + 2 * CHURNED_SERVICES + followers;
}

/** How many Services had to be brought in line. */
async function whenFollowing(client: KubernetesClient, product: number, failures: string): Promise<number> {
  let count = 0;
  await waitFor(`the Services of product ${product} to follow`, async () => {
    const services = await servicesOf(client, product);
    count = services.length;
    return services.every((object) => object.metadata?.annotations?.[MAX_FAILURES] === failures);
  });
  return count;
}
