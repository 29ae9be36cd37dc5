/** Goals and sizes of the benchmark. */

/** What a run is held to; a miss is reported, never an error. Ratios are against the bare server of the same run. */
export const GOALS = {
  /** CPU of one review, Fairlead / bare, without rules. */
  cpuRatioMax: 1.5,
  /** At concurrency 1. */
  handlerP99MsMax: 5,
  /** CPU of one review at the door of 20 rules, Fairlead / bare. */
  rulesCpuRatioMax: 2.5,
  /** p99 of one review with 20 rules, by the size of the object. */
  rulesP99MsMax: { "10 KB": 5, "1 MB": 25 },
  /** Until a rule that would go on and on is cut off, at most. */
  cutOffMsMax: 50,
  /** Latency added to a Service create through kube-apiserver, Fairlead / bare. */
  endToEndRatioMax: 1.2,
  /** RSS of Fairlead above the bare server's under the same load. */
  memoryAboveBareMiBMax: 100,
  /** "Flat under churn": less than one semi-space of V8 (16 MiB, v8 heap.cc), whose resizing is no leak. */
  churnGrowthMiBMax: 16,
  /** One change to all Services, Fairlead / bare client, from the policy write to the last answer. */
  propagationRatioMax: 1.3,
  propagationMsMax: 30_000,
  /** Writes of a settled cluster, Leases aside. */
  settledWritesMax: 0,
  /** Memory for each Service of a namespace that did not opt in, on the heap of one process. */
  strangerBytesMax: 2 * 1024,
  /** What a large Service may cost more than a small one there: nothing of its size, only noise of the heap. */
  strangerSizeBytesMax: 512,
} as const;

/** Size of the world. All policies are in the one namespace, which is the worst case. */
export const POLICIES = 100;
export const SERVICES = 1_000;

/** One request at a time, and about what one kube-apiserver keeps in flight during a rollout. */
export const CONCURRENCIES = [1, 32] as const;

/** As many writes at once as Fairlead's writer has (src/k8s/apply.ts). */
export const PATCH_CONCURRENCY = 8;

/** What can be measured alone. The first four share one cluster with one process of Fairlead, the next one with two. */
export const REVIEW_PARTS = ["reviews", "creates", "churn", "rules"] as const;
export const CONTROLLER_PARTS = ["propagation", "scale", "settled"] as const;
/** These have a cluster with a real istiod and a real proxy, in a network namespace. */
export const MESH_PARTS = ["proxy", "mesh"] as const;
export const PARTS = [...REVIEW_PARTS, ...CONTROLLER_PARTS, ...MESH_PARTS] as const;
export type Part = (typeof PARTS)[number];

/** How long and how often each thing is measured. */
export interface Plan {
  readonly handlerRounds: number;
  readonly handlerWindowMs: number;
  /** Long enough for V8 to optimise the hot path: later windows show no further fall. */
  readonly warmUpMs: number;
  readonly endToEndRounds: number;
  /** Creates of each arm in one round. */
  readonly endToEndCreates: number;
  readonly churnCycles: number;
  readonly propagationRounds: number;
  /** Services of the one large namespace, and of those that did not opt in. */
  readonly scaleServices: number;
  readonly settledMs: number;
  /** Changes of a policy, and as many of an object of the mesh, until a proxy does as they say. */
  readonly proxyChanges: number;
  /** Services with a policy each. */
  readonly meshServices: number;
}

/**
 * Minutes, not seconds (reference/admission-webhooks.md, Lessons b), about fifteen with the start of three clusters.
 * Many short windows rather than a few long ones: both servers then meet the same moods of a shared machine.
 */
export const FULL_PLAN: Plan = {
  handlerRounds: 25,
  handlerWindowMs: 700,
  warmUpMs: 4_000,
  endToEndRounds: 25,
  endToEndCreates: 60,
  churnCycles: 30,
  propagationRounds: 7,
  scaleServices: 10_000,
  settledMs: 60_000,
  proxyChanges: 50,
  meshServices: 1_000,
};
export const QUICK_PLAN: Plan = {
  handlerRounds: 3,
  handlerWindowMs: 700,
  warmUpMs: 1_500,
  endToEndRounds: 8,
  endToEndCreates: 30,
  churnCycles: 9,
  propagationRounds: 3,
  scaleServices: 2_000,
  settledMs: 15_000,
  proxyChanges: 10,
  meshServices: 200,
};
