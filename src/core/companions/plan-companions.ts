import type { ApplyAction, DeleteAction, ObjectRef } from "../action.ts";
import { candidates } from "../admission/candidates.ts";
import { modeOf } from "../admission/mode.ts";
import { planTarget } from "../admission/plan.ts";
import { type Finding, finding, sortFindings } from "../finding.ts";
import type { Section } from "../intent/intent.ts";
import type { CompiledPolicy } from "../intent/policy.ts";
import { resolvePrecedence } from "../intent/precedence.ts";
import { groupOf, type KubernetesObject, recordsIn } from "../kubernetes.ts";
import { companionKindOf, type CompanionKind, SERVICE_KIND, serviceOfCompanion } from "../names.ts";
import { hasAllOf, isChangedByOthers } from "../policy/in-line.ts";
import { isPlanned, NOTHING_OWNED, type OwnedPlan } from "../policy/owned.ts";
import { targetsOf } from "../policy/targets.ts";
import { isGenerated } from "../routes/people.ts";
import type { Steps } from "../steps.ts";
import type { World } from "../world.ts";
import {
  companionsOf,
  sectionsLeftOut,
  type WantedCompanion,
  type WantedCompanions,
  withoutImpossible,
} from "./wanted.ts";

export interface CompanionsInput {
  /** As stored. */
  readonly policy: KubernetesObject;
  /** Undefined where it cannot be compiled, or is being deleted. */
  readonly compiled: CompiledPolicy | undefined;
  /** The objects of the kinds of companions in the namespace, whoever made them. */
  readonly live: readonly KubernetesObject[];
  readonly serves: (kind: CompanionKind) => boolean;
  readonly world: World;
}

/** Some ten milliseconds. */
const SERVICES_A_STEP = 50;

/**
 * What brings the companions in line that a policy has, or had, a part in; nothing where they are. The other policies
 * with a part in them plan the same, so it does not matter whose turn comes first. What changes between two steps is
 * met as what changes between the plan and its writes: by the resourceVersion of each, and by the next plan.
 */
export function* planCompanions(input: CompanionsInput): Steps<OwnedPlan> {
  const { policy, compiled, live, world } = input;
  const { namespace = "default", uid = "" } = policy.metadata ?? {};
  if (!isPlanned(policy, compiled, world)) return NOTHING_OWNED;
  const { mode } = modeOf(namespace, world);
  const byService = Map.groupBy(live, ({ metadata }) => serviceOfCompanion(metadata?.name ?? ""));
  const plans: OwnedPlan[] = [];
  for (const service of [...servicesOf(input, uid)].sort()) {
    const wanted = mode === undefined ? NOTHING_WANTED : wantedBeside(service, namespace, world);
    plans.push(planService({ ...input, uid, live: byService.get(service) ?? [] }, service, wanted));
    if (plans.length % SERVICES_A_STEP === 0) yield;
  }
  return {
    actions: plans.flatMap(({ actions }) => actions),
    findings: sortFindings(plans.flatMap(({ findings }) => findings)),
  };
}

const NOTHING_WANTED: WantedCompanions = { wanted: [], findings: [], meshes: [], unwritten: new Set() };

/** Those that the policy is aimed at, and those of the objects that it owns. */
function servicesOf({ compiled, live, world }: CompanionsInput, uid: string): Set<string> {
  const aimed = compiled === undefined ? [] : targetsOf(compiled, world).filter(({ kind }) => kind === SERVICE_KIND);
  const owned = live.filter(
    (object) => isGenerated(object) && recordsIn(object.metadata?.ownerReferences).some((it) => it.uid === uid),
  );
  return new Set([
    ...aimed.map(({ key }) => key.name),
    ...owned.map(({ metadata }) => serviceOfCompanion(metadata?.name ?? "")),
  ]);
}

function wantedBeside(name: string, namespace: string, world: World): WantedCompanions {
  const key = { ...SERVICE_KIND, namespace, name };
  const object = world.target(key);
  const policies = candidates(world.policiesIn(namespace), name, object ?? {});
  return companionsOf({ key, object }, resolvePrecedence(policies, key, object ?? {}), world);
}

