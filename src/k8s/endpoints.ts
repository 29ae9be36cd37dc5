import { podPortsIn, podPortsText, readyIn, type SliceFacts, sliceFacts } from "../core/endpoint-slices.ts";
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
      set: (slice) => this.#change(slice.metadata?.namespace ?? "", slice.metadata?.name ?? "", sliceFacts(slice)),
      delete: (namespace, name) => this.#change(namespace, name, undefined),
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

  /** Empty where none of the Pods has it, undefined where no Pod is known. */
  portsOf(service: string, namespace: string, port: string): readonly number[] | undefined {
    return podPortsIn(this.#slicesOf(service, namespace), port);
  }

  #slicesOf(service: string, namespace: string): ReadonlySet<SliceFacts> {
    // Half of the slices of a Service would be half of its endpoints, and perhaps not all of its numbers.
    if (!this.#watch.synced) return NO_SLICES;
    return this.#byService.get(`${namespace}/${service}`) ?? NO_SLICES;
  }

  /** `now`: of the slice with this name; undefined: it is gone. */
  #change(namespace: string, name: string, now: SliceFacts | undefined): void {
    const before = this.#slices.get(namespace, name);
    const services = [...new Set([before, now].flatMap((facts) => facts?.service ?? []))];
    const textsOf = () => services.map((service) => podPortsText(this.#slicesOf(service, namespace)));
    const texts = textsOf();
    if (before !== undefined) this.#forget(namespace, name, before);
    if (now !== undefined) this.#keep(namespace, name, now);
    // Until all are known there is nothing that could be different.
    if (!this.#watch.synced) return;
    const isCountAlike = before?.ready === now?.ready && services.length < 2;
    const arePortsAlike = textsOf().every((text, index) => text === texts[index]);
    const facts = [...(isCountAlike ? [] : ["count" as const]), ...(arePortsAlike ? [] : ["ports" as const])];
    if (facts.length > 0) this.#listener.changed(namespace, facts);
  }

  #keep(namespace: string, name: string, facts: SliceFacts): void {
    this.#slices.set(namespace, name, facts);
    const text = `${namespace}/${facts.service}`;
    this.#byService.set(text, (this.#byService.get(text) ?? new Set()).add(facts));
  }

  #forget(namespace: string, name: string, facts: SliceFacts): void {
    this.#slices.delete(namespace, name);
    const text = `${namespace}/${facts.service}`;
    const ofService = this.#byService.get(text);
    ofService?.delete(facts);
    if (ofService?.size === 0) this.#byService.delete(text);
  }
}
