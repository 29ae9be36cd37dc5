import { isDeepStrictEqual } from "node:util";
import { applyPatch } from "rfc6902";
import type { Action, ObjectRef } from "../../src/core/action.ts";
import { modeOf } from "../../src/core/admission/mode.ts";
import { groupOf, type KubernetesObject } from "../../src/core/kubernetes.ts";
import { FAIRLEAD_GROUP, REVISION_LABEL, TARGET_KINDS, targetKindOf } from "../../src/core/names.ts";
import type { TargetKey, World, WorldDefaults } from "../../src/core/world.ts";
import { ApiError } from "../../src/k8s/api-error.ts";
import { keyOf, mutate, validate, worldOf } from "../core/worlds.ts";

type Json = Record<string, unknown>;
/** An object as the API server has it. */
export type Stored = KubernetesObject & { readonly status?: unknown };

const KINDS: readonly { readonly group: string; readonly kind: string; readonly resource: string }[] = [
  ...TARGET_KINDS,
  { group: FAIRLEAD_GROUP, kind: "ResiliencePolicy", resource: "resiliencepolicies" },
  { group: "apps", kind: "ControllerRevision", resource: "controllerrevisions" },
  { group: "", kind: "Namespace", resource: "namespaces" },
];

export interface ModelOptions {
  readonly defaults?: Partial<WorldDefaults>;
  /** False: nobody answers for the webhook, and its failurePolicy lets writes through. */
  readonly webhook?: boolean;
}

/**
 * The API server as far as the planners see it: versions and their preconditions, admission by the real `decide`,
 * finalizers, the status subresource, merge and JSON patches, and a garbage collector that runs when it is asked to.
 * A write that changes nothing makes no new version, as on the real one.
 */
export class ModelCluster {
  webhook: boolean;
  /** RFC 3339; the time of deletions and creations. */
  now = "2026-01-01T00:00:00Z";
  /** Writes that made a new version, in order; those of {@link seed} are not counted. */
  readonly writes: string[] = [];
  /** Called before each action; what it throws is the answer. */
  fault: (action: Action) => void = () => undefined;
  readonly #defaults: Partial<WorldDefaults>;
  readonly #objects = new Map<string, Stored>();
  #version = 0;
  #world: { readonly version: number; readonly world: World } | undefined;

  constructor({ defaults = {}, webhook = true }: ModelOptions = {}) {
    this.#defaults = defaults;
    this.webhook = webhook;
  }

  /** What a controller with fresh caches knows: a policy that is being deleted is in force no longer. */
  get world(): World {
    if (this.#world?.version !== this.#version) {
      const objects = [...this.#objects.values()].filter(
        (object) => object.kind !== "ResiliencePolicy" || !object.metadata?.deletionTimestamp,
      );
      this.#world = { version: this.#version, world: worldOf(objects, this.#defaults) };
    }
    return this.#world.world;
  }

