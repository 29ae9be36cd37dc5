import type { KubernetesObject } from "../core/kubernetes.ts";
import { ApiError, retryAfterMs } from "./api-error.ts";
import { type ResourceRef, resourcePath } from "./client.ts";
import { ExpiredError, LineSplitter, parseFrame } from "./frames.ts";
import { backoffDelayMs, type Clock, describeError, Pause, type Random, systemClock } from "./ports.ts";
import { WATCH_TUNING, type WatchCounters, type WatchOptions, type WatchTuning } from "./watch-options.ts";

class InactivityError extends Error {}

/** How one attempt ended. `absent`: the resource is not served. */
interface Ending {
  readonly absent: boolean;
  readonly error: unknown;
}

/**
 * Lists and watches one resource, in all namespaces unless one is named, for ever: whatever goes wrong, it comes back, and then the
 * handler has seen exactly what is in the cluster, vanished objects included (docs/adr/0005-watching.md names what it survives).
 */
export class ResourceWatch {
  readonly resource: ResourceRef;
  readonly counters: WatchCounters = { lists: 0, watches: 0, cuts: 0, errors: 0, handlerErrors: 0 };
  readonly #options: WatchOptions;
  readonly #tuning: WatchTuning;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #pause: Pause;
  /** `namespace/name` to resourceVersion, of everything delivered. */
  readonly #known = new Map<string, string>();
  readonly #firstSync = Promise.withResolvers<void>();
  #version: string | undefined;
  #resourceVersion: string | undefined;
  #absences = 0;
  #synced = false;
  #stopped = false;
  #loop: Promise<void> | undefined;
  #attempt = new AbortController();
  #openedAt: number | undefined;
  #lastContactAt: number;

  constructor(options: WatchOptions) {
    this.resource = options.resource;
    this.#options = options;
    this.#tuning = { ...WATCH_TUNING, ...options.tuning };
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#pause = new Pause(this.#clock);
    this.#lastContactAt = this.#clock.now();
  }

  /** True once everything was delivered, or the resource was found absent. It stays true. */
  get synced(): boolean {
    return this.#synced;
  }

  /** The served version in use; undefined while the resource is absent or not yet looked up. */
  get version(): string | undefined {
    return this.#version;
  }

  /** When the API server last said anything about this resource, in milliseconds since the epoch. */
  get lastContactAt(): number {
    return this.#lastContactAt;
  }

  get stalenessMs(): number {
    return this.#clock.now() - this.#lastContactAt;
  }

  get size(): number {
    return this.#known.size;
  }

  /** Never settles when stopped before. */
  whenSynced(): Promise<void> {
    return this.#firstSync.promise;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** Final. After it resolves the handler is not called any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#attempt.abort();
    this.#pause.cut();
    await this.#loop;
  }

  #path(version: string): string {
    const { namespace } = this.#options;
    return resourcePath({ ...this.resource, version, ...(namespace !== undefined && { namespace }) });
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#stopped) {
      this.#attempt = new AbortController();
      this.#openedAt = undefined;
      const ending = await this.#tryOnce();
      if (this.#stopped) return;
      if (ending.absent) {
        failures = 0;
        await this.#pause.wait(this.#tuning.discoveryMs * (0.9 + 0.2 * this.#random()));
        continue;
      }
      const healthy = this.#openedAt !== undefined && this.#clock.now() - this.#openedAt >= this.#tuning.healthyAfterMs;
      failures = healthy ? Number(ending.error !== undefined) : failures + 1;
      await this.#pause.wait(
        Math.max(retryAfterMs(ending.error), backoffDelayMs(failures, this.#tuning.backoff, this.#random)),
      );
    }
  }

  /** Discovery, list and watch, as far as they are needed; returns when the watch is over. */
  async #tryOnce(): Promise<Ending> {
    try {
      this.#version ??= await this.#options.client.servedVersion(this.resource, this.#attempt.signal);
      if (this.#version === undefined) {
        this.#touch();
        this.#noteAbsent();
        return { absent: true, error: undefined };
      }
      this.#absences = 0;
      this.#resourceVersion ??= await this.#list(this.#version);
      await this.#watch(this.#version, this.#resourceVersion);
      return { absent: false, error: undefined };
    } catch (error) {
      if (this.#stopped) return { absent: false, error };
      if (error instanceof InactivityError && this.#openedAt !== undefined) {
        this.counters.cuts += 1;
        this.#options.log.debug({ ...this.resource }, "quiet watch renewed");
        return { absent: false, error: undefined };
      }
      this.counters.errors += 1;
      const status = error instanceof ApiError ? error.status : undefined;
      if (error instanceof ExpiredError || status === 410 || status === 404) this.#resourceVersion = undefined;
      if (status === 404) this.#version = undefined;
      this.#options.log.warn({ ...this.resource, status, error: describeError(error) }, "watch interrupted");
      return { absent: false, error };
    }
  }

