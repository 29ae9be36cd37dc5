/**
 * Loaded into both servers with `--import`, so that they measure themselves in the same way and at the same cost.
 */
import { monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** What a server says of itself. */
export interface Usage {
  /** User and system time since its start, all threads. */
  readonly cpuMicros: number;
  readonly rssBytes: number;
  /** The largest since its start. */
  readonly rssPeakBytes: number;
  /** The longest pause for garbage since the last question. */
  readonly gcPauseMaxMs: number;
  /** How late timers were since the last question, 99th percentile. */
  readonly loopDelayP99Ms: number;
  /** After a full collection, where it was asked for. */
  readonly heapBytes?: number;
}

/** `heap` collects garbage first, so that it is asked only where nothing is timed; RSS is then that after it. */
export type Question = "usage" | "heap";

/** The step of the loop-delay timer: coarse, so that it costs nothing. */
const LOOP_DELAY_RESOLUTION_MS = 20;
const NS_PER_MS = 1_000_000;
const BYTES_PER_KIB = 1024;
const loopDelay = monitorEventLoopDelay({ resolution: LOOP_DELAY_RESOLUTION_MS });
loopDelay.enable();
let gcPauseMaxMs = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) gcPauseMaxMs = Math.max(gcPauseMaxMs, entry.duration);
}).observe({ entryTypes: ["gc"] });

process.on("message", (question: Question) => process.send?.(answer(question)));
// The parent is gone: so are we.
process.on("disconnect", () => process.exit());
process.channel?.unref();

function answer(question: Question): Usage {
  const heapBytes = question === "heap" ? heapAfterCollection() : undefined;
  const { user, system } = process.cpuUsage();
  const usage: Usage = {
    cpuMicros: user + system,
    rssBytes: process.memoryUsage.rss(),
    rssPeakBytes: process.resourceUsage().maxRSS * BYTES_PER_KIB,
    gcPauseMaxMs,
    loopDelayP99Ms: Math.max(0, loopDelay.percentile(99) / NS_PER_MS - LOOP_DELAY_RESOLUTION_MS),
    ...(heapBytes !== undefined && { heapBytes }),
  };
  loopDelay.reset();
  gcPauseMaxMs = 0;
  return usage;
}

function heapAfterCollection(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  return process.memoryUsage().heapUsed;
}
