import type { TargetAction } from "../action.ts";
import { annotationsOf, type KubernetesObject, labelsOf, type StringMap } from "../kubernetes.ts";
import { meshVersionIn } from "../mesh/discovery.ts";
import type { MeshVersion } from "../mesh/version.ts";
import { RECORD_ANNOTATION, REVISION_LABEL, targetKindOf } from "../names.ts";
import type { TargetKey, World } from "../world.ts";
import { decide } from "./decide.ts";
import { release } from "./inject.ts";
import { modeOf } from "./mode.ts";
import { readRecord } from "./record.ts";
import type { PatchOperation } from "./review.ts";

/**
 * Why a target is written: other policies are in force, somebody changed what was in force, nothing is any more, or the
 * record alone has to follow, because what somebody changed is theirs now.
 */
export type WriteReason = "applied" | "repaired" | "cleaned" | "recorded";

/** What to do about one target: `first`, and then what `verify` makes of the API server's answer. */
export interface TargetPlan {
  readonly reason: WriteReason;
  /** Name of the policy, or names joined by commas; when cleaning, of those that were in force. */
  readonly policy: string;
  readonly first: TargetAction;
  readonly verify: (answer: KubernetesObject) => TargetAction | undefined;
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
  const value = valueAfter(labelsOf(live), REVISION_LABEL, { operations, map: "labels" }) ?? null;
  return {
    ...causeOf(live, operations, meshVersionIn(world.namespace(key.namespace), world)),
    first: { kind: "label", target: key, resourceVersion: versionOf(live), value },
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
  const version = meshVersionIn(world.namespace(key.namespace), world);
  const operations = release(live, version);
  if (operations.length === 0) return undefined;
  return {
    ...causeOf(live, operations, version),
    first: { kind: "patch", target: key, resourceVersion: versionOf(live), operations },
    verify: NOTHING_MORE,
  };
}

/** Told from the records: a target whose record names the wanted revision already was changed by somebody. */
function causeOf(
  live: KubernetesObject,
  operations: readonly PatchOperation[],
  version: MeshVersion,
): Pick<TargetPlan, "reason" | "policy"> {
  const annotations = annotationsOf(live);
  const before = readRecord(annotations[RECORD_ANNOTATION], version);
  const after = readRecord(valueAfter(annotations, RECORD_ANNOTATION, { operations, map: "annotations" }), version);
  if (after === undefined) return { reason: "cleaned", policy: before?.policy ?? "" };
  if (before?.revision !== after.revision) return { reason: "applied", policy: after.policy };
  return { reason: operations.every(isOfRecord) ? "recorded" : "repaired", policy: after.policy };
}

function isOfRecord({ path }: PatchOperation): boolean {
  return path === pathOf("annotations", RECORD_ANNOTATION);
}

function pathOf(map: MapOperations["map"], key: string): string {
  return `/metadata/${map}/${key.replace("/", "~1")}`;
}

/** The patch that the mutating webhook would answer to an update that changes nothing. */
function outstanding(live: KubernetesObject, key: TargetKey, world: World): readonly PatchOperation[] {
  const kind = targetKindOf(key.group, key.kind);
  if (kind === undefined) return [];
  const request = {
    phase: "mutate",
    nowMs: 0,
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

interface MapOperations {
  readonly operations: readonly PatchOperation[];
  /** Which of the two maps of metadata is meant. */
  readonly map: "labels" | "annotations";
}

/** The value of a key once the operations are done; undefined: it will not be there. */
function valueAfter(before: StringMap, key: string, { operations, map }: MapOperations): string | undefined {
  const path = pathOf(map, key);
  for (const operation of operations) {
    if (operation.path === path) return operation.op === "remove" ? undefined : String(operation.value);
    if (operation.path === `/metadata/${map}`) {
      return operation.op === "remove" ? undefined : (operation.value as StringMap)[key];
    }
  }
  return before[key];
}