  /** A CRD that was there must be missing twice in a row, as one API server of several may not know it yet. */
  #noteAbsent(): void {
    this.#absences += 1;
    this.#resourceVersion = undefined;
    if (this.#known.size > 0 && this.#absences < 2) return;
    for (const key of this.#known.keys()) this.#deliverDelete(key);
    this.#markSynced();
  }

  async #list(version: string): Promise<string> {
    this.counters.lists += 1;
    const seen = new Set<string>();
    const resourceVersion = await this.#options.client.list(this.#path(version), {
      query: { labelSelector: this.#options.labelSelector },
      signal: this.#attempt.signal,
      timeoutMs: this.#tuning.listTimeoutMs,
      onPage: (items, first) => {
        if (first) seen.clear();
        this.#touch();
        for (const item of items) seen.add(this.#deliverSet(item));
      },
    });
    for (const key of this.#known.keys()) if (!seen.has(key)) this.#deliverDelete(key);
    this.#markSynced();
    return resourceVersion;
  }

  async #watch(version: string, resourceVersion: string): Promise<void> {
    this.counters.watches += 1;
    const cancelTimer = this.#watchInactivity();
    try {
      const response = await this.#options.client.stream({
        path: this.#path(version),
        query: {
          watch: true,
          allowWatchBookmarks: true,
          resourceVersion,
          labelSelector: this.#options.labelSelector,
          timeoutSeconds: Math.floor(this.#tuning.timeoutSecondsMin * (1 + this.#random())),
        },
        signal: this.#attempt.signal,
      });
      this.#touch();
      this.#openedAt = this.#clock.now();
      const splitter = new LineSplitter(this.#tuning.frameLengthMax);
      for await (const chunk of response) {
        this.#touch();
        for (const line of splitter.push(chunk as string)) this.#frame(line);
      }
    } catch (error) {
      throw this.#attempt.signal.aborted ? this.#attempt.signal.reason : error;
    } finally {
      cancelTimer();
    }
  }

  /** One timer for the whole watch, which looks at the last contact when it fires. */
  #watchInactivity(): () => void {
    const startedAt = this.#clock.now();
    let cancel = (): void => {};
    const arm = (delayMs: number): void => {
      cancel = this.#clock.after(delayMs, () => {
        const leftMs = Math.max(this.#lastContactAt, startedAt) + this.#tuning.inactivityMs - this.#clock.now();
        if (leftMs > 0) arm(leftMs);
        else this.#attempt.abort(new InactivityError(`nothing arrived for ${this.#tuning.inactivityMs} ms`));
      });
    };
    arm(this.#tuning.inactivityMs);
    return () => cancel();
  }

  #frame(line: string): void {
    const { type, object, resourceVersion } = parseFrame(line);
    if (type === "ADDED" || type === "MODIFIED") this.#deliverSet(object);
    else if (type === "DELETED") this.#deliverDelete(keyOf(object));
    this.#resourceVersion = resourceVersion;
  }

  #deliverSet(object: KubernetesObject): string {
    const key = keyOf(object);
    const resourceVersion = object.metadata?.resourceVersion ?? "";
    if (this.#stopped || this.#known.get(key) === resourceVersion) return key;
    this.#known.set(key, this.#guard(() => this.#options.handler.set(object)) ? resourceVersion : "");
    return key;
  }

  #deliverDelete(key: string): void {
    if (this.#stopped || !this.#known.delete(key)) return;
    const slash = key.indexOf("/");
    this.#guard(() => this.#options.handler.delete(key.slice(0, slash), key.slice(slash + 1)));
  }

  #guard(call: () => void): boolean {
    try {
      call();
      return true;
    } catch (error) {
      this.counters.handlerErrors += 1;
      this.#options.log.error({ ...this.resource, error: describeError(error) }, "watch handler failed");
      return false;
    }
  }

  #touch(): void {
    this.#lastContactAt = this.#clock.now();
  }

  #markSynced(): void {
    this.#synced = true;
    this.#firstSync.resolve();
  }
}

function keyOf(object: KubernetesObject): string {
  const { namespace = "", name = "" } = object.metadata ?? {};
  return `${namespace}/${name}`;
}
