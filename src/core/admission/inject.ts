import { annotationPath, type Finding, finding } from "../finding.ts";
import type { Section } from "../intent/intent.ts";
import type { CompiledPolicy } from "../intent/policy.ts";
import { resolvePrecedence } from "../intent/precedence.ts";
import { revisionOf } from "../intent/revision.ts";
import { annotationsOf, type KubernetesObject, labelsOf, type StringMap } from "../kubernetes.ts";
import { groupOfKey, isFamilyKey, meshOfPolicy } from "../mesh/all.ts";
import type { MeshCompiler, MeshVersion, SettingsGroup, TargetContext } from "../mesh/mesh.ts";
import { INJECT_LABEL, RECORD_ANNOTATION, REVISION_LABEL } from "../names.ts";
import { mergeGroup } from "./merge.ts";
import { peoplesKeys } from "./ownership.ts";
import { type Changes, exceedsAnnotationLimit, metadataPatch } from "./patch.ts";
import { type InjectionRecord, readRecord, writeRecord } from "./record.ts";
import type { PatchOperation } from "./review.ts";

/** What has to change on a target so that it carries exactly what the policies of today ask for. */
export interface Injection {
  readonly annotations: Changes;
  readonly labels: Changes;
  readonly findings: readonly Finding[];
  /** Those of the findings that cannot be found again once the change is made: values that are gone for good. */
  readonly lost: readonly Finding[];
}

/** One group that a policy asks for, with the policy that decides it. */
export interface WantedGroup extends SettingsGroup {
  readonly policy: CompiledPolicy;
  readonly mesh: MeshCompiler;
}

interface Wanted {
  readonly groups: readonly WantedGroup[];
  readonly findings: readonly Finding[];
}

const NOTHING_WANTED: Wanted = Object.freeze({ groups: Object.freeze([]), findings: Object.freeze([]) });
const NO_CHANGE: Injection = Object.freeze({
  annotations: Object.freeze({}),
  labels: Object.freeze({}),
  findings: Object.freeze([]),
  lost: Object.freeze([]),
});

/**
 * Computes the injection for one target. Applying it and computing it again gives no change, also with another
 * mutator in between, as long as that one leaves our keys alone.
 */
export function inject(
  target: TargetContext,
  namespaceMesh: MeshCompiler,
  oldObject: KubernetesObject | undefined,
): Injection {
  const annotations = annotationsOf(target.object);
  const wanted = wantedGroups(target, namespaceMesh);
  const oldText = oldObject && annotationsOf(oldObject)[RECORD_ANNOTATION];
  const hasTrace =
    annotations[RECORD_ANNOTATION] !== undefined || oldText !== undefined || hasRevisionLabel(target.object);
  if (wanted.groups.length === 0 && !hasTrace) {
    return wanted.findings.length === 0 ? NO_CHANGE : { ...NO_CHANGE, findings: wanted.findings };
  }
  const desired: Record<string, string> = {};
  for (const group of wanted.groups) Object.assign(desired, group.annotations);
  const replacedGroups = new Set(wanted.groups.filter(replaces).map((group) => group.name));
  const people = peoplesKeys({
    annotations,
    ownRecord: readRecord(annotations[RECORD_ANNOTATION], target.version),
    oldRecord: readRecord(oldText, target.version),
    desired,
    isReplaced: (key) => replacedGroups.has(groupOfKey(key) ?? ""),
  });
  const injection = settle({ target, wanted, people });
  if (!exceedsAnnotationLimit(target.object, injection.annotations)) return injection;
  return { ...NO_CHANGE, findings: [...wanted.findings, tooLarge()] };
}

/** The patch that takes everything of ours off an object and puts back what it had replaced. */
export function release(object: KubernetesObject, version: MeshVersion): readonly PatchOperation[] {
  const record = readRecord(annotationsOf(object)[RECORD_ANNOTATION], version);
  const people = peoplesKeys({
    annotations: annotationsOf(object),
    ownRecord: undefined,
    oldRecord: record,
    desired: {},
    isReplaced: () => false,
  });
  const { annotations, labels } = changesTo(object, people, undefined);
  return metadataPatch(object, annotations, labels);
}

function hasRevisionLabel(object: KubernetesObject): boolean {
  return labelsOf(object)[REVISION_LABEL] !== undefined;
}

function replaces(group: WantedGroup): boolean {
  return group.policy.spec.conflictResolution === "Override" && !group.neverReplaces;
}

