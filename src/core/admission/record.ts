import { isRecord } from "../../api/problem.ts";
import { annotationPath, type Finding, finding } from "../finding.ts";
import { Kept } from "../kept.ts";
import type { StringMap } from "../kubernetes.ts";
import { acceptsValue, isFamilyKey } from "../mesh/all.ts";
import type { MeshVersion } from "../mesh/version.ts";
import { RECORD_PROBLEMS_MAX } from "../limits.ts";
import { RECORD_ANNOTATION } from "../names.ts";
import { cut, quote } from "../text.ts";

/**
 * What Fairlead wrote on an object, kept in the annotation `fairlead.dev/injected`. It makes removal exact. It is
 * never trusted: whoever may write the object may forge it, so it only ever names keys of the mesh's families, and
 * a key counts as ours only under the rules of ownership.ts.
 */
export interface InjectionRecord {
  /** Name of the policy, or names joined by commas where several decide different sections. */
  readonly policy: string;
  readonly revision: string;
  /** The keys and values written. */
  readonly keys: StringMap;
  /** Under Override: what people had written in the replaced groups. */
  readonly replaced: StringMap;
}

const NO_KEYS: StringMap = Object.freeze({});

/** Reads a record and keeps only what could be one: family keys with values that the mesh accepts. */
export function readRecord(text: string | undefined, version: MeshVersion): InjectionRecord | undefined {
  if (text === undefined) return undefined;
  let known = readBefore.get(version);
  if (known === undefined) readBefore.set(version, (known = new Kept()));
  return known.get(text, () => parseRecord(text, version));
}

/** Targets of one policy carry one and the same record, which is read several times for each of them. */
const readBefore = new WeakMap<MeshVersion, Kept<InjectionRecord>>();

function parseRecord(text: string, version: MeshVersion): InjectionRecord | undefined {
  const parsed = parseObject(text);
  if (parsed === undefined) return undefined;
  return Object.freeze({
    policy: typeof parsed["policy"] === "string" ? parsed["policy"] : "",
    revision: typeof parsed["revision"] === "string" ? parsed["revision"] : "",
    keys: acceptedEntries(parsed["keys"], version),
    replaced: acceptedEntries(parsed["replaced"], version),
  });
}

/** The text of a record; equal records give equal text. */
export function writeRecord(record: InjectionRecord): string {
  const { policy, revision, keys, replaced } = record;
  const withReplaced = Object.keys(replaced).length > 0 ? { replaced: sorted(replaced) } : {};
  return JSON.stringify({ policy, revision, keys: sorted(keys), ...withReplaced });
}

/** What is wrong with a record in itself (docs/architecture.md). Being stale or unknown is not. */
export function checkRecord(text: string | undefined, version: MeshVersion): readonly Finding[] {
  if (text === undefined) return [];
  const parsed = parseObject(text);
  if (parsed === undefined) return [wrong(`Found ${quote(text)}, which is not a JSON object`)];
  const findings: Finding[] = [];
  for (const member of ["keys", "replaced"] as const) {
    const entries = parsed[member] ?? NO_KEYS;
    if (!isRecord(entries)) {
      findings.push(wrong(`Found ${shown(entries)} as ${member}, wanted an object of strings`));
      continue;
    }
    for (const [key, value] of Object.entries(entries)) {
      if (findings.length >= RECORD_PROBLEMS_MAX) return findings;
      if (!isFamilyKey(key))
        findings.push(wrong(`Found the key ${quote(key)} in ${member}, which Fairlead never writes`));
      else if (typeof value !== "string" || !acceptsValue(key, value, version)) {
        findings.push(wrong(`Found ${shown(value)} for ${key} in ${member}, which the mesh would drop`));
      }
    }
  }
  return findings;
}

function shown(value: unknown): string {
  return typeof value === "string" ? quote(value) : cut(JSON.stringify(value));
}

function wrong(message: string): Finding {
  return finding("FL501", annotationPath(RECORD_ANNOTATION), {
    message,
    fix: `remove the annotation ${RECORD_ANNOTATION}; Fairlead writes it anew`,
  });
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function acceptedEntries(value: unknown, version: MeshVersion): StringMap {
  if (!isRecord(value)) return NO_KEYS;
  const accepted: Record<string, string> = {};
  for (const [key, text] of Object.entries(value)) {
    if (typeof text === "string" && isFamilyKey(key) && acceptsValue(key, text, version)) accepted[key] = text;
  }
  return Object.freeze(accepted);
}

function sorted(map: StringMap): StringMap {
  return Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));
}
