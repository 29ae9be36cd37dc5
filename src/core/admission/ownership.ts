import type { StringMap } from "../kubernetes.ts";
import { isFamilyKey } from "../mesh/all.ts";
import type { InjectionRecord } from "./record.ts";

/** Everything that decides whose a value is. */
export interface OwnershipInput {
  /** Annotations of the object as it arrived. */
  readonly annotations: StringMap;
  /** The record that arrived with the object: believed only where the policies of today say the same. */
  readonly ownRecord: InjectionRecord | undefined;
  /** The record of oldObject, which the webhook wrote; absent on CREATE. */
  readonly oldRecord: InjectionRecord | undefined;
  /** What current policies compile to, all groups together. */
  readonly desired: StringMap;
  /** True where a group is now replaced as a whole, so that keys which people wrote may be gone from the object. */
  readonly isReplaced: (key: string) => boolean;
}

/**
 * The family keys as people wrote them: ours taken out, and what Override had replaced put back.
 *
 * A key is ours when (1) the object's own record claims it and its value is what policies compile to now: our own
 * first pass under reinvocation, or a restored backup; or (2) oldObject's record claims it and the value is
 * untouched. Any other value is a person's, also one that was edited after we wrote it.
 */
export function peoplesKeys(input: OwnershipInput): Record<string, string> {
  const { annotations, ownRecord, oldRecord } = input;
  const keys: Record<string, string> = {};
  for (const key in annotations) {
    if (!isFamilyKey(key)) continue;
    const owner = owningRecord(key, input);
    const value = owner === undefined ? annotations[key] : remembered(owner, key, input);
    if (value !== undefined) keys[key] = value;
  }
  // Keys that Override took away leave no trace but `replaced`. The object's own record comes first: after our first
  // pass it knows of a value that this very write brought, while the old object's record still has the one before.
  for (const record of [ownRecord, oldRecord]) {
    for (const key in record?.replaced) {
      const isAway = annotations[key] === undefined && record.keys[key] === undefined;
      const believed = record === oldRecord || input.isReplaced(key);
      const value = isAway && believed ? remembered(record, key, input) : undefined;
      if (value !== undefined) keys[key] ??= value;
    }
  }
  return keys;
}

/** What a person had in place of our value. An own record that gives our own value for it is forged. */
function remembered(
  record: InjectionRecord,
  key: string,
  { ownRecord, oldRecord }: OwnershipInput,
): string | undefined {
  const value = record.replaced[key];
  const isOurs = value !== undefined && (value === ownRecord?.keys[key] || value === oldRecord?.keys[key]);
  return record === ownRecord && isOurs ? undefined : value;
}

/** What Override had taken away without writing anything in its place, and still remembers. */
export function takenAway(record: InjectionRecord | undefined): StringMap {
  if (record === undefined) return {};
  return Object.fromEntries(Object.entries(record.replaced).filter(([key]) => record.keys[key] === undefined));
}

function owningRecord(key: string, input: OwnershipInput): InjectionRecord | undefined {
  const { annotations, ownRecord, oldRecord, desired } = input;
  const value = annotations[key];
  if (ownRecord?.keys[key] === value && desired[key] === value) return ownRecord;
  if (oldRecord?.keys[key] === value) return oldRecord;
  return undefined;
}
