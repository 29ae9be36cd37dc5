import type { Action } from "../core/action.ts";
import type { KubernetesObject } from "../core/kubernetes.ts";
import { REVISION_LABEL, type TargetKind, targetKindOf } from "../core/names.ts";
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
  /** Turned away because too many were waiting. */
  rejected: number;
  inFlight: number;
  waiting: number;
}

export interface WriterOptions {
  readonly client: KubernetesClient;
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
/** Owner of the fields that Fairlead writes, in managedFields. */
const FIELD_MANAGER = "fairlead";

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
  readonly #parallelism: number;
  readonly #waitingMax: number;
  readonly #timeoutMs: number;
  readonly #waiters: (() => void)[] = [];
  readonly #versions = new Map<TargetKind, string>();

  constructor(options: WriterOptions) {
    this.#client = options.client;
    this.#parallelism = options.parallelism ?? PARALLELISM;
    this.#waitingMax = options.waitingMax ?? WAITING_MAX;
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  }

  /** Returns the object that the API server answered, after its webhooks. Throws {@link ApiError}; see {@link isConflict}. */
  async execute(action: Action): Promise<KubernetesObject> {
    await this.#enter();
    this.counters.attempted += 1;
    try {
      const answer = await this.#write(action);
      this.counters.applied += 1;
      return answer;
    } catch (error) {
      if (isConflict(error)) this.counters.conflicts += 1;
      else this.counters.failed += 1;
      throw error;
    } finally {
      this.#leave();
    }
  }

  async #write(action: Action): Promise<KubernetesObject> {
    const kind = targetKindOf(action.target.group, action.target.kind);
    if (kind === undefined)
      throw new Error(`${action.target.kind} of group "${action.target.group}" is not a target kind`);
    const version = await this.#versionOf(kind);
    try {
      return await this.#send(action, { ...kind, version });
    } catch (error) {
      if (!isNotFound(error) || kind.group === "") throw error;
      this.#versions.delete(kind);
      const current = await this.#versionOf(kind);
      if (current === version) throw error;
      return this.#send(action, { ...kind, version: current });
    }
  }

  #send(action: Action, resource: ResourceRef & { readonly version: string }): Promise<KubernetesObject> {
    const { target, resourceVersion } = action;
    const shared = {
      path: resourcePath({ ...resource, namespace: target.namespace, name: target.name }),
      query: { fieldManager: FIELD_MANAGER },
      timeoutMs: this.#timeoutMs,
    };
    if (action.kind === "patch") {
      return this.#client.patchVersion({ ...shared, resourceVersion, operations: action.operations });
    }
    const body = { metadata: { resourceVersion, labels: { [REVISION_LABEL]: action.value } } };
    return this.#client.patch({ ...shared, type: "merge", body });
  }

  async #versionOf(kind: TargetKind): Promise<string> {
    const known = this.#versions.get(kind);
    if (known !== undefined) return known;
    const version = await this.#client.servedVersion(kind);
    if (version === undefined) {
      throw new ApiError({ status: 404, reason: "NotFound", message: `${kind.resource}.${kind.group} is not served` });
    }
    this.#versions.set(kind, version);
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

/** The object is no longer the one that the plan was made from. */
export function isConflict(error: unknown): boolean {
  return error instanceof ApiError && error.status === 409;
}

/** The object, or its whole kind, does not exist. */
export function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}
