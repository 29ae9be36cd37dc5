import type { Action } from "../core/action.ts";

export interface OwnedWrites {
  readonly write: (action: Action) => Promise<unknown>;
  /** Asked before each write: a long plan ends early where the policy says something else by now. */
  readonly isStillWanted: () => boolean;
}

/**
 * Writes what a policy owns, in its order; returns the first error, to be told by the status and tried again. Of what
 * is for one Service, the others wait for the one that failed, and nothing is deleted: requests must never find a half
 * of it.
 */
export async function writeOwned(actions: readonly Action[], { write, isStillWanted }: OwnedWrites): Promise<unknown> {
  const failed = new Set<string | undefined>();
  let first: unknown;
  for (const action of actions) {
    if (!isStillWanted()) break;
    const service = action.kind === "apply" ? action.service : undefined;
    if (failed.has(service) || (action.kind === "delete" && failed.size > 0)) continue;
    try {
      await write(action);
    } catch (error) {
      failed.add(service);
      first ??= error;
    }
  }
  return first;
}

/** Tells the objects of one policy apart. */
export function identityIn(action: Action): string {
  return action.kind === "label" || action.kind === "patch"
    ? ""
    : `${action.ref.resource}.${action.ref.group}/${action.ref.name}`;
}
