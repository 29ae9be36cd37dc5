import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { resourcePath } from "../../src/k8s/client.ts";
import { NAMESPACE, service } from "../dataplane/objects.ts";
import { isReady, type ObservedPolicy } from "../dataplane/policy.ts";
import type { Plan } from "./limits.ts";
import type { MeshStage } from "./mesh-stage.ts";
import { faultPolicy, untilAnswered } from "./proxy.ts";
import { type Both, memoryOf } from "./scale.ts";
import { createService, inParallel, POLICIES_REF } from "./world.ts";

export interface MeshScaleResult {
  /** Services with a policy each. */
  readonly services: number;
  /** From the first write of a policy: until the last is written, and until the proxy has done as each of them says. */
  readonly writtenMs: number;
  readonly inForceMs: number;
  /** Until every policy says that it is ready. */
  readonly readyMs: number;
  /** What Fairlead wrote for it, Leases and Events aside, by resource. */
  readonly writes: Readonly<Record<string, number>>;
  /** After a full collection: with the Services, and with their policies and what they make. */
  readonly heapBefore: Both;
  readonly heapAfter: Both;
  readonly rssAfter: Both;
}

/** The namespace has other policies, too. */
const PREFIX = "many-";
const STATUS = 418;

/** Many Services at once get a policy each, and the proxy of one client has to know them all. */
export async function measureMeshScale(stage: MeshStage, plan: Plan): Promise<MeshScaleResult> {
  const { client, mesh, roles } = stage;
  const names = Array.from({ length: plan.meshServices }, (_, index) => `${PREFIX}${String(index).padStart(5, "0")}`);
  await inParallel(names, (name) => createService(client, NAMESPACE, service(name, 1)));
  await mesh.settle();
  const processes = { controller: roles.controller, admission: roles.admission.child };
  const before = await memoryOf(processes);
  const path = resourcePath({ ...POLICIES_REF, namespace: NAMESPACE });
  const sinceMs = Date.now();
  const startMs = performance.now();
  const elapsedMs = (): number => performance.now() - startMs;
  await inParallel(names, (name) => client.create(path, faultPolicy(name, STATUS)));
  const writtenMs = elapsedMs();
  // One after the other: what is not in force yet is asked for again and again, the others once.
  for (const name of names) await untilAnswered(stage, name, STATUS);
  const inForceMs = elapsedMs();
  const ready = async (): Promise<boolean> => (await countReady(stage)) >= names.length;
  await waitFor("every policy to be ready", ready, { timeoutMs: READY_LIMIT_MS, intervalMs: READY_INTERVAL_MS });
  const readyMs = elapsedMs();
  await mesh.settle();
  const after = await memoryOf(processes);
  return {
    services: names.length,
    writtenMs,
    inForceMs,
    readyMs,
    writes: await writesOf(stage, sinceMs),
    heapBefore: before.heap,
    heapAfter: after.heap,
    rssAfter: after.rss,
  };
}

async function writesOf({ audit, roles }: MeshStage, sinceMs: number): Promise<Readonly<Record<string, number>>> {
  const counts: Record<string, number> = {};
  for (const { user, resource } of await audit.writes(sinceMs)) {
    if (!roles.users.has(user) || resource === "leases" || resource === "events") continue;
    counts[resource] = (counts[resource] ?? 0) + 1;
  }
  return counts;
}

const READY_LIMIT_MS = 180_000;
/** Seldom, since every answer has all policies. */
const READY_INTERVAL_MS = 500;

async function countReady({ client }: MeshStage): Promise<number> {
  let count = 0;
  await client.list(resourcePath({ ...POLICIES_REF, namespace: NAMESPACE }), {
    onPage(items) {
      for (const policy of items as readonly ObservedPolicy[])
        if (isReady(policy) && policy.metadata?.name?.startsWith(PREFIX)) count += 1;
    },
  });
  return count;
}
