import type { Action } from "../core/action.ts";

export interface OwnedWrites {
  readonly write: (action: Action) => Promise<unknown>;
  /** Asked before each write: a long plan ends early where the policy says something else by now. */
  readonly isStillWanted: () => boolean;
}

/**
 * Writes what a policy owns, in its order; returns the first error, to be told by the status and tried again. Of routes,
 * the others of the same Service wait for the one that failed, and nothing is deleted: requests must never find a half
 * of them.
 */
export async function writeOwned(actions: readonly Action[], { write, isStillWanted }: OwnedWrites): Promise<unknown> {
  const failed = new Set<string | undefined>();
  let first: unknown;
  for (const action of actions) {
    if (!isStillWanted()) break;
    const service = parentOf(action);
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

/** The Service that a generated route is for; undefined of everything else. */
function parentOf(action: Action): string | undefined {
  if (action.kind !== "apply") return undefined;
  const { parentRefs } = (action.object.spec ?? {}) as { readonly parentRefs?: readonly { readonly name: string }[] };
  return parentRefs?.[0]?.name;
}

/** The name of an object that a policy owns. */
export function nameIn(action: Action): string {
  return action.kind === "label" || action.kind === "patch" ? "" : action.ref.name;
}
