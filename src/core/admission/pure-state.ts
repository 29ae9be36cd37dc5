import type { StringMap } from "../kubernetes.ts";
import { isFamilyKey } from "../mesh/all.ts";
import { RECORD_ANNOTATION } from "../names.ts";
import type { WantedGroup } from "./compiled.ts";
import type { Changes } from "./patch.ts";

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
