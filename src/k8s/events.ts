import { ApiError } from "./api-error.ts";
import { type ApiRequest, type KubernetesClient, PATCH_TYPES, resourcePath } from "./client.ts";
import {
  EVENT_SOURCE,
  eventName,
  hashOf,
  oneLine,
  type PolicyEvent,
  type Series,
  spamKeyOf,
  timesOf,
  toObject,
} from "./event-object.ts";
import { LeastRecentlyUsed } from "./lru.ts";
import { type Clock, describeError, type Logger, systemClock } from "./ports.ts";
import { SpamFilter } from "./spam-filter.ts";

export type { PolicyEvent } from "./event-object.ts";

export interface EventSink {
  /** Returns at once and never throws: an Event that cannot be written is counted, not missed. */
  emit(event: PolicyEvent): void;
}

/** Totals since the start, for metrics. */
export interface EventCounters {
  /** Handed to {@link EventSink.emit}. */
  emitted: number;
  /** Events created, or their count raised. */
  written: number;
  /** Repetitions: they raise the count of an Event instead of making another. */
  deduplicated: number;
  /** Not sent: too many about one object, too many waiting, not the leader, or after the end. */
  dropped: number;
  /** Sent and refused, or not answered. */
  failed: number;
}

export interface EventRecorderOptions {
  readonly client: Pick<KubernetesClient, "request">;
  readonly log: Logger;
  /** Name of this replica. */
  readonly reportingInstance: string;
  /** Asked before every write: false once another replica may be the leader. */
  readonly mayWrite?: () => boolean;
  readonly clock?: Clock;
}

/** As many Events as client-go remembers (tools/record/events_cache.go), and as many as wait there (event.go). */
const REMEMBERED_MAX = 4_096;
const WAITING_MAX = 1_000;
/** client-go's window for similar events. */
const SERIES_MS = 10 * 60_000;
/** As the writer's. */
const TIMEOUT_MS = 10_000;
const FLUSH_MS = 1_000;
const EVENTS = { group: "", version: "v1", resource: "events" };

interface Waiting {
  readonly event: PolicyEvent;
  readonly series: Series;
}

/**
 * Core Events about policies and their targets, written one after the other and never in anybody's way. Best effort:
 * the status of the policy is where the truth stands. What a repetition could not write, the next one that is written
 * makes up for, since counts are kept here.
 */
export class EventRecorder implements EventSink {
  readonly counters: EventCounters = { emitted: 0, written: 0, deduplicated: 0, dropped: 0, failed: 0 };
  readonly #options: EventRecorderOptions;
  readonly #clock: Clock;
  readonly #series = new LeastRecentlyUsed<Series>(REMEMBERED_MAX);
  readonly #spamFilter = new SpamFilter();
  readonly #waiting = new Map<string, Waiting>();
  readonly #end = new AbortController();
  #draining: Promise<void> | undefined;
  #stopped = false;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  emit({ message, ...rest }: PolicyEvent): void {
    this.counters.emitted += 1;
    if (this.#stopped) {
      this.counters.dropped += 1;
      return;
    }
    const event = { ...rest, message: oneLine(message) };
    const hash = hashOf(event);
    const series = this.#observe(hash);
    // What waits is written with the count as it is then.
    if (this.#waiting.has(hash)) return;
    const isFull = this.#waiting.size >= WAITING_MAX;
    if (isFull || !this.#spamFilter.allows(spamKeyOf(event), this.#clock.now())) {
      this.counters.dropped += 1;
      return;
    }
    this.#waiting.set(hash, { event, series });
    this.#draining ??= this.#drain();
  }

  /** Final: writes what waits, for at most a second, and drops the rest. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const cancel = this.#clock.after(FLUSH_MS, resolve);
    await Promise.race([this.#draining, late]);
    cancel();
    this.counters.dropped += this.#waiting.size;
    this.#waiting.clear();
    this.#end.abort(new Error("the process ends"));
  }

  #observe(hash: string): Series {
    const nowMs = this.#clock.now();
    const known = this.#waiting.get(hash)?.series ?? this.#series.get(hash);
    if (known === undefined || nowMs - known.lastMs >= SERIES_MS) {
      const series = { count: 1, firstMs: nowMs, lastMs: nowMs };
      this.#series.set(hash, series);
      return series;
    }
    this.counters.deduplicated += 1;
    known.count += 1;
    // After a clock that jumped back the last time does not lie before the first.
    known.lastMs = Math.max(known.lastMs, nowMs);
    return known;
  }

  async #drain(): Promise<void> {
    // What is added meanwhile comes last, so the loop sees it.
    for (const [hash, waiting] of this.#waiting) {
      this.#waiting.delete(hash);
      await this.#write(hash, waiting);
    }
    this.#draining = undefined;
  }

  async #write(hash: string, { event, series }: Waiting): Promise<void> {
    try {
      if (this.#options.mayWrite?.() === false) {
        this.counters.dropped += 1;
        return;
      }
      await (series.count === 1 ? this.#create(hash, { event, series }) : this.#raise(hash, { event, series }));
      this.counters.written += 1;
    } catch (error) {
      this.counters.failed += 1;
      const { kind, namespace, name } = event.regarding;
      const fields = { kind, namespace, name, reason: event.reason, error: describeError(error) };
      this.#options.log.debug(fields, "Event not written");
    }
  }

  /** An Event of this name is an older series, or one of another replica: the new one takes its place. */
  async #create(hash: string, waiting: Waiting): Promise<void> {
    try {
      await this.#post(hash, waiting);
    } catch (error) {
      if (!hasStatus(error, 409)) throw error;
      await this.#patch(hash, waiting);
    }
  }

  /** The API server forgets Events after an hour (`--event-ttl`), and the first write may have failed. */
  async #raise(hash: string, waiting: Waiting): Promise<void> {
    try {
      await this.#patch(hash, waiting);
    } catch (error) {
      if (!hasStatus(error, 404)) throw error;
      await this.#post(hash, waiting);
    }
  }

  #post(hash: string, { event, series }: Waiting): Promise<unknown> {
    const { namespace } = event.regarding;
    const body = toObject(event, { hash, series, reportingInstance: this.#options.reportingInstance });
    return this.#send({ method: "POST", path: resourcePath({ ...EVENTS, namespace }), body });
  }

  #patch(hash: string, { event, series }: Waiting): Promise<unknown> {
    const { namespace, name } = event.regarding;
    const path = resourcePath({ ...EVENTS, namespace, name: eventName(name, hash) });
    return this.#send({ method: "PATCH", path, contentType: PATCH_TYPES.merge, body: timesOf(series) });
  }

  #send(request: ApiRequest): Promise<unknown> {
    const query = { fieldManager: EVENT_SOURCE };
    return this.#options.client.request({ ...request, query, timeoutMs: TIMEOUT_MS, signal: this.#end.signal });
  }
}

function hasStatus(error: unknown, status: number): boolean {
  return error instanceof ApiError && error.status === status;
}
