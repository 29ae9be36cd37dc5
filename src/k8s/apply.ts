import type { Action, ApplyAction, ObjectRef } from "../core/action.ts";
import type { KubernetesObject } from "../core/kubernetes.ts";
import { FIELD_MANAGER, REVISION_LABEL, targetKindOf } from "../core/names.ts";
import { ApiError } from "./api-error.ts";
import { type KubernetesClient, type ResourceRef, resourcePath } from "./client.ts";

/** Totals since the start and the state now, for metrics. */
export interface WriteCounters {
  /** Writes sent, one for each action. */
  attempted: number;
  applied: number;
  /** The object was no longer the one that the plan was made from. */
  conflicts: number;
  failed: number;
  /** Turned away: too many were waiting, or this replica is not the leader. */
  rejected: number;
  inFlight: number;
  waiting: number;
}

export interface WriterOptions {
  readonly client: KubernetesClient;
  /** Asked before every write: false once another replica may be the leader. */
  readonly mayWrite?: () => boolean;
  readonly parallelism?: number;
  readonly waitingMax?: number;
  readonly timeoutMs?: number;
}

/** Twice the cores of a small control plane; the API server's own limit is 200 mutating requests in flight. */
const PARALLELISM = 8;
/** More than the queue that feeds this ever has under way at once; a bound for callers that do not wait. */
const WAITING_MAX = 1_000;
/** Two mutating webhook calls of 3 s each, and as much again for etcd. */
const TIMEOUT_MS = 10_000;

/** The one writer to the cluster (invariant 4). */
export class ClusterWriter {
  readonly counters: WriteCounters = {
    attempted: 0,
    applied: 0,
    conflicts: 0,
    failed: 0,
    rejected: 0,
    inFlight: 0,
    waiting: 0,
  };
  readonly #client: KubernetesClient;
  readonly #mayWrite: () => boolean;
  readonly #parallelism: number;
  readonly #waitingMax: number;
  readonly #timeoutMs: number;
  readonly #waiters: (() => void)[] = [];
  readonly #versions = new Map<string, string>();

  constructor(options: WriterOptions) {
    this.#client = options.client;
    this.#mayWrite = options.mayWrite ?? (() => true);
    this.#parallelism = options.parallelism ?? PARALLELISM;
    this.#waitingMax = options.waitingMax ?? WAITING_MAX;
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  }

  /**
   * Returns the object that the API server answered, after its webhooks. Throws {@link ApiError}, see
   * {@link isConflict}, and {@link NotLeaderError}.
   */
  async execute(action: Action): Promise<KubernetesObject> {
    await this.#enter();
    try {
      this.counters.attempted += 1;
      const answer = await this.#write(action);
      this.counters.applied += 1;
      return answer;
    } catch (error) {
      if (isConflict(error)) this.counters.conflicts += 1;
      else if (error instanceof NotLeaderError) this.counters.rejected += 1;
      else this.counters.failed += 1;
      throw error;
    } finally {
      this.#leave();
    }
  }

