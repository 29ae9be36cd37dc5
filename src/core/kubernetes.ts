import type { Metadata } from "../api/envelope.ts";

/**
 * The parts of Kubernetes objects that Fairlead reads. Objects reach the core as parsed JSON: every field may be
 * absent, and nothing is assumed beyond what the API server guarantees (metadata is an object, maps hold strings).
 */
export type StringMap = Readonly<Record<string, string>>;

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
}

/** Of objects of any kind; of our own kinds the API reads less. */
export interface ObjectMeta extends Metadata {
  readonly ownerReferences?: readonly OwnerReference[];
  readonly finalizers?: readonly string[];
}

export interface KubernetesObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: ObjectMeta;
  readonly spec?: unknown;
}

export interface ServicePort {
  readonly name?: string;
  readonly port: number;
  /** Of the Pods, by number or by name; absent: as `port`. */
  readonly targetPort?: number | string;
  readonly protocol?: string;
  readonly appProtocol?: string;
}

export interface Service extends KubernetesObject {
  readonly spec?: {
    readonly type?: string;
    readonly clusterIP?: string;
    readonly selector?: StringMap;
    readonly ports?: readonly ServicePort[];
  };
}

export interface ParentReference {
  readonly group?: string;
  readonly kind?: string;
  readonly namespace?: string;
  readonly name: string;
  readonly port?: number;
}

export interface RouteRule {
  readonly timeouts?: { readonly request?: string; readonly backendRequest?: string };
  /** GEP-1731; experimental channel. */
  readonly retry?: unknown;
}

/** HTTPRoute (both groups) and GRPCRoute. */
export interface Route extends KubernetesObject {
  readonly spec?: {
    readonly parentRefs?: readonly ParentReference[];
    readonly rules?: readonly RouteRule[];
  };
}

export interface GroupKind {
  readonly group: string;
  readonly kind: string;
}

/** `apps/v1` -> `apps`; the core group is `""`. */
export function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf("/");
  return slash < 0 ? "" : apiVersion.slice(0, slash);
}

/**
 * The records of a list. What a webhook sees of a custom resource has not passed its schema yet, so where a list is
 * wanted anything may be found; the API server refuses it after us.
 */
export function recordsIn<T extends object>(list: readonly T[] | undefined): readonly T[] {
  if (!Array.isArray(list)) return [];
  return (list as readonly T[]).filter((item) => typeof item === "object" && item !== null);
}

const NO_STRINGS: StringMap = Object.freeze({});

export function annotationsOf(object: KubernetesObject): StringMap {
  return object.metadata?.annotations ?? NO_STRINGS;
}

export function labelsOf(object: KubernetesObject): StringMap {
  return object.metadata?.labels ?? NO_STRINGS;
}
