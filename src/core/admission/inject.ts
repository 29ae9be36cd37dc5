import { annotationPath, type Finding, finding } from "../finding.ts";
import type { Section } from "../intent/intent.ts";
import type { CompiledPolicy } from "../intent/policy.ts";
import { resolvePrecedence } from "../intent/precedence.ts";
import { revisionOf } from "../intent/revision.ts";
import { leavesService } from "../intent/routes.ts";
import { annotationsOf, type KubernetesObject, labelsOf, type StringMap } from "../kubernetes.ts";
import { revisionFor } from "../policy/revision-for.ts";
import { groupOfKey, isFamilyKey, meshOfPolicy, noMeshShown } from "../mesh/all.ts";
import { meshChosenBy } from "../mesh/choice.ts";
import type { MeshCompiler, TargetContext } from "../mesh/mesh.ts";
import { isAccess, obstaclesTo } from "../mesh/pods.ts";
import type { MeshVersion } from "../mesh/version.ts";
import { INJECT_LABEL, RECORD_ANNOTATION, REVISION_LABEL } from "../names.ts";
import { list } from "../text.ts";
import { candidates } from "./candidates.ts";
import { compileSection, type WantedGroup } from "./compiled.ts";
import { ownedByController } from "./left-alone.ts";
import { mergeGroup } from "./merge.ts";
import { peoplesKeys, takenAway } from "./ownership.ts";
import { type Changes, exceedsAnnotationLimit, metadataPatch } from "./patch.ts";
import { isPure, purePatch, type PureState, pureStateOf } from "./pure-state.ts";
import { type InjectionRecord, readRecord, writeRecord } from "./record.ts";
import type { PatchOperation } from "./review.ts";

/** What has to change on a target so that it carries exactly what the policies of today ask for. */
export interface Injection {
  readonly annotations: Changes;
  readonly labels: Changes;
  readonly findings: readonly Finding[];
  /** Those of the findings that cannot be found again once the change is made: values that are gone for good. */
  readonly lost: readonly Finding[];
  /** Where the changes are those to a pure state. */
  readonly pure?: PureState;
}

interface Wanted {
  readonly groups: readonly WantedGroup[];
  /** The groups as the policies compile, also where the target gets none of them: for telling what is ours. */
  readonly compiled: readonly WantedGroup[];
  readonly findings: readonly Finding[];
}

const NOTHING_WANTED: Wanted = Object.freeze({
  groups: Object.freeze([]),
  compiled: Object.freeze([]),
  findings: Object.freeze([]),
});
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
  const injection = pureInjection(wanted, annotations, oldText) ?? mixedInjection(target, wanted, oldText);
  if (!exceedsAnnotationLimit(target.object, injection.annotations)) return injection;
  return { ...NO_CHANGE, findings: [...wanted.findings, tooLarge()] };
}

/** The short way to what mixedInjection finds where no value is a person's; undefined where one may be. */
export function pureInjection(
  wanted: Wanted,
  annotations: StringMap,
  oldText: string | undefined,
): Injection | undefined {
  if (wanted.groups.length !== wanted.compiled.length) return undefined;
  const state = pureStateOf(wanted.groups, () => pureState(wanted));
  if (state === undefined || !isPure(annotations, oldText, state)) return undefined;
  const { annotations: desired, labels } = state;
  return { annotations: desired, labels, findings: wanted.findings, lost: NO_CHANGE.lost, pure: state };
}

function pureState(wanted: Wanted): PureState | undefined {
  const desired = annotationsIn(wanted.groups);
  const record = recordOf(wanted, desired, {});
  if (record === undefined) return undefined;
  const recordText = writeRecord(record);
  const annotations = { ...desired, [RECORD_ANNOTATION]: recordText };
  return { annotations, labels: { [REVISION_LABEL]: record.revision }, recordText };
}

/** Tells apart what is ours and what people wrote, and brings both together. */
export function mixedInjection(target: TargetContext, wanted: Wanted, oldText: string | undefined): Injection {
  const annotations = annotationsOf(target.object);
  const replacedGroups = new Set(wanted.compiled.filter(replaces).map((group) => group.name));
  const oldRecord = readRecord(oldText, target.version);
  const people = peoplesKeys({
    annotations,
    ownRecord: readRecord(annotations[RECORD_ANNOTATION], target.version),
    oldRecord,
    desired: annotationsIn(wanted.compiled),
    isReplaced: (key) => replacedGroups.has(groupOfKey(key) ?? ""),
  });
  return settle({ target, wanted, people, remembered: takenAway(oldRecord) });
}

function annotationsIn(groups: readonly WantedGroup[]): StringMap {
  const annotations: Record<string, string> = {};
  for (const group of groups) Object.assign(annotations, group.annotations);
  return annotations;
}

/** The operations that make the changes of an injection. */
export function injectionPatch(object: KubernetesObject, injection: Injection): readonly PatchOperation[] {
  const { pure, annotations, labels } = injection;
  return pure === undefined ? metadataPatch(object, annotations, labels) : purePatch(object, pure);
}

