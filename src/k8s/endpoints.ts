import { type KubernetesObject, labelsOf, recordsIn } from "../core/kubernetes.ts";
import { NamespacedMap } from "./namespaced.ts";
import type { ResourceWatch } from "./watch.ts";
import type { WatchHandler } from "./watch-options.ts";

/** The Service that a slice belongs to (k8s.io/api/discovery/v1, LabelServiceName). */
const SERVICE_NAME = "kubernetes.io/service-name";

interface EndpointSlice extends KubernetesObject {
  readonly addressType?: string;
  readonly endpoints?: readonly { readonly conditions?: { readonly ready?: boolean } }[];
}

/** What is kept of an EndpointSlice. */
interface SliceCount {
  readonly service: string;
  readonly addressType: string;
  readonly ready: number;
}

export interface EndpointListener {
  /** A count in this namespace is another one. */
  readonly changed: (namespace: string) => void;
  /** All of them are known for the first time. */
  readonly counted: () => void;
}

/**
 * How many ready endpoints Services have, and nothing else of them. Slices change with every Pod that comes or goes, so they
 * are watched from the moment on that something depends on the counts.
 */
export class EndpointCounts {
  readonly #slices = new NamespacedMap<SliceCount>();
  /** By `namespace/service`: a plan asks for each Service of a namespace, which may have thousands of slices. */
  readonly #byService = new Map<string, Set<SliceCount>>();
  readonly #watch: ResourceWatch;
  readonly #listener: EndpointListener;
  #isStarted = false;

  constructor(watch: (handler: WatchHandler) => ResourceWatch, listener: EndpointListener) {
    this.#listener = listener;
    this.#watch = watch({
      set: (slice) => this.#set(slice),
      delete: (namespace, name) => {
        this.#forget(namespace, name);
        if (this.#slices.delete(namespace, name)) listener.changed(namespace);
      },
    });
  }

  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#watch.start();
    void this.#watch.whenSynced().then(() => this.#listener.counted());
  }

  /** The watch, once it is started. */
  watches(): readonly ResourceWatch[] {
    return this.#isStarted ? [this.#watch] : [];
  }

  /** Undefined: no slice of it is known. Of a Service with addresses of both families the endpoints count once. */
  of(service: string, namespace: string): number | undefined {
    // Half of the slices of a Service would be half of its endpoints.
    if (!this.#watch.synced) return undefined;
    const byType = new Map<string, number>();
    for (const { addressType, ready } of this.#byService.get(`${namespace}/${service}`) ?? []) {
      byType.set(addressType, (byType.get(addressType) ?? 0) + ready);
    }
    return byType.size === 0 ? undefined : Math.max(...byType.values());
  }

  #set(slice: EndpointSlice): void {
    const { namespace = "", name = "" } = slice.metadata ?? {};
    const service = labelsOf(slice)[SERVICE_NAME] ?? "";
    // Absent means that nobody knows, which counts as ready (k8s.io/api/discovery/v1, EndpointConditions).
    const ready = recordsIn(slice.endpoints).filter(({ conditions }) => conditions?.ready !== false).length;
    const before = this.#slices.get(namespace, name);
    this.#forget(namespace, name);
    const count = { service, addressType: slice.addressType ?? "", ready };
    this.#slices.set(namespace, name, count);
    const text = `${namespace}/${service}`;
    this.#byService.set(text, (this.#byService.get(text) ?? new Set()).add(count));
    // Until all are known there is no count that could be another one.
    if (this.#watch.synced && (before?.ready !== ready || before.service !== service))
      this.#listener.changed(namespace);
  }

  #forget(namespace: string, name: string): void {
    const count = this.#slices.get(namespace, name);
    if (count === undefined) return;
    const text = `${namespace}/${count.service}`;
    const ofService = this.#byService.get(text);
    ofService?.delete(count);
    if (ofService?.size === 0) this.#byService.delete(text);
  }
}
