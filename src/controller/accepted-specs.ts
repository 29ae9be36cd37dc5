import type { Action } from "../core/action.ts";
import type { CompiledPolicy } from "../core/intent/policy.ts";
import type { KubernetesObject } from "../core/kubernetes.ts";
import { REVISIONS_KEPT_MAX } from "../core/limits.ts";
import { type ControllerRevisionObject, planRevisions, storedAfter } from "../core/policy/revisions.ts";

/** One spec of a policy that was accepted. */
export interface AcceptedSpec {
  readonly policy: KubernetesObject;
  readonly compiled: CompiledPolicy;
}

export interface StoreRequest {
  /** The policy as it is now. */
  readonly current: AcceptedSpec;
  /** ControllerRevisions of the namespace, as the watch has them. */
  readonly stored: readonly ControllerRevisionObject[];
  readonly write: (action: Action) => Promise<ControllerRevisionObject>;
  /** Asked before each write. */
  readonly isStillWanted: () => boolean;
}

export interface StoreResult {
  readonly written: number;
  /** Why a write failed; the rest waits. */
  readonly failure?: unknown;
  /** Why a spec cannot be kept; one line, with what to do. */
  readonly problem?: string;
}

/**
 * Keeps every accepted spec as a ControllerRevision. The turn of a policy sees only how it is then; the watch brings each
 * version, so a spec that was replaced meanwhile is noted here when it comes and stored before the one that replaced it.
 */
export class AcceptedSpecs {
  /** By `namespace/name`, the oldest first. */
  readonly #waiting = new Map<string, readonly AcceptedSpec[]>();

  /** A policy as the watch has just brought it. */
  note(spec: AcceptedSpec): void {
    const waiting = this.#waitingFor(spec);
    const last = waiting.at(-1)?.compiled.revision;
    if (last !== spec.compiled.revision) this.#waiting.set(keyOf(spec), [...waiting, spec].slice(-REVISIONS_KEPT_MAX));
  }

  forget(namespace: string, name: string): void {
    this.#waiting.delete(`${namespace}/${name}`);
  }

  async store(request: StoreRequest): Promise<StoreResult> {
    const { current, write, isStillWanted } = request;
    const keep = keptRevisions(current);
    let { stored } = request;
    const result: { written: number; problem?: string } = { written: 0 };
    const isKnown = this.#waitingFor(current).some(({ compiled }) => compiled.revision === current.compiled.revision);
    if (!isKnown) this.note(current);
    for (const spec of this.#waitingFor(current)) {
      const { actions, problem } = planRevisions({ ...spec, stored, keep });
      if (problem !== undefined) result.problem = problem;
      for (const action of actions) {
        if (!isStillWanted()) return result;
        try {
          stored = storedAfter(stored, action, await write(action));
          result.written += 1;
        } catch (failure) {
          return { ...result, failure };
        }
      }
      this.#stored(spec);
    }
    return result;
  }

  /** Of this policy, not of a namesake before it. */
  #waitingFor(spec: AcceptedSpec): readonly AcceptedSpec[] {
    const waiting = this.#waiting.get(keyOf(spec)) ?? [];
    return waiting.filter(({ compiled }) => compiled.uid === spec.compiled.uid);
  }

  #stored(spec: AcceptedSpec): void {
    const left = (this.#waiting.get(keyOf(spec)) ?? []).filter((it) => it !== spec);
    if (left.length === 0) this.#waiting.delete(keyOf(spec));
    else this.#waiting.set(keyOf(spec), left);
  }
}

/** Never pruned: the revision of the spec as it is, and the last good one. */
function keptRevisions({ policy, compiled }: AcceptedSpec): ReadonlySet<string> {
  const { currentRevision } = (policy as { readonly status?: { readonly currentRevision?: string } }).status ?? {};
  return new Set([compiled.revision, ...(currentRevision === undefined ? [] : [currentRevision])]);
}

function keyOf({ compiled }: AcceptedSpec): string {
  return `${compiled.namespace}/${compiled.name}`;
}