  /** A version may go while we run (a CRD is upgraded), so one that is not found is looked up again. */
  async #write(action: Action): Promise<KubernetesObject> {
    const ref = refOf(action);
    const version = await this.#versionOf(ref);
    try {
      return await this.#send(action, { ...ref, version });
    } catch (error) {
      if (!isNotFound(error) || ref.group === "") throw error;
      this.#versions.delete(kindOf(ref));
      const current = await this.#versionOf(ref);
      if (current === version) throw error;
      return this.#send(action, { ...ref, version: current });
    }
  }

  async #send(action: Action, ref: ObjectRef & { readonly version: string }): Promise<KubernetesObject> {
    // Here, and not before the version was looked up, which may take its time.
    if (!this.#mayWrite()) throw new NotLeaderError();
    const path = resourcePath(scoped(ref));
    const shared = { path, query: { fieldManager: FIELD_MANAGER }, timeoutMs: this.#timeoutMs };
    switch (action.kind) {
      case "label": {
        const metadata = { resourceVersion: action.resourceVersion, labels: { [REVISION_LABEL]: action.value } };
        return this.#client.patch({ ...shared, type: "merge", body: { metadata } });
      }
      case "patch":
        return this.#client.patchVersion({
          ...shared,
          resourceVersion: action.resourceVersion,
          operations: action.operations,
        });
      case "create": {
        const { name: _name, ...collection } = scoped(ref);
        return this.#client.create(resourcePath(collection), action.object, shared);
      }
      case "apply":
        return this.#client.patch({ ...shared, type: "apply", body: versioned(action, ref) });
      case "merge": {
        const metadata = { ...(action.body["metadata"] as object), resourceVersion: action.resourceVersion };
        const subresource = action.subresource === undefined ? "" : `/${action.subresource}`;
        return this.#client.patch({
          ...shared,
          path: path + subresource,
          type: "merge",
          body: { ...action.body, metadata },
        });
      }
      case "delete":
        return this.#client.delete(path, { uid: action.uid, resourceVersion: action.resourceVersion });
      default:
        return unreachable(action);
    }
  }

  async #versionOf(ref: ResourceRef): Promise<string> {
    const known = this.#versions.get(kindOf(ref));
    if (known !== undefined) return known;
    const version = await this.#client.servedVersion(ref);
    if (version === undefined) {
      throw new ApiError({ status: 404, reason: "NotFound", message: `${ref.resource}.${ref.group} is not served` });
    }
    this.#versions.set(kindOf(ref), version);
    return version;
  }

  async #enter(): Promise<void> {
    if (this.counters.inFlight < this.#parallelism) {
      this.counters.inFlight += 1;
      return;
    }
    if (this.#waiters.length >= this.#waitingMax) {
      this.counters.rejected += 1;
      throw new Error(`Cannot write: ${this.#waiters.length} writes are waiting already`);
    }
    // The place is handed over by the one that leaves, so inFlight stays as it is.
    await new Promise<void>((resolve) => {
      this.counters.waiting = this.#waiters.push(resolve);
    });
  }

  #leave(): void {
    const next = this.#waiters.shift();
    this.counters.waiting = this.#waiters.length;
    if (next === undefined) this.counters.inFlight -= 1;
    else next();
  }
}

/** This replica is no longer the leader: whatever it had planned is the next leader's to plan anew. */
export class NotLeaderError extends Error {
  constructor() {
    super("Cannot write: this replica is not the leader");
  }
}

function unreachable(action: never): never {
  throw new Error(`Cannot carry out the unknown action ${JSON.stringify(action)}`);
}

function refOf(action: Action): ObjectRef {
  if (action.kind !== "label" && action.kind !== "patch") return action.ref;
  const { group, kind, namespace, name } = action.target;
  const resource = targetKindOf(group, kind)?.resource;
  if (resource === undefined) throw new Error(`${kind} of group "${group}" is not a target kind`);
  return { group, resource, namespace, name };
}

/** Without a namespace where the object belongs to none. */
function scoped<R extends ObjectRef>(ref: R): Omit<R, "namespace"> & { readonly namespace?: string } {
  const { namespace, ...rest } = ref;
  return namespace === "" ? rest : ref;
}

function kindOf({ group, resource }: ResourceRef): string {
  return `${resource}.${group}`;
}

/** With the version as a precondition; server-side apply refuses a resourceVersion on an object that does not exist. */
function versioned({ object, resourceVersion }: ApplyAction, ref: ResourceRef & { version: string }): KubernetesObject {
  const apiVersion = ref.group === "" ? ref.version : `${ref.group}/${ref.version}`;
  return {
    ...object,
    apiVersion,
    metadata: { ...object.metadata, ...(resourceVersion !== undefined && { resourceVersion }) },
  };
}

/** The object is no longer the one that the plan was made from. */
export function isConflict(error: unknown): boolean {
  return error instanceof ApiError && error.status === 409;
}

/** A conflict that planning anew cures: not a name that is taken, nor a field that is somebody else's. */
export function isStale(error: unknown): boolean {
  if (!(error instanceof ApiError && error.status === 409)) return false;
  return error.reason !== "AlreadyExists" && !error.message.startsWith("Apply failed with");
}

/** The object, or its whole kind, does not exist. */
export function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}
