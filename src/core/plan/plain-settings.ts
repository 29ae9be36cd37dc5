import { isRecord } from "../../api/problem.ts";
import { shortestStatusCode } from "../intent/status-codes.ts";
import { Duration } from "../rules/cel/values.ts";
import type { Json } from "../rules/shown-settings.ts";

/**
 * `effective` as JSON, so that equal settings are equal whatever mesh they were read from: durations as in a policy,
 * status codes in the shortest way, and no empty lists.
 */
export function plainSettings(effective: Json): Json {
  const members = Object.entries(effective).map(([name, value]) => [name, plain(value, name)] as const);
  return Object.fromEntries(members.filter(([, value]) => !Array.isArray(value) || value.length > 0));
}

function plain(value: unknown, name: string): unknown {
  if (value instanceof Duration) return durationText(value);
  if (Array.isArray(value)) return value.map((item) => plain(item, name));
  if (name === "statusCodes" && typeof value === "string") return shortestStatusCode(value);
  return isRecord(value) ? plainSettings(value) : value;
}

const UNITS = [
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
] as const;

/** As the Gateway API writes it, `2s500ms`. Linkerd's routes know fractions of a millisecond; they stay fractions. */
function durationText({ nanos }: Duration): string {
  let restMs = Number(nanos) / 1e6;
  let text = "";
  for (const [unit, ms] of UNITS) {
    const count = Math.floor(restMs / ms);
    restMs -= count * ms;
    if (count > 0) text += `${count}${unit}`;
  }
  return restMs > 0 || text === "" ? `${text}${restMs}ms` : text;
}
