import { type AnnotationSource, KEY_SPECS, type LinkerdKey } from "./keys.ts";
import { dropped, type Problem } from "./reading.ts";
import { parseValue, type ValueOf } from "./values.ts";
import type { LinkerdVersion } from "./version.ts";

/** One object's annotations and what was found wrong with them so far. */
export interface Scan {
  readonly annotations: Readonly<Record<string, string>>;
  readonly source: AnnotationSource;
  readonly version: LinkerdVersion;
  readonly problems: Problem[];
}

/** The value of one key; undefined where it is absent, or bad, which becomes a problem. */
export function member<Key extends LinkerdKey>(scan: Scan, key: Key): ValueOf<Key> | undefined {
  const text = scan.annotations[key];
  if (text === undefined) return undefined;
  const parsed = parseValue(key, text, scan.version);
  if (parsed.ok) return parsed.value;
  scan.problems.push(problem(scan, key, { reason: parsed.reason }));
  return undefined;
}

export function problem(scan: Scan, key: LinkerdKey, details: Pick<Problem, "reason" | "suggestion">): Problem {
  const { group } = KEY_SPECS[key];
  return { key, value: scan.annotations[key] ?? "", group, drops: dropped(group, scan.source), ...details };
}
