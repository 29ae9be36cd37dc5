import { compareStrings, type Finding } from "../finding.ts";
import { canonicalJson } from "../intent/revision.ts";
import { targetText } from "../policy/targets.ts";
import type { Json } from "../rules/shown-settings.ts";
import type { TargetKey } from "../world.ts";
import type { Carrier, CarrierKey } from "./carrier.ts";
import type { Standing } from "./standing.ts";

export type Change = "none" | "add" | "change" | "remove";

/** One object that carries settings of a target; null where it is not there. */
export interface PlannedCarrier extends CarrierKey {
  readonly change: Change;
  readonly before: Json | null;
  readonly after: Json | null;
}

/** What is in force on a target. */
export interface PlannedSide {
  readonly mesh: Json;
  readonly inForce: Json;
}

/** What becomes of one target. */
export interface PlannedTarget extends TargetKey {
  /** Of what is in force and of what carries it, not of the target as such. */
  readonly change: Change;
  /** Null where the target does not exist. */
  readonly before: PlannedSide | null;
  readonly after: PlannedSide | null;
  readonly carriers: readonly PlannedCarrier[];
  /** What is to be told of the target then, and is not today. */
  readonly findings: readonly Finding[];
}

type Standings = ReadonlyMap<string, Standing>;

/** Every target of either side, by namespace, kind and name. */
export function compareStandings(before: Standings, after: Standings): readonly PlannedTarget[] {
  const keys = new Map([...before, ...after].map(([text, { key }]) => [text, key]));
  return [...keys]
    .map(([text, key]) => compareTarget(key, before.get(text), after.get(text)))
    .sort((a, b) => compareStrings(sortText(a), sortText(b)));
}

function compareTarget(key: TargetKey, before: Standing | undefined, after: Standing | undefined): PlannedTarget {
  const carriers = compareCarriers(before?.carriers ?? [], after?.carriers ?? []);
  const told = new Set(before?.findings.map(canonicalJson));
  return {
    ...key,
    change: changeOf(contentOf(before), contentOf(after), carriers),
    before: sideOf(before),
    after: sideOf(after),
    carriers,
    findings: (after?.findings ?? []).filter((item) => !told.has(canonicalJson(item))),
  };
}

function sideOf(standing: Standing | undefined): PlannedSide | null {
  return standing === undefined ? null : { mesh: standing.mesh, inForce: standing.inForce };
}

/** Undefined where nothing is in force. */
function contentOf(standing: Standing | undefined): string | undefined {
  const inForce = standing?.inForce ?? {};
  return Object.keys(inForce).length === 0 ? undefined : canonicalJson(withoutRevisions(inForce));
}

function changeOf(before: string | undefined, after: string | undefined, carriers: readonly PlannedCarrier[]): Change {
  if (before === after && carriers.every(({ change }) => change === "none")) return "none";
  if (before === undefined && carriers.every((carrier) => carrier.before === null)) return "add";
  if (after === undefined && carriers.every((carrier) => carrier.after === null)) return "remove";
  return "change";
}

function changeBetween(before: Json | undefined, after: Json | undefined): Change {
  if (before === undefined) return "add";
  if (after === undefined) return "remove";
  return canonicalJson(before) === canonicalJson(after) ? "none" : "change";
}

/** A section as it stands in `inForce`; `routes` is a list. */
export type SectionInForce = Json | readonly Json[];

/** The revision of a policy changes with any of its sections, so it says nothing of one of them. */
function withoutRevisions(inForce: Json): Json {
  const sections = Object.entries(inForce) as readonly [string, SectionInForce][];
  return Object.fromEntries(sections.map(([name, section]) => [name, withoutMembers(section, ["revision"])]));
}

/** A section without some of its members. */
export function withoutMembers(section: SectionInForce, names: readonly string[]): SectionInForce {
  const bare = (settings: Json): Json =>
    Object.fromEntries(Object.entries(settings).filter(([name]) => !names.includes(name)));
  return isList(section) ? section.map(bare) : bare(section);
}

/** Name of the policy that a section is from; empty where a person wrote it. */
export function policyOf(section: SectionInForce): string {
  const settings = isList(section) ? section[0] : section;
  const policy = settings?.["policy"];
  return typeof policy === "string" ? policy : "";
}

function isList(section: SectionInForce): section is readonly Json[] {
  return Array.isArray(section);
}

function compareCarriers(before: readonly Carrier[], after: readonly Carrier[]): readonly PlannedCarrier[] {
  const [old, now] = [byText(before), byText(after)];
  return [...new Map([...old, ...now])].map(([text, { key }]) => {
    const [from, to] = [old.get(text)?.content, now.get(text)?.content];
    return { ...key, change: changeBetween(from, to), before: from ?? null, after: to ?? null };
  });
}

function byText(carriers: readonly Carrier[]): ReadonlyMap<string, Carrier> {
  return new Map(carriers.map((carrier) => [targetText(carrier.key), carrier]));
}

function sortText({ namespace, kind, group, name }: TargetKey): string {
  return [namespace, kind, group, name].join("/");
}
