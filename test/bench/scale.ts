import { MODE_LABEL } from "../../src/core/names.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import type { Child } from "./child.ts";
import { createFleet, createServices, type ServicesOrder } from "./fleet.ts";
import type { Plan } from "./limits.ts";
import type { Usage } from "./probe.ts";
import { runFairlead } from "./propagation.ts";
import type { RolesStage } from "./roles-stage.ts";
import { createNamespace } from "./world.ts";

/** Both processes, in bytes. */
export interface Both {
  readonly controller: number;
  readonly admission: number;
}

export interface ScaleResult {
  /** Services of the one namespace that opted in. */
  readonly services: number;
  readonly creationMs: number;
  readonly propagationMs: number;
  /** RSS: before these Services, the largest since the start, and after; before and after follow a full collection. */
  readonly rssBefore: Both;
  readonly rssPeak: Both;
  readonly rssAfter: Both;
  readonly heapBefore: Both;
  readonly heapAfter: Both;
  /** Services in namespaces that did not opt in: half as teams write them, half with a large annotation. */
  readonly strangers: number;
  readonly largeAnnotationBytes: number;
  /** Growth for each of them: of the heap after a full collection, and of RSS. */
  readonly strangerHeap: { readonly small: Both; readonly large: Both };
  readonly strangerRss: { readonly small: Both; readonly large: Both };
}

interface Memory {
  readonly heap: Both;
  readonly rss: Both;
  readonly peak: Both;
}

const LARGE_ANNOTATION_BYTES = 8 * 1024;

export async function measureScale(stage: RolesStage, plan: Plan): Promise<ScaleResult> {
  const { client } = stage;
  const half = plan.scaleServices / 2;
  const empty = await memoryOf(stage);
  await createStrangers(stage, { namespace: "strangers-small", size: half });
  const small = await memoryOf(stage);
  const annotations = { "example.com/notes": "x".repeat(LARGE_ANNOTATION_BYTES) };
  await createStrangers(stage, { namespace: "strangers-large", size: half, annotations });
  const large = await memoryOf(stage);

  await createNamespace(client, "large-fleet", { [MODE_LABEL]: "enforce" });
  const startMs = performance.now();
  const fleet = await createFleet(client, "large-fleet", plan.scaleServices);
  const creationMs = performance.now() - startMs;
  const { elapsedMs } = await runFairlead(stage, fleet);
  const after = await memoryOf(stage);
  const each = (a: Both, b: Both): Both => ({
    controller: (b.controller - a.controller) / half,
    admission: (b.admission - a.admission) / half,
  });
  return {
    services: plan.scaleServices,
    creationMs,
    propagationMs: elapsedMs,
    rssBefore: large.rss,
    rssPeak: after.peak,
    rssAfter: after.rss,
    heapBefore: large.heap,
    heapAfter: after.heap,
    strangers: plan.scaleServices,
    largeAnnotationBytes: LARGE_ANNOTATION_BYTES,
    strangerHeap: { small: each(empty.heap, small.heap), large: each(small.heap, large.heap) },
    strangerRss: { small: each(empty.rss, small.rss), large: each(small.rss, large.rss) },
  };
}

async function createStrangers(stage: RolesStage, order: ServicesOrder): Promise<void> {
  await createNamespace(stage.client, order.namespace, {});
  await createServices(stage.client, { ...order, headless: true });
}

/** After a full collection, once both have taken in what was written. */
export async function memoryOf({ controller, admission }: Pick<RolesStage, keyof Both>): Promise<Memory> {
  const of = async (child: Child): Promise<Usage> => {
    await whenQuiet(child);
    return child.ask("heap");
  };
  const [c, a] = [await of(controller), await of(admission)];
  return {
    heap: { controller: c.heapBytes ?? Number.NaN, admission: a.heapBytes ?? Number.NaN },
    rss: { controller: c.rssBytes, admission: a.rssBytes },
    peak: { controller: c.rssPeakBytes, admission: a.rssPeakBytes },
  };
}

/** A process that renews a Lease and its watches uses less than this. */
const QUIET_CPU_MICROS = 30_000;
const QUIET_WINDOW_MS = 500;

async function whenQuiet(child: Child): Promise<void> {
  let before = Number.NEGATIVE_INFINITY;
  const isQuiet = async (): Promise<boolean> => {
    const { cpuMicros } = await child.ask("usage");
    const used = cpuMicros - before;
    before = cpuMicros;
    return used < QUIET_CPU_MICROS;
  };
  await waitFor("a process to be quiet", isQuiet, { intervalMs: QUIET_WINDOW_MS });
}