/** `live`: those with the name that the companions of the Service have. */
function planService(
  { compiled, live, serves, world, policy, uid }: CompanionsInput & { readonly uid: string },
  service: string,
  { wanted, findings, meshes, unwritten }: WantedCompanions,
): OwnedPlan {
  const ours = live.filter(isGenerated);
  const own = (owners: readonly CompiledPolicy[]): boolean => owners.some((owner) => owner.uid === uid);
  const namesakes = namesakesOf(wanted, live);
  const unserved = wanted.filter(({ kind }) => !serves(kind));
  const written = withoutImpossible(wanted, [...namesakes, ...unserved]);
  const applies = [...written].sort((a, b) => a.kind.rank - b.kind.rank).flatMap((it) => applyAction(it, ours));
  const missing = new Set([...unwritten, ...sectionsLeftOut(wanted, written)]);
  const unwanted = ours.filter(
    (object) => !isKept(kindOf(object), missing) && !wanted.some((it) => isSame(object, it.object)),
  );
  // Where the Service changes its mesh, what carries its settings there has to be in force first. Nearly none does.
  const key = { ...SERVICE_KIND, namespace: policy.metadata?.namespace ?? "default", name: service };
  const target = world.target(key);
  const ofAnother = compiled === undefined ? [] : unwanted.filter((object) => isOfAnother(object, meshes));
  const waits = ofAnother.length > 0 && target !== undefined && planTarget(target, key, world) !== undefined;
  const left = unwanted.filter((object) => !waits || !ofAnother.includes(object));
  return {
    actions: [...applies, ...left.sort(byRankDown).flatMap(deleteAction)],
    findings: [
      ...findings.filter(({ owners }) => own(owners)).map((it) => it.finding),
      ...namesakes.filter(({ owners }) => own(owners)).map(nameTaken),
      ...unserved.filter(({ owners }) => own(owners)).map(notServed),
    ],
  };
}

/** Those whose name an object of people in their namespace has. */
export function namesakesOf(
  wanted: readonly WantedCompanion[],
  live: readonly KubernetesObject[],
): readonly WantedCompanion[] {
  return wanted.filter((it) => live.some((object) => isSame(object, it.object) && !isGenerated(object)));
}

/**
 * A Service for which a section cannot be written, say because a port got a name or another object is in the way, must not
 * stand open for it. `missing`: sections that are asked for and not all there.
 */
export function isKept(kind: CompanionKind | undefined, missing: ReadonlySet<Section>): boolean {
  return kind?.guards?.some((section) => missing.has(section)) ?? false;
}

/** Whether it is of a mesh that the Service has left for these; false where it has none now. */
function isOfAnother(object: KubernetesObject, meshes: WantedCompanions["meshes"]): boolean {
  return meshes.length > 0 && !meshes.some(({ name }) => name === kindOf(object)?.mesh);
}

function isSame(a: KubernetesObject, b: KubernetesObject): boolean {
  const ofGroup = groupOf(a.apiVersion ?? "") === groupOf(b.apiVersion ?? "");
  return ofGroup && a.kind === b.kind && a.metadata?.name === b.metadata?.name;
}

function applyAction(
  { object, kind, service }: WantedCompanion,
  ours: readonly KubernetesObject[],
): readonly ApplyAction[] {
  const live = ours.find((it) => isSame(it, object));
  // One that goes must be gone before it can come again.
  if (live?.metadata?.deletionTimestamp || (live !== undefined && isInLine(live, object))) return [];
  const { resourceVersion } = live?.metadata ?? {};
  // Owners come and go with the policies, and that is all that changes then.
  const repairs = live !== undefined && !hasAllOf(live, object) && isChangedByOthers(live, object);
  return [{ kind: "apply", ref: refOf(kind, object), service, object, resourceVersion, ...(repairs && { repairs }) }];
}

/** An owner that is gone would take the object with it. */
function isInLine(live: KubernetesObject, wanted: KubernetesObject): boolean {
  const uidsOf = ({ metadata }: KubernetesObject) => recordsIn(metadata?.ownerReferences).map(({ uid }) => uid);
  const found = uidsOf(live);
  return hasAllOf(live, wanted) && uidsOf(wanted).every((uid) => found.includes(uid));
}

function deleteAction(live: KubernetesObject): readonly DeleteAction[] {
  const { uid = "", resourceVersion = "", deletionTimestamp } = live.metadata ?? {};
  const kind = kindOf(live);
  if (kind === undefined || deletionTimestamp) return [];
  return [{ kind: "delete", ref: refOf(kind, live), uid, resourceVersion }];
}

function byRankDown(a: KubernetesObject, b: KubernetesObject): number {
  return (kindOf(b)?.rank ?? 0) - (kindOf(a)?.rank ?? 0);
}

function kindOf({ apiVersion = "", kind = "" }: KubernetesObject): CompanionKind | undefined {
  return companionKindOf(groupOf(apiVersion), kind);
}

function refOf({ group, resource }: CompanionKind, { metadata }: KubernetesObject): ObjectRef {
  return { group, resource, namespace: metadata?.namespace ?? "default", name: metadata?.name ?? "" };
}

export function nameTaken({ object, sections, service }: WantedCompanion): Finding {
  return finding("FL318", `spec.${sections[0]}`, {
    message: `${object.kind} ${object.metadata?.name} exists and is not Fairlead's, so Service ${service} gets none`,
    fix: "delete or rename it",
  });
}

function notServed({ kind, sections }: WantedCompanion): Finding {
  return finding("FL319", `spec.${sections[0]}`, {
    message: `The API server serves no ${kind.kind} of ${kind.group}, so the section has no effect`,
    fix: `install the CRDs of ${kind.group}`,
  });
}
