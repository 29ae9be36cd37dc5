import type { PatchOperation } from "./admission/review.ts";
import type { KubernetesObject } from "./kubernetes.ts";
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

/** One object of any kind, by identity; the version is the one that the API server serves. */
export interface ObjectRef {
  readonly group: string;
  /** Plural, lower case: `controllerrevisions`. */
  readonly resource: string;
  /** Empty where the kind belongs to no namespace. */
  readonly namespace: string;
  readonly name: string;
}

/** Create an object that Fairlead owns; a conflict where one of this name exists. */
export interface CreateAction {
  readonly kind: "create";
  readonly ref: ObjectRef;
  readonly object: KubernetesObject;
}

/** Server-side apply of an object that Fairlead owns, never by force: a field of somebody else's is a conflict. */
export interface ApplyAction {
  readonly kind: "apply";
  readonly ref: ObjectRef;
  /** The Service that it is for: where one write fails, the others of the Service wait. Empty: it is for none. */
  readonly service: string;
  /** `apiVersion` is filled in by the writer with the version that the API server serves. */
  readonly object: KubernetesObject;
  /** The version the plan was made from; undefined: the object does not exist yet. */
  readonly resourceVersion: string | undefined;
  /** It only puts back what somebody changed. */
  readonly repairs?: true;
}

/** Merge patch of an object that must still be as it was read: status, finalizers, the number of a revision. */
export interface MergeAction {
  readonly kind: "merge";
  readonly ref: ObjectRef;
  readonly subresource?: "status";
  readonly resourceVersion: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Delete an object that must still be the one that was read. */
export interface DeleteAction {
  readonly kind: "delete";
  readonly ref: ObjectRef;
  readonly uid: string;
  readonly resourceVersion: string;
}

/** A write to a Service or route. */
export type TargetAction = LabelAction | PatchAction;

/** What the core wants done to the cluster, as a value. Only k8s/apply.ts carries it out. */
export type Action = TargetAction | CreateAction | ApplyAction | MergeAction | DeleteAction;
