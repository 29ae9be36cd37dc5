import type { KubernetesObject } from "../core/kubernetes.ts";
import { MODE_LABEL } from "../core/names.ts";
import type { NamespaceInfo } from "../core/world.ts";
import { sameStrings, slim } from "./reduce.ts";

/** Namespaces: what decisions read of each, and the object that rules see as `namespaceObject`. */
export class NamespaceIndex {
  readonly #excluded: ReadonlySet<string>;
  readonly #infos = new Map<string, NamespaceInfo>();
  readonly #objects = new Map<string, KubernetesObject>();

  constructor(excluded: ReadonlySet<string>) {
    this.#excluded = excluded;
  }

  get(name: string): NamespaceInfo | undefined {
    return this.#infos.get(name);
  }

  all(): Iterable<NamespaceInfo> {
    return this.#infos.values();
  }

  object(name: string): KubernetesObject | undefined {
    return this.#objects.get(name);
  }

  optedIn(name: string): boolean {
    return this.#infos.get(name)?.labels[MODE_LABEL] !== undefined && !this.#excluded.has(name);
  }

  /** False where nothing that a decision reads has changed, but for rules. */
  set(object: KubernetesObject): boolean {
    const { status } = object as KubernetesObject & { readonly status?: unknown };
    const stored = slim(object);
    const { name = "", labels = {}, annotations = {}, deletionTimestamp } = stored.metadata ?? {};
    this.#objects.set(name, { ...stored, ...(status !== undefined && { status }) });
    const info = { name, labels, annotations, terminating: deletionTimestamp !== undefined };
    if (isSame(this.#infos.get(name), info)) return false;
    this.#infos.set(name, info);
    return true;
  }

  delete(name: string): void {
    this.#infos.delete(name);
    this.#objects.delete(name);
  }
}

function isSame(a: NamespaceInfo | undefined, b: NamespaceInfo): boolean {
  if (a === undefined || a.terminating !== b.terminating) return false;
  return sameStrings(a.labels, b.labels) && sameStrings(a.annotations, b.annotations);
}
