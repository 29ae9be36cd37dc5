import { annotationsOf, type KubernetesObject, recordsIn, type StringMap } from "../core/kubernetes.ts";
import { DRY_RUN_ANNOTATION } from "../core/mesh/istio/dry-run.ts";
import { ANY_HOST, hostKeys, mayFitIn, ROOT_NAMESPACE } from "../core/mesh/istio/hosts.ts";
import { LOCAL_RATE_LIMIT, limitsRates } from "../core/mesh/istio/rate-limits.ts";
import {
  COMPANION_KINDS,
  type CompanionKind,
  GENERATED_ANNOTATION,
  ISTIO_SECURITY_GROUP,
  KINDS_BESIDE,
} from "../core/names.ts";
import { isGenerated } from "../core/routes/people.ts";
import type { Change } from "./change.ts";
import { NamespacedMap } from "./namespaced.ts";
import { reduce, slim } from "./reduce.ts";
import type { WatchHandler } from "./watch-options.ts";

const NONE: readonly KubernetesObject[] = Object.freeze([]);

/** Objects of the kinds beside Services, whoever made them, by namespace and by the hosts that they speak of. */
export class CompanionIndex {
  readonly #byKind: ReadonlyMap<CompanionKind, NamespacedMap<KubernetesObject>> = new Map(
    KINDS_BESIDE.map((kind) => [kind, new NamespacedMap<KubernetesObject>()]),
  );
  readonly #byHost = new Map<string, readonly KubernetesObject[]>();

  for(service: string, namespace: string): readonly KubernetesObject[] {
    if (this.#byHost.size === 0) return NONE;
    const named = this.#byHost.get(`${service}.${namespace}.svc`) ?? NONE;
    const others = this.#byHost.get(ANY_HOST) ?? NONE;
    return others.length === 0 ? named : [...named, ...others];
  }

  /** Those of the kinds that Fairlead writes. */
  in(namespace: string): readonly KubernetesObject[] {
    return COMPANION_KINDS.flatMap((kind) => this.of(kind, namespace));
  }

  /** The same list until one of them changes. */
  of(kind: CompanionKind, namespace: string): readonly KubernetesObject[] {
    return this.#byKind.get(kind)?.list(namespace) ?? NONE;
  }

  /** Returns what stood there before. */
  set(kind: CompanionKind, object: KubernetesObject): KubernetesObject | undefined {
    const { namespace = "", name = "" } = object.metadata ?? {};
    const before = this.delete(kind, namespace, name);
    const stored = isGenerated(object) ? slim(object) : withoutSettings(object);
    this.#byKind.get(kind)?.set(namespace, name, stored);
    for (const key of keysOf(kind, stored)) this.#byHost.set(key, [...(this.#byHost.get(key) ?? NONE), stored]);
    return before;
  }

  /** Returns what stood there. */
  delete(kind: CompanionKind, namespace: string, name: string): KubernetesObject | undefined {
    const before = this.#byKind.get(kind)?.get(namespace, name);
    if (before === undefined) return undefined;
    this.#byKind.get(kind)?.delete(namespace, name);
    for (const key of keysOf(kind, before)) {
      const rest = (this.#byHost.get(key) ?? NONE).filter((object) => object !== before);
      if (rest.length === 0) this.#byHost.delete(key);
      else this.#byHost.set(key, rest);
    }
    return before;
  }
}

function keysOf({ speaksOf }: CompanionKind, object: KubernetesObject): readonly string[] {
  return speaksOf === "host" ? hostKeys(object) : [];
}

/** What says of an object of people which hosts or Pods it is for, and for which clients. */
const KEPT = [
  "hosts",
  "host",
  "gateways",
  "exportTo",
  "podSelector",
  "port",
  "targetRef",
  "targetRefs",
  "server",
  "selector",
  "workloadSelector",
  "action",
] as const;

/** Of what people wrote: what it is for, for whom, since when, and whether it has settings in force that concern us. */
function withoutSettings(object: KubernetesObject): KubernetesObject {
  const spec = (object.spec ?? {}) as Readonly<Record<string, unknown>>;
  const has = KEPT.filter((field) => spec[field] !== undefined).map((field) => [field, spec[field]]);
  const { trafficPolicy } = spec;
  const { metadata, ...reduced } = reduce(object);
  const { creationTimestamp } = object.metadata ?? {};
  const dryRun = annotationsOf(object)[DRY_RUN_ANNOTATION];
  const tried = dryRun !== undefined && { annotations: { ...metadata?.annotations, [DRY_RUN_ANNOTATION]: dryRun } };
  return {
    ...reduced,
    metadata: { ...metadata, ...tried, ...(creationTimestamp !== undefined && { creationTimestamp }) },
    spec: {
      ...Object.fromEntries(has),
      ...(trafficPolicy !== undefined && { trafficPolicy: {} }),
      ...(limitsRates(object) && { configPatches: [LOCAL_RATE_LIMIT] }),
    },
  };
}

export interface CompanionListener {
  readonly emit: (change: Change) => void;
  /** The namespaces that have opted in, by name. */
  readonly optedIn: () => readonly string[];
  readonly clusterDomain: string;
}

/** Keeps the objects of one kind, and tells whom a change concerns. */
export function companionHandler(
  kind: CompanionKind,
  objects: CompanionIndex,
  { emit, optedIn, clusterDomain }: CompanionListener,
): WatchHandler {
  const tell = (written: readonly (KubernetesObject | undefined)[]): void => {
    const present = written.filter((object) => object !== undefined);
    for (const change of concerned(kind, present)) emit(change);
    const reaching = present.filter((object) => isForOthers(kind, object));
    const mayActIn = (namespace: string) =>
      reaching.some((object) => kind.speaksOf === "Pods" || mayFitIn(namespace, object, clusterDomain));
    for (const namespace of reaching.length === 0 ? [] : optedIn())
      if (mayActIn(namespace)) emit({ type: "hostObject", namespace });
  };
  return {
    set: (object) => {
      const named = { ...object, kind: kind.kind };
      const before = objects.set(kind, named);
      tell([before, named, ...dependents(kind, objects, [before, named])]);
    },
    delete: (namespace, name) => {
      const before = objects.delete(kind, namespace, name);
      tell([before]);
      // Another Service of the same Pods may have waited for one that Fairlead made.
      if (kind.speaksOf === "Pods" && before && isGenerated(before)) emit({ type: "hostObject", namespace });
    },
  };
}

/** Whether it acts in namespaces that it does not name: one in Istio's root for Pods, or one for hosts of a pattern. */
function isForOthers({ speaksOf }: CompanionKind, object: KubernetesObject): boolean {
  if (speaksOf === "Pods") return object.metadata?.namespace === ROOT_NAMESPACE;
  return hostKeys(object).includes(ANY_HOST);
}

/** Those that Fairlead made for other Services, and in which stands what the one that was written is for. */
function dependents(
  kind: CompanionKind,
  objects: CompanionIndex,
  [before, now]: readonly [KubernetesObject | undefined, KubernetesObject],
): readonly KubernetesObject[] {
  if (!kind.guards || kind.group !== ISTIO_SECURITY_GROUP || !isGenerated(now)) return [];
  const [hashBefore, hash] = [before, now].map((it) => it && annotationsOf(it)[GENERATED_ANNOTATION]);
  if (hashBefore === hash) return [];
  const labels = [before ?? now, now].map(chosenLabels);
  return objects.of(kind, now.metadata?.namespace ?? "").filter((other) => {
    const theirs = chosenLabels(other);
    return isGenerated(other) && labels.some((own) => !areApart(own, theirs));
  });
}

/** Of an object that Fairlead made: they select nothing but labels. */
function chosenLabels(object: KubernetesObject): StringMap {
  const { selector } = (object.spec ?? {}) as { readonly selector?: { readonly matchLabels?: StringMap } };
  return selector?.matchLabels ?? {};
}

function areApart(some: StringMap, others: StringMap): boolean {
  for (const label in some) if (Object.hasOwn(others, label) && others[label] !== some[label]) return true;
  return false;
}

/** Whom an object before and after a write concerns: its owners, or whoever has what it speaks of. */
function concerned(kind: CompanionKind, objects: readonly KubernetesObject[]): readonly Change[] {
  const changes = new Map<string, Change>();
  for (const object of objects) {
    const own = object.metadata?.namespace ?? "";
    const uids = isGenerated(object) ? recordsIn(object.metadata?.ownerReferences).map(({ uid }) => uid) : [];
    for (const policyUid of uids) changes.set(`${own}/${policyUid}`, { type: "owned", namespace: own, policyUid });
    for (const namespace of uids.length > 0 ? [] : namespacesOf(kind, object, own))
      changes.set(namespace, { type: "hostObject", namespace });
  }
  return [...changes.values()];
}

function namespacesOf(kind: CompanionKind, object: KubernetesObject, own: string): readonly string[] {
  if (kind.speaksOf === "Pods") return [own];
  return hostKeys(object).map((host) => host.split(".")[1] ?? own);
}
