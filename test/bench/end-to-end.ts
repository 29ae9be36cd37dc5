import { RECORD_ANNOTATION } from "../../src/core/names.ts";
import type { KubernetesClient } from "../../src/k8s/client.ts";
import { RECORD_KEY } from "./breaker.ts";
import type { Plan } from "./limits.ts";
import { median, spread, type Spread } from "./statistics.ts";
import { BENCH_PRODUCT, createService, deleteServices, service, SHOP } from "./world.ts";

export const NONE_NAMESPACE = "bench-none";
export const BARE_NAMESPACE = "bench-bare";
/** Opts a namespace in to the bare server. */
export const BARE_LABEL = "bench.fairlead.dev/bare";

/** All three are there all the time and told apart by namespace: nothing has to be registered anew between creates. */
const ARMS = {
  none: { namespace: NONE_NAMESPACE, written: undefined },
  bare: { namespace: BARE_NAMESPACE, written: RECORD_KEY },
  fairlead: { namespace: SHOP, written: RECORD_ANNOTATION },
} as const;
type Arm = keyof typeof ARMS;
/**
 * Each arm follows each of the others equally often. What a create leaves to be done, such as the watch event that
 * Fairlead acts on, slows the next one down, and may not fall on the same arm always.
 */
const ORDERS: readonly (readonly Arm[])[] = [
  ["none", "bare", "fairlead"],
  ["none", "fairlead", "bare"],
  ["fairlead", "bare", "none"],
  ["bare", "none", "fairlead"],
  ["bare", "fairlead", "none"],
  ["fairlead", "none", "bare"],
];

export interface EndToEndResult {
  readonly creates: number;
  /** p50 of each round. */
  readonly p50Ms: Readonly<Record<Arm, Spread>>;
  /** What each adds to the p50 of the same round without a webhook. */
  readonly addedMs: Readonly<Record<"bare" | "fairlead", Spread>>;
  /** Fairlead's part over the bare server's, round by round. */
  readonly ratio: Spread;
}

/** Creates Services one by one, through kube-apiserver, the three arms in turn within every round. */
export async function measureEndToEnd(client: KubernetesClient, plan: Plan): Promise<EndToEndResult> {
  await round(client, plan.endToEndCreates);
  const rounds: Record<Arm, number>[] = [];
  for (let count = 0; count < plan.endToEndRounds; count++) rounds.push(await round(client, plan.endToEndCreates));
  const added = (arm: Arm): number[] => rounds.map((p50) => p50[arm] - p50.none);
  return {
    creates: plan.endToEndRounds * plan.endToEndCreates,
    p50Ms: {
      none: spread(rounds.map((p50) => p50.none)),
      bare: spread(rounds.map((p50) => p50.bare)),
      fairlead: spread(rounds.map((p50) => p50.fairlead)),
    },
    addedMs: { bare: spread(added("bare")), fairlead: spread(added("fairlead")) },
    ratio: spread(rounds.map((p50) => (p50.fairlead - p50.none) / (p50.bare - p50.none))),
  };
}

/** The p50 of each arm; their order changes with every create. */
async function round(client: KubernetesClient, creates: number): Promise<Record<Arm, number>> {
  const latenciesMs: Record<Arm, number[]> = { none: [], bare: [], fairlead: [] };
  const created: string[] = [];
  for (let count = 0; count < creates; count++) {
    const name = `created-${count}`;
    created.push(name);
    for (const arm of ORDERS[count % ORDERS.length] ?? []) {
      latenciesMs[arm].push(await timedCreate(client, arm, name));
    }
  }
  for (const { namespace } of Object.values(ARMS)) await deleteServices(client, namespace, created);
  return { none: median(latenciesMs.none), bare: median(latenciesMs.bare), fairlead: median(latenciesMs.fairlead) };
}

async function timedCreate(client: KubernetesClient, arm: Arm, name: string): Promise<number> {
  const { namespace, written } = ARMS[arm];
  const body = service(name, BENCH_PRODUCT);
  const startMs = performance.now();
  const stored = await createService(client, namespace, body);
  const elapsedMs = performance.now() - startMs;
  // Both fail open: a create that was not injected would be fast and worth nothing.
  if (written !== undefined && stored.metadata?.annotations?.[written] === undefined) {
    throw new Error(`Cannot use the run: ${arm} did not inject Service ${namespace}/${name}`);
  }
  return elapsedMs;
}