/** The patch that takes everything of ours off an object and puts back what it had replaced. */
export function release(object: KubernetesObject, version: MeshVersion): readonly PatchOperation[] {
  const { annotations, labels } = releaseChanges(object, version);
  return metadataPatch(object, annotations, labels);
}

/** The changes that {@link release} makes. */
export function releaseChanges(
  object: KubernetesObject,
  version: MeshVersion,
): Pick<Injection, "annotations" | "labels"> {
  const record = readRecord(annotationsOf(object)[RECORD_ANNOTATION], version);
  const people = peoplesKeys({
    annotations: annotationsOf(object),
    ownRecord: undefined,
    oldRecord: record,
    desired: {},
    isReplaced: () => false,
  });
  return changesTo(object, people, undefined);
}

function hasRevisionLabel(object: KubernetesObject): boolean {
  return labelsOf(object)[REVISION_LABEL] !== undefined;
}

function replaces(group: WantedGroup): boolean {
  return group.policy.spec.conflictResolution === "Override" && !group.neverReplaces;
}

/** The groups that policies ask for on this target; none where it opted out, is owned, or the mesh would not act. */
export function wantedGroups(target: TargetContext, namespaceMesh: MeshCompiler): Wanted {
  const { key, object, world } = target;
  const policies = world.policiesIn(key.namespace);
  if (policies.length === 0) return NOTHING_WANTED;
  const { winners } = resolvePrecedence(candidates(policies, key.name, object), key, object);
  const winning = Object.entries(winners) as readonly [Section, CompiledPolicy][];
  const sections = winning.map(([section, policy]) => [section, revisionFor(policy, key)] as const);
  if (sections.length === 0) return NOTHING_WANTED;
  const groups: WantedGroup[] = [];
  const compiled: WantedGroup[] = [];
  const findings = [...withoutMesh(target, sections)];
  for (const mesh of new Set(sections.map(([, policy]) => meshOfPolicy(policy.spec, namespaceMesh)))) {
    const eligibility = mesh.eligibility(target);
    const own = sections.filter(([, policy]) => meshOfPolicy(policy.spec, namespaceMesh) === mesh);
    const names = own.map(([section]) => section);
    findings.push(...obstaclesTo(names, object, eligibility).map(tolerated));
    for (const [section, policy] of own) {
      const isMoved = section === "retry" && leavesService(policy.intent.retry, winners.routes?.intent.routes);
      const { kind, version } = target;
      const ofSection = compileSection({ policy, section, mesh, kind, version, isMoved });
      findings.push(...ofSection.findings);
      compiled.push(...ofSection.groups);
      if (eligibility.eligible) groups.push(...ofSection.groups);
    }
  }
  if (labelsOf(object)[INJECT_LABEL] === "disabled") {
    return { groups: [], compiled, findings: lettingIn(sections, `metadata.labels["${INJECT_LABEL}"]`) };
  }
  const owned = ownedByController(object);
  if (owned === undefined) return { groups, compiled, findings };
  return { groups: [], compiled, findings: [owned, ...lettingIn(sections, owned.path)] };
}

/** What is left alone has nothing beside it either. Whoever opts out because of a timeout may not think of that. */
function lettingIn(sections: readonly (readonly [Section, CompiledPolicy])[], path: string): readonly Finding[] {
  const lost = sections.map(([section]) => section).filter(isAccess);
  if (lost.length === 0) return [];
  return [
    finding("FL604", path, {
      message: `It is left without ${list(lost)}: whom policies kept out by that gets in`,
      fix: `label it ${INJECT_LABEL}: enabled, or keep them out otherwise`,
    }),
  ];
}

function withoutMesh(
  { namespace, world }: TargetContext,
  sections: readonly (readonly [Section, CompiledPolicy])[],
): readonly Finding[] {
  const none = noMeshShown(namespace, world.defaults);
  return none !== undefined && sections.some(([, { spec }]) => meshChosenBy(spec) === undefined) ? [none] : [];
}

/** What keeps a mesh from acting refuses a policy and never the write of a target, which may have been there before. */
function tolerated(obstacle: Finding): Finding {
  return obstacle.severity === "deny" ? { ...obstacle, severity: "warn" } : obstacle;
}

interface SettleInput {
  readonly target: TargetContext;
  readonly wanted: Wanted;
  /** The family keys as people wrote them. */
  readonly people: StringMap;
  readonly remembered: StringMap;
}

/** Merges group by group, then derives record, label and the changes against the object as it arrived. */
function settle({ target, wanted, people, remembered }: SettleInput): Injection {
  const final: Record<string, string> = { ...people };
  const findings: Finding[] = [...wanted.findings];
  const lost: Finding[] = [];
  const replaced: Record<string, string> = {};
  for (const group of wanted.groups) {
    const merged = mergeGroup({
      group,
      target,
      people: groupKeys(people, group.name),
      remembered,
      settled: final,
    });
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
