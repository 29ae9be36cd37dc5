import type { Action, DeleteAction, ObjectRef } from "../action.ts";
import { compareStrings } from "../finding.ts";
import type { CompiledPolicy } from "../intent/policy.ts";
import { type KubernetesObject, labelsOf } from "../kubernetes.ts";
import { OBJECT_NAME_LENGTH_MAX, REVISION_LENGTH, REVISIONS_KEPT_MAX } from "../limits.ts";
import { MANAGED_BY, MANAGED_BY_LABEL } from "../names.ts";
import { controllerReference, isOwnedBy, ownedLabels } from "./owned.ts";

/** `apps/v1` ControllerRevision: `data` never changes once it is stored, `revision` may. */
export interface ControllerRevisionObject extends KubernetesObject {
  readonly data?: unknown;
  /** Higher is newer. */
  readonly revision?: number;
}

export interface RevisionsInput {
  /** As stored, with its uid. */
  readonly policy: KubernetesObject;
  readonly compiled: CompiledPolicy;
  /** ControllerRevisions of the namespace, those of other policies included. */
  readonly stored: readonly ControllerRevisionObject[];
  /** Hashes that are never pruned: the revision in force and the last good one. */
  readonly keep: ReadonlySet<string>;
}

export interface RevisionsPlan {
  readonly actions: readonly Action[];
  /** Why the accepted spec cannot be stored; one line, with what to do. */
  readonly problem?: string;
}

/**
 * Keeps every accepted spec, the newest with the highest number, and prunes the oldest. What a policy of the same name
 * left behind when it was deleted belongs to another uid and is the garbage collector's.
 */
export function planRevisions({ policy, compiled, stored, keep }: RevisionsInput): RevisionsPlan {
  const name = revisionName(compiled.name, compiled.revision);
  const namesake = stored.find((object) => object.metadata?.name === name);
  if (namesake !== undefined && !isOwnedBy(namesake, policy)) {
    // The garbage collector would take it too, but may need half a minute for it.
    return isLeftover(namesake, policy)
      ? { actions: [deletionOf(namesake)] }
      : { actions: [], problem: taken(namesake) };
  }
  // A dying one still has its name: what is to be stored can be stored once it is gone.
  if (namesake?.metadata?.deletionTimestamp !== undefined) return { actions: [] };
  const ours = stored.filter((object) => isOwnedBy(object, policy) && !object.metadata?.deletionTimestamp);
  const others = ours.filter((object) => object !== namesake);
  const highest = Math.max(0, ...others.map(numberOf));
  return {
    actions: [
      ...storing({ policy, compiled, namesake, highest }),
      ...pruning(others, new Set([...keep, compiled.revision])),
    ],
  };
}

/** What is stored once an action of {@link planRevisions} was carried out: the watch may tell later. */
export function storedAfter(
  stored: readonly ControllerRevisionObject[],
  action: Action,
  answer: ControllerRevisionObject,
): readonly ControllerRevisionObject[] {
  const name = "ref" in action ? action.ref.name : "";
  const others = stored.filter((object) => nameOf(object) !== name);
  return action.kind === "delete" ? others : [...others, answer];
}

/** `<policy>-<revision>`, with the name of the policy cut where it is too long. */
export function revisionName(policy: string, revision: string): string {
  const room = OBJECT_NAME_LENGTH_MAX - revision.length - 1;
  return `${policy.slice(0, room).replace(/[-.]+$/, "")}-${revision}`;
}

interface StoringInput extends Pick<RevisionsInput, "policy" | "compiled"> {
  readonly namesake: ControllerRevisionObject | undefined;
  /** The highest number among the others. */
  readonly highest: number;
}

function storing({ policy, compiled, namesake, highest }: StoringInput): readonly Action[] {
  const name = revisionName(compiled.name, compiled.revision);
  const ref = refOf(compiled.namespace, name);
  if (namesake !== undefined) {
    if (numberOf(namesake) > highest) return [];
    const resourceVersion = namesake.metadata?.resourceVersion ?? "";
    return [{ kind: "merge", ref, resourceVersion, body: { revision: highest + 1 } }];
  }
  const metadata = {
    name,
    namespace: compiled.namespace,
    labels: ownedLabels(policy),
    ownerReferences: [controllerReference(policy)],
  };
  const object: ControllerRevisionObject = {
    apiVersion: "apps/v1",
    kind: "ControllerRevision",
    metadata,
    data: { spec: policy.spec },
    revision: highest + 1,
  };
  return [{ kind: "create", ref, object }];
}

/** Deletes the oldest until, with the one in force, the limit holds. */
function pruning(others: readonly ControllerRevisionObject[], keep: ReadonlySet<string>): readonly Action[] {
  const excess = others.length + 1 - REVISIONS_KEPT_MAX;
  if (excess <= 0) return [];
  return others
    .filter((object) => !keep.has(hashOf(object)))
    .sort((a, b) => numberOf(a) - numberOf(b) || compareStrings(nameOf(a), nameOf(b)))
    .slice(0, excess)
    .map(deletionOf);
}

function deletionOf(object: ControllerRevisionObject): DeleteAction {
  const { namespace = "", uid = "", resourceVersion = "" } = object.metadata ?? {};
  return { kind: "delete", ref: refOf(namespace, nameOf(object)), uid, resourceVersion };
}

/** Made by Fairlead for a policy of this name that was deleted. */
function isLeftover(object: ControllerRevisionObject, { kind, metadata }: KubernetesObject): boolean {
  const owner = object.metadata?.ownerReferences?.find(({ controller }) => controller === true);
  return labelsOf(object)[MANAGED_BY_LABEL] === MANAGED_BY && owner?.kind === kind && owner?.name === metadata?.name;
}

function taken(namesake: KubernetesObject): string {
  const { namespace, name } = namesake.metadata ?? {};
  return `ControllerRevision ${namespace}/${name} belongs to somebody else, so the spec is not kept; delete it`;
}

function refOf(namespace: string, name: string): ObjectRef {
  return { group: "apps", resource: "controllerrevisions", namespace, name };
}

function numberOf(object: ControllerRevisionObject): number {
  return object.revision ?? 0;
}

function nameOf(object: KubernetesObject): string {
  return object.metadata?.name ?? "";
}

function hashOf(object: KubernetesObject): string {
  return nameOf(object).slice(-REVISION_LENGTH);
}
