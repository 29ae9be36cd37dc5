import type { KubernetesObject, StringMap } from "../kubernetes.ts";
import { isFamilyKey } from "../mesh/all.ts";
import { RECORD_ANNOTATION } from "../names.ts";
import type { WantedGroup } from "./compiled.ts";
import { type Changes, metadataPatch } from "./patch.ts";
import type { PatchOperation } from "./review.ts";

/**
 * What a target carries when no person wrote keys of the families on it: every group as the policies compile, and the
 * record of that. Nearly every target is like this, or about to be, so that this state is worth knowing by heart.
 */
export interface PureState {
  /** With the record. */
  readonly annotations: Changes;
  readonly labels: Changes;
  readonly recordText: string;
}

/** By its state, the patches of purePatch(). */
const additions = new WeakMap<PureState, (readonly PatchOperation[])[]>();

/**
 * The patch that brings an object to the state. Where nothing of the state is on it yet, the patch depends only on
 * which of the two maps the object has, so that each of these four is made once.
 */
export function purePatch(object: KubernetesObject, state: PureState): readonly PatchOperation[] {
  const { annotations, labels } = object.metadata ?? {};
  if (hasAny(annotations, state.annotations) || hasAny(labels, state.labels)) {
    return metadataPatch(object, state.annotations, state.labels);
  }
  let known = additions.get(state);
  if (known === undefined) additions.set(state, (known = []));
  const maps = (annotations ? 1 : 0) + (labels ? 2 : 0);
  return (known[maps] ??= metadataPatch(object, state.annotations, state.labels));
}

function hasAny(map: StringMap | undefined, keys: Changes): boolean {
  // YAML read from files may hold a null here.
  if (!map) return false;
  for (const key in keys) if (Object.hasOwn(map, key)) return true;
  return false;
}

/** By its first group, the state of the combination of groups that was last asked for. */
const states = new WeakMap<WantedGroup, { readonly groups: readonly WantedGroup[]; readonly state: PureState }>();

/** `make` is called where the state is not known. Groups are made once each (compiled.ts), so that identity tells. */
export function pureStateOf(groups: readonly WantedGroup[], make: () => PureState | undefined): PureState | undefined {
  const [first] = groups;
  if (first === undefined) return undefined;
  const known = states.get(first);
  if (known?.groups.length === groups.length && known.groups.every((group, index) => group === groups[index])) {
    return known.state;
  }
  const state = make();
  if (state !== undefined) states.set(first, { groups, state });
  return state;
}

/**
 * Whether no value on the object is a person's, nor remembered as one, so that ownership.ts would find none: there are
 * no keys of the families, or only ours under our own record; and the old object had no record, or this one.
 */
export function isPure(annotations: StringMap, oldRecordText: string | undefined, state: PureState): boolean {
  if (oldRecordText !== undefined && oldRecordText !== state.recordText) return false;
  const isOurs = annotations[RECORD_ANNOTATION] === state.recordText;
  if (!isOurs && annotations[RECORD_ANNOTATION] !== undefined) return false;
  for (const key in annotations) {
    if (isFamilyKey(key) && !(isOurs && state.annotations[key] === annotations[key])) return false;
  }
  return true;
}