  /** Of one kind, in the order of their names. */
  all(kind: string): readonly Stored[] {
    const objects = [...this.#objects.values()].filter((object) => object.kind === kind);
    return objects.sort((a, b) => ((a.metadata?.name ?? "") < (b.metadata?.name ?? "") ? -1 : 1));
  }

  get targets(): readonly Stored[] {
    return TARGET_KINDS.map(({ kind }) => kind)
      .filter((kind, index, kinds) => kinds.indexOf(kind) === index)
      .flatMap((kind) => this.all(kind));
  }

  get(ref: ObjectRef): Stored | undefined {
    return this.#objects.get(textOf(ref));
  }

  /** Stores an object past admission, as one that is older than Fairlead. */
  seed(object: KubernetesObject): Stored {
    return this.#store(textOf(refOf(object)), object);
  }

  /** A person creates or replaces an object; status stays as it is. Throws {@link ApiError} where admission refuses. */
  put(object: KubernetesObject): Stored {
    const id = textOf(refOf(object));
    return this.#write(id, () => withStatus(object, this.#objects.get(id)));
  }

  /** A person deletes an object. */
  delete(ref: ObjectRef): void {
    this.#delete(textOf(ref));
  }

  /** Carries out what was planned, as src/k8s/apply.ts does. Throws {@link ApiError}: 404, 409, or a refusal. */
  execute(action: Action): KubernetesObject {
    this.fault(action);
    const ref = "ref" in action ? action.ref : refOfTarget(action.target);
    const id = textOf(ref);
    if (action.kind === "create") {
      if (this.#objects.has(id)) throw failure(409, `${id} exists already`);
      return this.#write(id, () => action.object);
    }
    const before = this.#objects.get(id);
    if (action.kind === "apply" && action.resourceVersion === undefined) {
      return this.#write(id, () => merge(before ?? {}, action.object) as Stored);
    }
    if (before === undefined) throw failure(404, `${id} is not there`);
    if (before.metadata?.resourceVersion !== action.resourceVersion) throw failure(409, `${id} has changed`);
    if (action.kind === "delete") {
      if (before.metadata?.uid !== action.uid) throw failure(409, `${id} is another object`);
      this.#delete(id);
      return before;
    }
    if (action.kind === "merge" && action.subresource === "status") {
      return this.#store(id, merge(before, { status: action.body["status"] }) as Stored, true);
    }
    return this.#write(id, (now) => changed(now, action));
  }

  /** Deletes what is owned by an object that is gone. */
  collectGarbage(): void {
    const alive = new Set([...this.#objects.values()].map((object) => object.metadata?.uid));
    for (const [id, { metadata }] of this.#objects) {
      if ((metadata?.ownerReferences ?? []).some((owner) => !alive.has(owner.uid))) this.#delete(id);
    }
  }

  #write(id: string, change: (now: Stored) => Stored): Stored {
    const before = this.#objects.get(id);
    return this.#store(id, this.#admitted(change(structuredClone(before ?? {})), before), true);
  }

  #admitted(wanted: Stored, before: Stored | undefined): Stored {
    const { group, kind, namespace } = keyOf(wanted);
    if (!this.webhook || wanted.metadata?.deletionTimestamp) return wanted;
    if (kind === "ResiliencePolicy") {
      if (!isDeepStrictEqual(wanted.spec, before?.spec)) this.#judge(wanted, before);
      return wanted;
    }
    if (targetKindOf(group, kind) === undefined || modeOf(namespace, this.world).mode === undefined) return wanted;
    const stored = patched(wanted, mutate(this.world, wanted, before).patch);
    this.#judge(stored, before);
    return stored;
  }

  #judge(object: Stored, before: Stored | undefined): void {
    const verdict = validate(this.world, object, before);
    if (!verdict.allowed) throw failure(403, verdict.message);
  }

  #store(id: string, object: Stored, counted = false): Stored {
    const before = this.#objects.get(id);
    const kept = identity(object, before);
    if (before !== undefined && isDeepStrictEqual(kept, before)) return before;
    this.#version += 1;
    const generation = isDeepStrictEqual(kept.spec, before?.spec) ? {} : { generation: this.#version };
    const stored = structuredClone({
      ...kept,
      metadata: {
        uid: `uid-${this.#version}`,
        creationTimestamp: this.now,
        ...kept.metadata,
        ...generation,
        resourceVersion: String(this.#version),
      },
    });
    if (counted) this.writes.push(id);
    const isGone = stored.metadata.deletionTimestamp !== undefined && (stored.metadata.finalizers ?? []).length === 0;
    if (isGone) this.#objects.delete(id);
    else this.#objects.set(id, stored);
    return stored;
  }

  #delete(id: string): void {
    const object = this.#objects.get(id);
    if (object === undefined) throw failure(404, `${id} is not there`);
    const deletionTimestamp = object.metadata?.deletionTimestamp ?? this.now;
    this.#store(id, { ...object, metadata: { ...object.metadata, deletionTimestamp } }, true);
  }
}

export function refOf(object: KubernetesObject): ObjectRef {
  const group = groupOf(object.apiVersion ?? "");
  const found = KINDS.find((entry) => entry.kind === object.kind && entry.group === group);
  if (found === undefined) throw new Error(`The model does not know ${object.apiVersion} ${object.kind}`);
  const { namespace = "", name = "" } = object.metadata ?? {};
  return { group, resource: found.resource, namespace, name };
}

function refOfTarget({ group, kind, namespace, name }: TargetKey): ObjectRef {
  return { group, resource: targetKindOf(group, kind)?.resource ?? "", namespace, name };
}

function textOf({ group, resource, namespace, name }: ObjectRef): string {
  return `${resource}.${group}/${namespace}/${name}`;
}

/** What no write changes: the identity, the version and, outside its subresource, the status. */
function identity(object: Stored, before: Stored | undefined): Stored {
  if (before === undefined) return object;
  const { uid, resourceVersion, creationTimestamp, generation } = before.metadata ?? {};
  const fixed = Object.entries({ uid, resourceVersion, creationTimestamp, generation });
  const metadata = Object.fromEntries(fixed.filter(([, value]) => value !== undefined));
  return { ...object, metadata: { ...object.metadata, ...metadata } };
}

function withStatus(object: Stored, before: Stored | undefined): Stored {
  const { status: _status, ...rest } = object;
  return before?.status === undefined ? rest : { ...rest, status: before.status };
}

type Change = Exclude<Action, { readonly kind: "create" | "delete" }>;

function changed(now: Stored, action: Change): Stored {
  if (action.kind === "patch") return patched(now, action.operations);
  if (action.kind === "apply") return merge(now, action.object) as Stored;
  if (action.kind === "merge") return withStatus(merge(now, action.body) as Stored, now);
  return merge(now, { metadata: { labels: { [REVISION_LABEL]: action.value } } }) as Stored;
}

function patched(object: Stored, operations: readonly unknown[]): Stored {
  const result = structuredClone(object);
  const errors = applyPatch(result, structuredClone(operations) as Parameters<typeof applyPatch>[1]);
  if (errors.some((error) => error !== null)) throw failure(422, "the patch does not apply");
  return result;
}

/** RFC 7386. */
function merge(target: unknown, patch: unknown): unknown {
  if (!isJson(patch)) return patch;
  const result: Json = isJson(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else if (value !== undefined) result[key] = merge(result[key], value);
  }
  return result;
}

function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function failure(status: 403 | 404 | 409 | 422, message: string): ApiError {
  const reason = { 403: "Forbidden", 404: "NotFound", 409: "Conflict", 422: "Invalid" }[status];
  return new ApiError({ status, reason, message });
}
