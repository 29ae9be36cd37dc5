import type { Intent, Section } from "../intent/intent.ts";
import type { KubernetesObject } from "../kubernetes.ts";
import type { CompanionKind } from "../names.ts";
import type { TargetContext } from "./mesh.ts";

/** A Service with all that policies ask for there, whichever policy decides each section. */
export interface HostIntent {
  readonly service: TargetContext;
  readonly intent: Intent;
}

/**
 * An object beside a Service that carries settings which cannot stand on it. Labels and owners are not in it: they do
 * not depend on the mesh.
 */
export interface Companion {
  readonly kind: CompanionKind;
  /** The sections that it carries: their policies own it. */
  readonly sections: readonly Section[];
  /** With the apiVersion of the mesh's version, namespace, name and spec, and with annotations where the mesh keeps a record. */
  readonly object: KubernetesObject;
  /**
   * Those of a Service that are `mutual` mean what they should only together: where one of them cannot be written, none
   * is, nor what is `dependent` on them. Absent: it stands alone.
   */
  readonly tie?: "mutual" | "dependent";
}
