import { type KubernetesObject, recordsIn } from "../core/kubernetes.ts";
import { ANY_HOST, hostKeys } from "../core/mesh/istio/hosts.ts";
import type { CompanionKind } from "../core/names.ts";
import { isGenerated } from "../core/routes/people.ts";
import type { Change } from "./change.ts";
import { NamespacedMap } from "./namespaced.ts";
import { reduce, slim } from "./reduce.ts";
import type { WatchHandler } from "./watch-options.ts";

const NONE: readonly KubernetesObject[] = Object.freeze([]);

/** Objects of the kinds of companions, whoever made them, by namespace and by the hosts that they speak of. */
export class HostObjects {
  readonly #byKind = new Map<string, NamespacedMap<KubernetesObject>>();
  readonly #byHost = new Map<string, readonly KubernetesObject[]>();

  for(service: string, namespace: string): readonly KubernetesObject[] {
    if (this.#byHost.size === 0) return NONE;
    const named = this.#byHost.get(`${service}.${namespace}.svc`) ?? NONE;
    const others = this.#byHost.get(ANY_HOST) ?? NONE;
    return others.length === 0 ? named : [...named, ...others];
  }

  in(namespace: string): readonly KubernetesObject[] {
    return [...this.#byKind.values()].flatMap((ofKind) => ofKind.list(namespace));
  }

  /** Returns what stood there before. */
  set(object: KubernetesObject): KubernetesObject | undefined {
    const { kind = "", metadata } = object;
    const { namespace = "", name = "" } = metadata ?? {};
    const before = this.delete(kind, namespace, name);
    const stored = isGenerated(object) ? slim(object) : withoutSettings(object);
    const ofKind = this.#byKind.get(kind) ?? new NamespacedMap<KubernetesObject>();
    this.#byKind.set(kind, ofKind);
    ofKind.set(namespace, name, stored);
    for (const key of hostKeys(stored)) this.#byHost.set(key, [...(this.#byHost.get(key) ?? NONE), stored]);
    return before;
  }

  /** Returns what stood there. */
  delete(kind: string, namespace: string, name: string): KubernetesObject | undefined {
    const before = this.#byKind.get(kind)?.get(namespace, name);
    if (before === undefined) return undefined;
    this.#byKind.get(kind)?.delete(namespace, name);
    for (const key of hostKeys(before)) {
      const rest = (this.#byHost.get(key) ?? NONE).filter((object) => object !== before);
      if (rest.length === 0) this.#byHost.delete(key);
      else this.#byHost.set(key, rest);
    }
    return before;
  }
}

/** Of what people wrote: which hosts, for whom, and whether it has settings at all. */
function withoutSettings(object: KubernetesObject): KubernetesObject {
  const { hosts, host, gateways, exportTo, trafficPolicy } = (object.spec ?? {}) as Readonly<Record<string, unknown>>;
  const has = Object.entries({ hosts, host, gateways, exportTo }).filter(([, value]) => value !== undefined);
  return {
    ...reduce(object),
    spec: { ...Object.fromEntries(has), ...(trafficPolicy !== undefined && { trafficPolicy: {} }) },
  };
}

/** Keeps the objects of one kind, and tells whom a change concerns. */
export function hostObjectHandler(
  { kind }: CompanionKind,
  objects: HostObjects,
  emit: (change: Change) => void,
): WatchHandler {
  return {
    set: (object) => companionChanges([objects.set({ ...object, kind }), object]).forEach(emit),
    delete: (namespace, name) => companionChanges([objects.delete(kind, namespace, name)]).forEach(emit),
  };
}

/** Whom an object before and after a write concerns: its owners, or whoever has the hosts that it speaks of. */
function companionChanges(objects: readonly (KubernetesObject | undefined)[]): readonly Change[] {
  const changes = new Map<string, Change>();
  for (const object of objects.filter((it) => it !== undefined)) {
    const own = object.metadata?.namespace ?? "";
    const uids = isGenerated(object) ? recordsIn(object.metadata?.ownerReferences).map(({ uid }) => uid) : [];
    for (const policyUid of uids) changes.set(`${own}/${policyUid}`, { type: "owned", namespace: own, policyUid });
    const hosts = uids.length > 0 ? [] : hostKeys(object);
    const namespaces = hosts.map((host) => host.split(".")[1] ?? own);
    for (const namespace of namespaces) changes.set(namespace, { type: "hostObject", namespace });
  }
  return [...changes.values()];
}
