import { formatTimestamp, timestampOf } from "./cel/timestamps.ts";

const NANOS_PER_SECOND = 1_000_000_000n;

/** A time as people write it in an exception, to the second: `2027-01-31T00:00:00Z`. */
export function timeText(ms: number): string {
  return formatTimestamp(timestampOf(BigInt(Math.floor(ms / 1_000)) * NANOS_PER_SECOND));
}
