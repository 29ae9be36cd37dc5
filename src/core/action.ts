import type { PatchOperation } from "./admission/review.ts";
import type { TargetKey } from "./world.ts";

/**
 * Write the label `fairlead.dev/revision` and nothing else: the write that makes the API server ask the webhook,
 * which injects within it (docs/architecture.md). `value: null` removes the label.
 */
export interface LabelAction {
  readonly kind: "label";
  readonly target: TargetKey;
  /** The version the plan was made from; a write to any other version is a conflict. */
  readonly resourceVersion: string;
  readonly value: string | null;
}

/** Write keys directly, where the webhook did not act. */
export interface PatchAction {
  readonly kind: "patch";
  readonly target: TargetKey;
  readonly resourceVersion: string;
  readonly operations: readonly PatchOperation[];
}

/** What the core wants done to the cluster, as a value. Only k8s/apply.ts carries it out. */
export type Action = LabelAction | PatchAction;
