import type { KubernetesObject } from "./kubernetes.ts";

/** A ServiceProfile without routes and destination overrides is harmless (docs/linkerd.md, When nothing applies). */
export function isActiveProfile(object: KubernetesObject): boolean {
  const spec = (object.spec ?? {}) as { routes?: readonly unknown[] | null; dstOverrides?: readonly unknown[] | null };
  return (spec.routes?.length ?? 0) > 0 || (spec.dstOverrides?.length ?? 0) > 0;
}