/** The groups that policies ask for on this target; none where it opted out, is owned, or the mesh would not act. */
function wantedGroups(target: TargetContext, namespaceMesh: MeshCompiler): Wanted {
  const { key, object, world } = target;
  const policies = world.policiesIn(key.namespace);
  if (policies.length === 0) return NOTHING_WANTED;
  const { winners } = resolvePrecedence(policies, key, object);
  const sections = Object.entries(winners) as readonly [Section, CompiledPolicy][];
  if (sections.length === 0 || labelsOf(object)[INJECT_LABEL] === "disabled") return NOTHING_WANTED;
  const owned = ownedByController(object);
  if (owned !== undefined) return { groups: [], findings: [owned] };
  const groups: WantedGroup[] = [];
  const findings: Finding[] = [];
  for (const mesh of new Set(sections.map(([, policy]) => meshOfPolicy(policy.spec, namespaceMesh)))) {
    const { eligible, findings: obstacles } = mesh.eligibility(target);
    findings.push(...obstacles);
    for (const [section, policy] of sections) {
      if (meshOfPolicy(policy.spec, namespaceMesh) !== mesh) continue;
      const compiled = mesh.compile({ [section]: policy.intent[section] }, target.kind, target.version);
      findings.push(...deniedByMesh(compiled.findings, policy));
      if (eligible) groups.push(...compiled.groups.map((group) => ({ ...group, policy, mesh })));
    }
  }
  return { groups, findings };
}

/** A policy that the mesh cannot follow (admitted before an upgrade or downgrade) must not block Services: it warns. */
function deniedByMesh(findings: readonly Finding[], policy: CompiledPolicy): readonly Finding[] {
  return findings
    .filter((item) => item.severity === "deny")
    .map((item) => ({
      ...item,
      severity: "warn" as const,
      path: "",
      message: `ResiliencePolicy ${policy.name}: ${item.message}`,
    }));
}

export function ownedByController(object: KubernetesObject): Finding | undefined {
  if (labelsOf(object)[INJECT_LABEL] === "enabled") return undefined;
  const owner = object.metadata?.ownerReferences?.find((reference) => reference.controller === true);
  if (owner === undefined) return undefined;
  return finding("FL601", "metadata.ownerReferences", {
    message: `TargetOwned: owned by ${owner.kind} ${owner.name}, which would undo the change; nothing is injected`,
    fix: `label it ${INJECT_LABEL}: enabled to inject all the same`,
  });
}

interface SettleInput {
  readonly target: TargetContext;
  readonly wanted: Wanted;
  /** The family keys as people wrote them. */
  readonly people: StringMap;
}

/** Merges group by group, then derives record, label and the changes against the object as it arrived. */
function settle({ target, wanted, people }: SettleInput): Injection {
  const final: Record<string, string> = { ...people };
  const findings: Finding[] = [...wanted.findings];
  const lost: Finding[] = [];
  const replaced: Record<string, string> = {};
  for (const group of wanted.groups) {
    const merged = mergeGroup({ group, target, people: groupKeys(people, group.name) });
    for (const key of Object.keys(people)) if (groupOfKey(key) === group.name) delete final[key];
    Object.assign(final, merged.annotations);
    Object.assign(replaced, merged.replaced);
    findings.push(...merged.findings);
    lost.push(...merged.lost);
  }
  const keys: Record<string, string> = {};
  for (const key in final) if (people[key] !== final[key]) keys[key] = final[key] as string;
  const record = recordOf(wanted, keys, replaced);
  return { ...changesTo(target.object, final, record), findings, lost };
}

/** The changes that leave exactly these family keys and this record on an object. */
function changesTo(
  object: KubernetesObject,
  keys: StringMap,
  record: InjectionRecord | undefined,
): Pick<Injection, "annotations" | "labels"> {
  const annotations: Record<string, string | undefined> = {
    ...keys,
    [RECORD_ANNOTATION]: record && writeRecord(record),
  };
  for (const key in annotationsOf(object)) {
    if (isFamilyKey(key) && !Object.hasOwn(keys, key)) annotations[key] = undefined;
  }
  return { annotations, labels: { [REVISION_LABEL]: record?.revision } };
}

function groupKeys(keys: StringMap, group: string): StringMap {
  return Object.fromEntries(Object.entries(keys).filter(([key]) => groupOfKey(key) === group));
}

/** The record names the policies that put something on the object; nothing put, no record. */
function recordOf(wanted: Wanted, keys: StringMap, replaced: StringMap): InjectionRecord | undefined {
  const touched = new Set([...Object.keys(keys), ...Object.keys(replaced)].map(groupOfKey));
  if (touched.size === 0) return undefined;
  const policies = new Map(
    wanted.groups.filter((group) => touched.has(group.name)).map((group) => [group.policy.name, group.policy]),
  );
  const names = [...policies.keys()].sort();
  const revisions = names.map((name) => policies.get(name)?.revision ?? "");
  return {
    policy: names.join(","),
    revision: revisions.length === 1 ? (revisions[0] ?? "") : revisionOf(revisions),
    keys,
    replaced,
  };
}

function tooLarge(): Finding {
  return finding("FL506", annotationPath(RECORD_ANNOTATION), {
    message: "With the injected settings the annotations would pass 256 KiB; the object is left as it is",
    fix: "remove or shorten annotations",
  });
}
