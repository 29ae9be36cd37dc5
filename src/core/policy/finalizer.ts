import type { MergeAction } from "../action.ts";
import { modeOf } from "../admission/mode.ts";
import { compilePolicy } from "../intent/policy.ts";
import type { KubernetesObject } from "../kubernetes.ts";
import { CLEAN_UP_WAIT_MS } from "../limits.ts";
import { CLEANUP_FINALIZER, FAIRLEAD_GROUP } from "../names.ts";
import type { World } from "../world.ts";
import { recordsNaming } from "./recorded.ts";

export interface FinalizerInput {
  /** As stored. */
  readonly policy: KubernetesObject;
  readonly world: World;
  /** True while the namespace itself is being deleted. */
  readonly namespaceTerminating?: boolean;
  /**
   * How long the policy has been deleting, in milliseconds: the longer of what its deletionTimestamp says and of what
   * this process saw itself, so that a clock that is behind the API server's cannot make a deletion hang.
   */
  readonly deletingForMs?: number;
}

export interface FinalizerPlan {
  readonly action?: MergeAction;
  /** True: the finalizer goes although targets still carry settings; they are found by their records later. */
  readonly giveUp?: boolean;
  /** The deletion waits for targets; look again when one changes, and after this time at the latest. */
  readonly againInMs?: number;
}

const NOTHING: FinalizerPlan = Object.freeze({});

/**
 * The finalizer only orders a deletion: settings go off the targets while the policy still exists, so that people see
 * the one happen before the other. Nothing depends on it, so it is never worth a deletion that hangs.
 */
export function planFinalizer(input: FinalizerInput): FinalizerPlan {
  const { policy, world, namespaceTerminating = false, deletingForMs = 0 } = input;
  const { namespace = "default", name = "", deletionTimestamp, finalizers = [] } = policy.metadata ?? {};
  const held = finalizers.includes(CLEANUP_FINALIZER);
  const cleans = !namespaceTerminating && isCleaned(namespace, world);
  if (!deletionTimestamp) {
    const wanted = cleans && !held && compilePolicy(policy).policy !== undefined;
    return wanted ? { action: finalizersAction(policy, [...finalizers, CLEANUP_FINALIZER]) } : NOTHING;
  }
  if (!held) return NOTHING;
  const left = cleans && recordsNaming(name, world.targetsIn(namespace)).length > 0;
  if (left && deletingForMs < CLEAN_UP_WAIT_MS) return { againInMs: CLEAN_UP_WAIT_MS - deletingForMs };
  const kept = finalizers.filter((finalizer) => finalizer !== CLEANUP_FINALIZER);
  return { action: finalizersAction(policy, kept), ...(left && { giveUp: true }) };
}

/** Whether settings are taken off targets there at all: audit mode leaves what was injected (docs/policy.md). */
function isCleaned(namespace: string, world: World): boolean {
  const known = world.namespace(namespace) !== undefined;
  return known && !world.defaults.excludedNamespaces.has(namespace) && modeOf(namespace, world).mode !== "audit";
}

/** A merge patch replaces the whole list; the version as a precondition keeps the finalizers of others safe. */
function finalizersAction({ metadata }: KubernetesObject, finalizers: readonly string[]): MergeAction {
  const { namespace = "default", name = "", resourceVersion = "" } = metadata ?? {};
  const ref = { group: FAIRLEAD_GROUP, resource: "resiliencepolicies", namespace, name };
  return { kind: "merge", ref, resourceVersion, body: { metadata: { finalizers } } };
}
