import type { Action, ApplyAction } from "../core/action.ts";
import { annotationsOf, type KubernetesObject } from "../core/kubernetes.ts";
import { COMPANION_KINDS, GENERATED_ANNOTATION } from "../core/names.ts";
import { firstLack } from "../core/policy/in-line.ts";
import type { EventSink } from "../k8s/events.ts";
import type { Clock, Logger } from "../k8s/ports.ts";
import { identityIn } from "./owned-writes.ts";
import type { Telemetry, Writer } from "./ports.ts";
import { Repetitions } from "./repetitions.ts";

export interface OwnedWriterOptions {
  readonly writer: Writer;
  readonly events: EventSink;
  readonly telemetry: Telemetry;
  readonly log: Logger;
  readonly clock: Clock;
}

/** One write of a policy itself, or of what it owns. */
export interface OwnedWrite {
  readonly action: Action;
  /** Name of the policy. */
  readonly policy: string;
  /** What made it necessary, for the audit log. */
  readonly reason: string;
  readonly traceId: string;
  /** Called where the write has to wait, when it may be tried again. */
  readonly again: () => void;
}

const KINDS: Readonly<Record<string, string>> = {
  resiliencepolicies: "ResiliencePolicy",
  controllerrevisions: "ControllerRevision",
  httproutes: "HTTPRoute",
  ...Object.fromEntries(COMPANION_KINDS.map(({ resource, kind }) => [resource, kind])),
};

/**
 * Writes what belongs to a policy and tells about it. What is generated is checked in the answer, is not written over and
 * over against somebody who undoes it, and where somebody had changed or deleted it there is an Event and a count.
 */
export class OwnedWriter {
  readonly #options: OwnedWriterOptions;
  readonly #repetitions: Repetitions;
  /** What was applied last, by object: so one that is deleted behind our back is known when it is made again. */
  readonly #applied = new Map<string, Applied>();

  constructor(options: OwnedWriterOptions) {
    this.#options = options;
    this.#repetitions = new Repetitions(options.clock);
  }

  /** Throws what the writer throws, and where somebody undoes the write or changes it on its way. */
  async write(write: OwnedWrite): Promise<KubernetesObject> {
    const { writer, telemetry } = this.#options;
    const { action, policy, reason, traceId } = write;
    if (action.kind === "apply") this.#refuseTooMany(action, write.again);
    const answer = await writer.execute(action);
    if (action.kind === "label" || action.kind === "patch") return answer;
    const { group, namespace, name } = action.ref;
    telemetry.wrote({
      group,
      kind: kindOf(action),
      namespace,
      name,
      action: action.kind,
      why: { reason, policy },
      traceId,
    });
    if (action.kind === "apply") this.#check(action, answer, write);
    if (action.kind === "delete") this.#applied.delete(identityOf(action));
    return answer;
  }

  /** So that old writes do not stay in memory. */
  forgetOld(): void {
    this.#repetitions.forgetOld();
  }

  /** A policy is gone, and the garbage collector takes what it owned. */
  forgetPolicy(namespace: string, policy: string): void {
    for (const [identity, applied] of this.#applied) {
      if (applied.namespace === namespace && applied.policy === policy) this.#applied.delete(identity);
    }
  }

  stop(): void {
    this.#repetitions.stop();
  }

  #refuseTooMany(action: ApplyAction, again: () => void): void {
    const repeated = this.#repetitions.tooMany(identityOf(action), contentOf(action), again);
    if (repeated === undefined) return;
    const message = `Somebody undoes what is written to ${textOf(action)}: ${repeated.count} times within ${repeated.seconds} s`;
    if (repeated.isNew)
      this.#options.log.warn({ ...action.ref, writes: repeated.count }, "somebody undoes what is written; waiting");
    throw new UndoneError(message);
  }

  #check(action: ApplyAction, answer: KubernetesObject, { policy, traceId }: OwnedWrite): void {
    const [identity, content] = [identityOf(action), contentOf(action)];
    const { uid, resourceVersion } = answer.metadata ?? {};
    const before = this.#applied.get(identity);
    const isRepeated = before?.content === content;
    // Planned anew only because the watch was slower: everything stood there, and nothing was written.
    if (isRepeated && resourceVersion !== undefined && before.resourceVersion === resourceVersion) return;
    this.#repetitions.count(identity, content);
    const lack = firstLack(answer, action.object);
    if (lack !== undefined) {
      throw new UndoneError(
        `${textOf(action)} is stored with another ${lack} than was written: another webhook changes it within the same write, ` +
          "or its CRD is of a version without that field",
      );
    }
    const wasDeleted = action.resourceVersion === undefined && isRepeated && before.uid !== uid;
    this.#applied.set(identity, { content, uid, resourceVersion, namespace: action.ref.namespace, policy });
    if (!action.repairs && !wasDeleted) return;
    const { telemetry, events } = this.#options;
    const { apiVersion = "" } = answer;
    const { namespace, name } = action.ref;
    telemetry.drift(kindOf(action));
    events.emit({
      regarding: { apiVersion, kind: kindOf(action), namespace, name, ...(uid !== undefined && { uid }) },
      type: "Warning",
      reason: "Repaired",
      message: `Somebody changed or deleted what ResiliencePolicy ${policy} had generated; it is put back`,
      traceId,
    });
  }
}

interface Applied {
  readonly content: string;
  /** As the API server answered. */
  readonly uid: string | undefined;
  readonly resourceVersion: string | undefined;
  readonly namespace: string;
  /** The one whose turn it was. */
  readonly policy: string;
}

/** Not tried again at once: the queue waits longer each time. */
class UndoneError extends Error {}

type ObjectAction = Extract<Action, { readonly ref: object }>;

function kindOf({ ref }: ObjectAction): string {
  return KINDS[ref.resource] ?? ref.resource;
}

/** Kinds of two meshes may have one name. */
function identityOf(action: ObjectAction): string {
  return `${action.ref.namespace}/${identityIn(action)}`;
}

/** For people to read. */
function textOf(action: ObjectAction): string {
  return `${kindOf(action)} ${action.ref.namespace}/${action.ref.name}`;
}

/** The hash, which stands for settings, and the owners, which may change without them. */
function contentOf({ object }: ApplyAction): string {
  const owners = (object.metadata?.ownerReferences ?? []).map(({ uid }) => uid);
  return [annotationsOf(object)[GENERATED_ANNOTATION], ...owners].join(" ");
}
