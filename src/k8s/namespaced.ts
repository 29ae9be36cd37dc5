import { groupOf, type KubernetesObject } from "../core/kubernetes.ts";
import { TARGET_KINDS, type TargetKind } from "../core/names.ts";
import type { TargetKey } from "../core/world.ts";

/** Values by namespace and name. Reads allocate nothing: the list of a namespace is made once after a change. */
export class NamespacedMap<V> {
  readonly #byNamespace = new Map<string, Map<string, V>>();
  readonly #lists = new Map<string, readonly V[]>();

  get(namespace: string, name: string): V | undefined {
    return this.#byNamespace.get(namespace)?.get(name);
  }

  set(namespace: string, name: string, value: V): void {
    let inner = this.#byNamespace.get(namespace);
    if (inner === undefined) this.#byNamespace.set(namespace, (inner = new Map()));
    inner.set(name, value);
    this.#lists.delete(namespace);
  }

  delete(namespace: string, name: string): boolean {
    const inner = this.#byNamespace.get(namespace);
    if (inner === undefined || !inner.delete(name)) return false;
    if (inner.size === 0) this.#byNamespace.delete(namespace);
    this.#lists.delete(namespace);
    return true;
  }

  list(namespace: string): readonly V[] {
    const cached = this.#lists.get(namespace);
    if (cached !== undefined) return cached;
    const inner = this.#byNamespace.get(namespace);
    if (inner === undefined) return NOTHING;
    const list = [...inner.values()];
    this.#lists.set(namespace, list);
    return list;
  }

  *all(): Iterable<V> {
    for (const inner of this.#byNamespace.values()) yield* inner.values();
  }
}

const NOTHING: readonly never[] = Object.freeze([]);

interface Entry {
  readonly object: KubernetesObject;
  readonly full: boolean;
}

/** Services and routes, each stored in full or reduced. */
export class TargetIndex {
  readonly #kinds: ReadonlyMap<TargetKind, NamespacedMap<Entry>> = new Map(
    TARGET_KINDS.map((kind) => [kind, new NamespacedMap<Entry>()]),
  );
  readonly #lists = new Map<string, readonly KubernetesObject[]>();

  get(key: TargetKey): KubernetesObject | undefined {
    for (const [kind, entries] of this.#kinds) {
      if (kind.kind === key.kind && kind.group === key.group) return entries.get(key.namespace, key.name)?.object;
    }
    return undefined;
  }

  set(kind: TargetKind, object: KubernetesObject, full: boolean): void {
    const { namespace = "", name = "" } = object.metadata ?? {};
    this.#of(kind).set(namespace, name, { object, full });
    this.#lists.delete(namespace);
  }

  delete(kind: TargetKind, namespace: string, name: string): void {
    this.#of(kind).delete(namespace, name);
    this.#lists.delete(namespace);
  }

  in(namespace: string): readonly KubernetesObject[] {
    const cached = this.#lists.get(namespace);
    if (cached !== undefined) return cached;
    const list: KubernetesObject[] = [];
    for (const entries of this.#kinds.values()) for (const entry of entries.list(namespace)) list.push(entry.object);
    if (list.length === 0) return NOTHING;
    this.#lists.set(namespace, list);
    return list;
  }

  *all(): Iterable<KubernetesObject> {
    for (const entries of this.#kinds.values()) for (const entry of entries.all()) yield entry.object;
  }

  isReduced(kind: TargetKind, namespace: string, name: string): boolean {
    return this.#of(kind).get(namespace, name)?.full === false;
  }

  /** Kinds of which the namespace holds reduced objects. */
  reducedKinds(namespace: string): readonly TargetKind[] {
    return TARGET_KINDS.filter((kind) =>
      this.#of(kind)
        .list(namespace)
        .some((entry) => !entry.full),
    );
  }

  /** Applies `change` to every object of the namespace that is stored in full. */
  reduceAll(namespace: string, change: (object: KubernetesObject) => KubernetesObject): void {
    for (const [kind, entries] of this.#kinds) {
      for (const entry of entries.list(namespace)) if (entry.full) this.set(kind, change(entry.object), false);
    }
  }

  #of(kind: TargetKind): NamespacedMap<Entry> {
    const entries = this.#kinds.get(kind);
    if (entries === undefined) throw new Error(`${kind.kind} of group "${kind.group}" is not a target kind`);
    return entries;
  }
}

/** Identity of a stored Service or route. */
export function targetKeyOf(object: KubernetesObject): TargetKey {
  const { namespace = "", name = "" } = object.metadata ?? {};
  return { group: groupOf(object.apiVersion ?? ""), kind: object.kind ?? "", namespace, name };
}
