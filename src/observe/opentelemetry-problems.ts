import type { Logger } from "pino";

/** A collector that is down fails every few seconds; one line a minute says as much. */
const QUIET_MS = 60_000;
const PROBLEM_MAX_LENGTH = 300;

/** Takes what OpenTelemetry complains of into the log, a line a minute at most. `nowMs` is a monotonic clock. */
export function problemReporter(log: Logger, nowMs: () => number): (problem: string) => void {
  let quietUntilMs = Number.NEGATIVE_INFINITY;
  let suppressed = 0;
  return (problem) => {
    if (nowMs() < quietUntilMs) {
      suppressed += 1;
      return;
    }
    quietUntilMs = nowMs() + QUIET_MS;
    log.warn(
      { problem: shown(problem), suppressed },
      "spans may be lost; look at the collector and the OTEL_ variables",
    );
    suppressed = 0;
  };
}

/** Errors come as JSON text with their stack; the URL of the collector may hold a password. */
function shown(problem: string): string {
  const text = messageOf(problem) ?? problem;
  return text.replaceAll(/\/\/[^/@\s]*@/g, "//[redacted]@").slice(0, PROBLEM_MAX_LENGTH);
}

function messageOf(problem: string): string | undefined {
  if (!problem.startsWith("{")) return undefined;
  try {
    const { name, message, code }: Readonly<Record<string, unknown>> = JSON.parse(problem);
    return [name, code, message].filter((part) => typeof part === "string" && part !== "").join(": ");
  } catch {
    return undefined;
  }
}
