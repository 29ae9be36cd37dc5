import type { KubernetesObject } from "../core/kubernetes.ts";
import type { KubernetesClient, ResourceRef } from "./client.ts";
import type { Backoff, Clock, Logger, Random } from "./ports.ts";

/** Where the objects go. Calls are synchronous; a throwing handler is logged and gets the object again at the next list. */
export interface WatchHandler {
  set(object: KubernetesObject): void;
  delete(namespace: string, name: string): void;
}

export interface WatchTuning {
  /**
   * Cut a watch on which nothing arrived; it is resumed at once, without a list. The API server sends a bookmark about
   * once a minute, but the first on a quiet kind came only after 120 s (measured on 1.36.3), so now and then a healthy
   * watch is cut too.
   */
  readonly inactivityMs: number;
  /** How often to look whether an absent CRD has come. */
  readonly discoveryMs: number;
  /** For each page of a list. */
  readonly listTimeoutMs: number;
  readonly backoff: Backoff;
  /** A watch that lived this long was a success, and the backoff starts anew. */
  readonly healthyAfterMs: number;
  /** The API server ends a watch after a random time between this and twice this (client-go: 5 to 10 minutes). */
  readonly timeoutSecondsMin: number;
  /** Of one frame. etcd takes 1.5 MiB a request, the API server 3 MiB; this leaves room for both encodings. */
  readonly frameLengthMax: number;
}

export const WATCH_TUNING: WatchTuning = {
  inactivityMs: 90_000,
  discoveryMs: 10_000,
  listTimeoutMs: 60_000,
  backoff: { baseMs: 500, capMs: 30_000 },
  healthyAfterMs: 5_000,
  timeoutSecondsMin: 300,
  frameLengthMax: 16 * 1024 * 1024,
};

/** Which objects of a kind are watched; all of them where nothing is said. */
export interface WatchedPart {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
}

export interface WatchOptions extends WatchedPart {
  readonly client: KubernetesClient;
  readonly resource: ResourceRef;
  readonly handler: WatchHandler;
  readonly log: Logger;
  readonly tuning?: Partial<WatchTuning> | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
}

/** Counters since the start; tests look at them. */
export interface WatchCounters {
  lists: number;
  watches: number;
  /** Watches given up because nothing arrived: half-open, or only quiet. */
  cuts: number;
  errors: number;
  handlerErrors: number;
}
