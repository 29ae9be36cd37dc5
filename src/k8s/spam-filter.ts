import { LeastRecentlyUsed } from "./lru.ts";

/** As client-go's EventSourceObjectSpamFilter (tools/record/events_cache.go). */
const REMEMBERED_MAX = 4_096;
const BURST = 25;
const REFILL_MS = 5 * 60_000;

interface Bucket {
  readonly tokens: number;
  readonly atMs: number;
}

/** For each key 25 at once, and then one every five minutes. */
export class SpamFilter {
  readonly #buckets = new LeastRecentlyUsed<Bucket>(REMEMBERED_MAX);

  allows(key: string, nowMs: number): boolean {
    const last = this.#buckets.get(key) ?? { tokens: BURST, atMs: nowMs };
    const tokens = Math.min(BURST, last.tokens + Math.max(0, nowMs - last.atMs) / REFILL_MS);
    const isAllowed = tokens >= 1;
    this.#buckets.set(key, { tokens: isAllowed ? tokens - 1 : tokens, atMs: nowMs });
    return isAllowed;
  }
}
