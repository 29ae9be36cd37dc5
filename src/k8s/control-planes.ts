import type { KubernetesObject } from "../core/kubernetes.ts";
import type { ControlPlane } from "../core/mesh/control-plane.ts";
import { controlPlaneOf } from "../core/mesh/discovery.ts";

/** The control planes of meshes, by the Services that belong to them. A change hands out another list. */
export class ControlPlanes {
  readonly #byName = new Map<string, ControlPlane>();
  #all: readonly ControlPlane[] = [];

  all(): readonly ControlPlane[] {
    return this.#all;
  }

  /** True where it tells something else than before. */
  set(service: KubernetesObject): boolean {
    const { namespace = "", name = "" } = service.metadata ?? {};
    const found = controlPlaneOf(service);
    if (found === undefined) return this.delete(namespace, name);
    const before = this.#byName.get(`${namespace}/${name}`);
    if (before?.version === found.version && before.revision === found.revision) return false;
    this.#byName.set(`${namespace}/${name}`, found);
    this.#all = [...this.#byName.values()];
    return true;
  }

  /** True where it had told something. */
  delete(namespace: string, name: string): boolean {
    if (!this.#byName.delete(`${namespace}/${name}`)) return false;
    this.#all = [...this.#byName.values()];
    return true;
  }
}
