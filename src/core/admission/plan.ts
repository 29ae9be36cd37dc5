import type { Action } from "../action.ts";
import { annotationsOf, type KubernetesObject, labelsOf } from "../kubernetes.ts";
import { targetKindOf } from "../names.ts";
import type { TargetKey, World } from "../world.ts";
import { decide } from "./decide.ts";
import { release } from "./inject.ts";
import { modeOf } from "./mode.ts";
import type { PatchOperation } from "./review.ts";
import { REVISION_LABEL, RECORD_ANNOTATION } from "../names.ts";

/** What to do about one target: `first`, and then what `verify` makes of the API server's answer. */
export interface TargetPlan {
  readonly first: Action;
  readonly verify: (answer: KubernetesObject) => Action | undefined;
}

const NOTHING_MORE = (): undefined => undefined;

/**
 * What brings an existing target in line; undefined when it is. On objects that people own only the revision label
 * is written: the webhook injects within that write, so that the keys get no field manager and a later server-side
 * apply by their team meets no conflict. Keys are written directly only where the webhook did not act, and where the
 * namespace is no longer opted in, so that it is not asked (docs/architecture.md).
 */
export function planTarget(live: KubernetesObject, key: TargetKey, world: World): TargetPlan | undefined {
  if (world.defaults.excludedNamespaces.has(key.namespace) || Boolean(live.metadata?.deletionTimestamp))
    return undefined;
  const { mode } = modeOf(key.namespace, world);
  if (mode === "audit") return undefined;
  if (mode === undefined) return planRelease(live, key, world);
  const operations = outstanding(live, key, world);
  if (operations.length === 0) return undefined;
  return {
    first: { kind: "label", target: key, resourceVersion: versionOf(live), value: revisionAfter(live, operations) },
    verify: (answer) => {
      const left = outstanding(answer, key, world);
      return left.length === 0
        ? undefined
        : { kind: "patch", target: key, resourceVersion: versionOf(answer), operations: left };
    },
  };
}

/** True when an object carries something of ours, so that it has to be looked at even outside opted-in namespaces. */
export function hasTrace(object: KubernetesObject): boolean {
  return annotationsOf(object)[RECORD_ANNOTATION] !== undefined || labelsOf(object)[REVISION_LABEL] !== undefined;
}

function planRelease(live: KubernetesObject, key: TargetKey, world: World): TargetPlan | undefined {
  if (!hasTrace(live)) return undefined;
  const operations = release(live, world.defaults.meshVersion);
  if (operations.length === 0) return undefined;
  return { first: { kind: "patch", target: key, resourceVersion: versionOf(live), operations }, verify: NOTHING_MORE };
}

/** The patch that the mutating webhook would answer to an update that changes nothing. */
function outstanding(live: KubernetesObject, key: TargetKey, world: World): readonly PatchOperation[] {
  const kind = targetKindOf(key.group, key.kind);
  if (kind === undefined) return [];
  const request = {
    phase: "mutate",
    uid: "",
    kind,
    operation: "UPDATE",
    namespace: key.namespace,
    name: key.name,
  } as const;
  return decide({ ...request, object: live, oldObject: live }, world).patch;
}

function versionOf(object: KubernetesObject): string {
  return object.metadata?.resourceVersion ?? "";
}

/** The value that the revision label will have once the operations are done; null: no label. */
function revisionAfter(live: KubernetesObject, operations: readonly PatchOperation[]): string | null {
  for (const operation of operations) {
    if (operation.path === "/metadata/labels" && operation.op !== "remove") {
      return (operation.value as Readonly<Record<string, string>>)[REVISION_LABEL] ?? null;
    }
    if (operation.path === `/metadata/labels/${REVISION_LABEL.replace("/", "~1")}`) {
      return operation.op === "remove" ? null : String(operation.value);
    }
  }
  return labelsOf(live)[REVISION_LABEL] ?? null;
}
