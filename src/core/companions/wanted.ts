import { API_VERSION } from "../../api/envelope.ts";
import { RESILIENCE_POLICY_KIND } from "../../api/v1alpha1/resilience-policy.ts";
import { isLeftAlone } from "../admission/left-alone.ts";
import { compareStrings, type Finding, sortFindings } from "../finding.ts";
import type { Section } from "../intent/intent.ts";
import type { CompiledPolicy } from "../intent/policy.ts";
import type { Precedence } from "../intent/precedence.ts";
import { revisionOf } from "../intent/revision.ts";
import { annotationsOf, type KubernetesObject, type OwnerReference } from "../kubernetes.ts";
import { meshOf, meshOfPolicy } from "../mesh/all.ts";
import type { Companion } from "../mesh/companion.ts";
import type { MeshCompiler } from "../mesh/mesh.ts";
import { actedOn } from "../mesh/pods.ts";
import { sectionOf } from "../mesh/refused.ts";
import { GENERATED_ANNOTATION, MANAGED_BY, MANAGED_BY_LABEL, POLICY_UID_LABEL, SERVICE_KIND } from "../names.ts";
import { type AimedTarget, precedenceWith, targetsOf } from "../policy/targets.ts";
import { contextOf } from "../routes/attached.ts";
import type { World } from "../world.ts";
import { intentOf, notTogether, type OwnedFinding } from "./together.ts";

/** A companion with its labels and owners, ready to be written. */
export interface WantedCompanion extends Companion {
  /** Name of the Service. */
  readonly service: string;
  /** The policies that decide what it carries, by name. */
  readonly owners: readonly CompiledPolicy[];
}

export interface WantedCompanions {
  readonly wanted: readonly WantedCompanion[];
  readonly findings: readonly OwnedFinding[];
  /** The meshes of the policies that decide something there. */
  readonly meshes: readonly MeshCompiler[];
  /**
   * Sections that are asked for and cannot be written, or not all of them: because of what the Service is, what its mesh
   * can do, or another object.
   */
  readonly unwritten: ReadonlySet<Section>;
}

const NOTHING: WantedCompanions = Object.freeze({
  wanted: Object.freeze([]),
  findings: Object.freeze([]),
  meshes: Object.freeze([]),
  unwritten: new Set<Section>(),
});

/** What policies ask for beside one Service, all of them together: an object may carry sections of several policies. */
export function companionsOf(
  { key, object }: Pick<AimedTarget, "key" | "object">,
  { winners }: Precedence,
  world: World,
): WantedCompanions {
  if (object === undefined || isLeftAlone(object)) return NOTHING;
  const service = { ...contextOf(key, world), object };
  const ofNamespace = meshOf(service.namespace, world.defaults);
  const decided = Object.entries(winners) as readonly [Section, CompiledPolicy][];
  const meshes = [...new Set(decided.map(([, policy]) => meshOfPolicy(policy.spec, ofNamespace)))];
  const wanted: WantedCompanion[] = [];
  const findings: OwnedFinding[] = [];
  const unwritten = new Set<Section>();
  for (const mesh of meshes) {
    const asked = decided.filter(([, policy]) => meshOfPolicy(policy.spec, ofNamespace) === mesh);
    for (const [section] of asked) unwritten.add(section);
    const { eligible } = mesh.eligibility(service);
    const acted = actedOn(
      asked.map(([section]) => section),
      { object, eligible },
    );
    const own = asked.filter(([section]) => acted.includes(section));
    const intent = intentOf(own);
    findings.push(...notTogether({ service, mesh, decided: own }));
    for (const finding of [...mesh.unfit({ service, intent }), ...mesh.fallsShort({ service, intent })]) {
      findings.push({ finding, owners: ownersOf([sectionOf(finding)], winners) });
    }
    const refused: WantedCompanion[] = [];
    const made = mesh.companions({ service, intent }).map((companion): WantedCompanion => {
      const owners = ownersOf(companion.sections, winners);
      const rivals = mesh.rivals(companion, service);
      findings.push(...rivals.map((finding) => ({ finding, owners })));
      const it = { ...companion, object: owned(companion, owners), service: key.name, owners };
      if (rivals.some(({ severity }) => severity === "deny")) refused.push(it);
      return it;
    });
    const written = withoutImpossible(made, refused);
    for (const section of made.flatMap(({ sections }) => sections)) unwritten.delete(section);
    for (const section of sectionsLeftOut(made, written)) unwritten.add(section);
    wanted.push(...written);
  }
  return { wanted, findings, meshes, unwritten };
}

/** Those that can be written where some cannot: without these, and without what is nothing without them. */
export function withoutImpossible<T extends Companion>(all: readonly T[], impossible: readonly T[]): readonly T[] {
  const isTorn = impossible.some(({ tie }) => tie === "mutual");
  return all.filter((it) => !impossible.includes(it) && !(isTorn && it.tie !== undefined));
}

/** Sections of which not all is among those that can be written. */
export function sectionsLeftOut<T extends Companion>(all: readonly T[], written: readonly T[]): readonly Section[] {
  return all.filter((it) => !written.includes(it)).flatMap(({ sections }) => sections);
}

/** What a policy is to hear of the companions that it has a part in; of selected Services at most `targetsMax`. */
export function companionFindings(policy: CompiledPolicy, world: World, targetsMax?: number): readonly Finding[] {
  const precedenceOf = precedenceWith(policy, world);
  const services = targetsOf(policy, world, targetsMax).filter(({ kind }) => kind === SERVICE_KIND);
  const all = services.flatMap((target) => companionsOf(target, precedenceOf(target), world).findings);
  return sortFindings(all.filter(({ owners }) => owners.includes(policy)).map(({ finding }) => finding));
}

function ownersOf(
  sections: readonly (Section | undefined)[],
  winners: Precedence["winners"],
): readonly CompiledPolicy[] {
  const owners = new Set(sections.flatMap((section) => (section && winners[section]) ?? []));
  return [...owners].sort((a, b) => compareStrings(a.name, b.name));
}

/**
 * Owners without `controller`, of which an object has one only: the garbage collector takes it after the last of them.
 * The label names the first, so that the object is known as Fairlead's.
 */
function owned({ object }: Companion, owners: readonly CompiledPolicy[]): KubernetesObject {
  const metadata = {
    ...object.metadata,
    labels: { [MANAGED_BY_LABEL]: MANAGED_BY, [POLICY_UID_LABEL]: owners[0]?.uid ?? "" },
    ownerReferences: owners.map(ownerReference),
  };
  const hash = revisionOf({ ...object, metadata });
  return {
    ...object,
    metadata: { ...metadata, annotations: { ...annotationsOf(object), [GENERATED_ANNOTATION]: hash } },
  };
}

function ownerReference({ name, uid }: CompiledPolicy): OwnerReference {
  return { apiVersion: API_VERSION, kind: RESILIENCE_POLICY_KIND, name, uid };
}
