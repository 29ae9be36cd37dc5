import { havePortsAlike, podPortsIn, readyIn, type SliceFacts, sliceFacts } from "../core/endpoint-slices.ts";
import type { KubernetesObject } from "../core/kubernetes.ts";
import { NamespacedMap } from "./namespaced.ts";
import type { ResourceWatch } from "./watch.ts";
import type { WatchHandler } from "./watch-options.ts";

/** What of the endpoints of a Service something may depend on: how many are ready, and the numbers of ports on Pods. */
export type EndpointFact = "count" | "ports";

export interface EndpointListener {
  /** Something of a Service in this namespace is different. */
  readonly changed: (namespace: string, facts: readonly EndpointFact[]) => void;
  /** All of them are known for the first time. */
  readonly known: () => void;
}

const NO_SLICES: ReadonlySet<SliceFacts> = new Set();

/**
 * How many ready endpoints Services have, which numbers their ports have on Pods, and nothing else of them. Slices change
 * with every Pod that comes or goes, so they are watched from the moment on that something depends on them.
 */
export class Endpoints {
  readonly #slices = new NamespacedMap<SliceFacts>();
  /** By `namespace/service`: a plan asks for each Service of a namespace, which may have thousands of slices. */
  readonly #byService = new Map<string, Set<SliceFacts>>();
  readonly #watch: ResourceWatch;
  readonly #listener: EndpointListener;
  #isStarted = false;

  constructor(watch: (handler: WatchHandler) => ResourceWatch, listener: EndpointListener) {
    this.#listener = listener;
    this.#watch = watch({
      set: (slice) => this.#set(slice),
      delete: (namespace, name) => {
        this.#forget(namespace, name);
        if (this.#slices.delete(namespace, name)) listener.changed(namespace, ["count", "ports"]);
      },
    });
  }

  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#watch.start();
    void this.#watch.whenSynced().then(() => this.#listener.known());
  }

  /** The watch, once it is started. */
  watches(): readonly ResourceWatch[] {
    return this.#isStarted ? [this.#watch] : [];
  }

  /** How many are ready; undefined: no slice of the Service is known. */
  readyOf(service: string, namespace: string): number | undefined {
    return readyIn(this.#slicesOf(service, namespace));
  }

  /** Empty where no number is known. */
  portsOf(service: string, namespace: string, port: string): readonly number[] {
    return podPortsIn(this.#slicesOf(service, namespace), port);
  }

  #slicesOf(service: string, namespace: string): ReadonlySet<SliceFacts> {
    // Half of the slices of a Service would be half of its endpoints, and perhaps not all of its numbers.
    if (!this.#watch.synced) return NO_SLICES;
    return this.#byService.get(`${namespace}/${service}`) ?? NO_SLICES;
  }

  #set(slice: KubernetesObject): void {
    const { namespace = "", name = "" } = slice.metadata ?? {};
    const before = this.#slices.get(namespace, name);
    const facts = sliceFacts(slice);
    this.#forget(namespace, name);
    this.#slices.set(namespace, name, facts);
    const text = `${namespace}/${facts.service}`;
    this.#byService.set(text, (this.#byService.get(text) ?? new Set()).add(facts));
    // Until all are known there is nothing that could be different.
    const changed = this.#watch.synced ? changedFacts(before, facts) : [];
    if (changed.length > 0) this.#listener.changed(namespace, changed);
  }

  #forget(namespace: string, name: string): void {
    const facts = this.#slices.get(namespace, name);
    if (facts === undefined) return;
    const text = `${namespace}/${facts.service}`;
    const ofService = this.#byService.get(text);
    ofService?.delete(facts);
    if (ofService?.size === 0) this.#byService.delete(text);
  }
}

function changedFacts(before: SliceFacts | undefined, now: SliceFacts): readonly EndpointFact[] {
  if (before === undefined) return ["count", "ports"];
  const isCountAlike = before.ready === now.ready && before.service === now.service;
  return [...(isCountAlike ? [] : ["count" as const]), ...(havePortsAlike(before, now) ? [] : ["ports" as const])];
}
