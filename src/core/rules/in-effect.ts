import { compareStrings } from "../finding.ts";
import { compileSection } from "../admission/compiled.ts";
import { candidates } from "../admission/candidates.ts";
import { inject } from "../admission/inject.ts";
import { ownedByController } from "../admission/left-alone.ts";
import { modeOf } from "../admission/mode.ts";
import { withMetadata } from "../admission/patch.ts";
import { readRecord } from "../admission/record.ts";
import { type Intent, SECTIONS, type Section } from "../intent/intent.ts";
import type { CompiledPolicy } from "../intent/policy.ts";
import { type Precedence, resolvePrecedence } from "../intent/precedence.ts";
import { annotationsOf, type KubernetesObject, labelsOf } from "../kubernetes.ts";
import { groupOfKey, meshOf, meshOfPolicy } from "../mesh/all.ts";
import type { MeshCompiler, TargetContext } from "../mesh/mesh.ts";
import type { MeshVersion } from "../mesh/version.ts";
import { INJECT_LABEL, RECORD_ANNOTATION, SERVICE_KIND } from "../names.ts";
import { revisionFor } from "../policy/revision-for.ts";
import { type Json, SHOWN } from "./shown-settings.ts";

/** What rules see as `effective`, `policies` and `mesh` (their types are in effective.ts). */
export interface Effect {
  readonly effective: Json;
  readonly policies: readonly Json[];
  readonly mesh: Json;
}

/** Of an object that no policy can be aimed at. */
export function noEffect(mesh: Json): Effect {
  return { effective: {}, policies: [], mesh };
}

/** The settings in force on a target as it will be stored, with who asked for each. */
export function effectOn(target: TargetContext, oldObject: KubernetesObject | undefined): Effect {
  const precedence = precedenceOn(target);
  const ofNamespace = meshOf(target.namespace, target.world.defaults);
  const [first] = Object.values(precedence.winners);
  const mesh = first === undefined ? ofNamespace : meshOfPolicy(first.spec, ofNamespace);
  const wanted = wantedOn(target, precedence, mesh);
  const stored = asStored(target, ofNamespace, oldObject);
  const { settings, inherited } = mesh.inForce(stored, wanted);
  const sourceOf = (section: Section): Source => {
    const winner = precedence.winners[section];
    if (winner !== undefined && settings[section] === wanted[section]) return sourceIn(winner);
    const carrier = inherited[section];
    return sourceOn(carrier === undefined ? stored : serviceContext(target, carrier), section, mesh);
  };
  return {
    effective: shownSettings(settings, sourceOf),
    policies: shownPolicies(precedence),
    mesh: meshShown(mesh, target.version, mesh.eligibility(stored).eligible),
  };
}

export function meshShown({ name }: MeshCompiler, { linkerd, istio }: MeshVersion, applies: boolean): Json {
  const { text } = { Linkerd: linkerd, Istio: istio }[name];
  return { name, version: text, applies };
}

function precedenceOn({ key, object, world }: TargetContext): Precedence {
  return resolvePrecedence(candidates(world.policiesIn(key.namespace), key.name, object), key, object);
}

/** In audit mode nothing is injected, and rules tell what would have happened (docs/policy.md). */
function asStored(target: TargetContext, mesh: MeshCompiler, oldObject: KubernetesObject | undefined): TargetContext {
  if (modeOf(target.key.namespace, target.world).mode !== "audit") return target;
  const { annotations, labels } = inject(target, mesh, oldObject);
  return { ...target, object: withMetadata(target.object, annotations, labels) };
}

/** What the policies of one mesh ask for; nothing where the target opted out or belongs to a controller. */
function wantedOn(
  { key, object, namespace, world }: TargetContext,
  { winners }: Precedence,
  mesh: MeshCompiler,
): Intent {
  if (labelsOf(object)[INJECT_LABEL] === "disabled" || ownedByController(object) !== undefined) return {};
  const ofNamespace = meshOf(namespace, world.defaults);
  const sections = (Object.entries(winners) as readonly [Section, CompiledPolicy][])
    .filter(([, policy]) => meshOfPolicy(policy.spec, ofNamespace) === mesh)
    .map(([section, policy]) => [section, revisionFor(policy, key).intent[section]]);
  return Object.fromEntries(sections);
}

function serviceContext(target: TargetContext, service: KubernetesObject): TargetContext {
  const { namespace = target.key.namespace, name = "" } = service.metadata ?? {};
  const { world } = target;
  const key = { ...SERVICE_KIND, namespace, name };
  return { ...target, key, kind: SERVICE_KIND, object: service, namespace: world.namespace(namespace) };
}

interface Source {
  readonly policy: string;
  readonly revision: string;
}

const BY_HAND: Source = Object.freeze({ policy: "", revision: "" });

function sourceIn({ name, revision }: CompiledPolicy): Source {
  return { policy: name, revision };
}

/** The policy that decides the section, if all that the object carries of it is what the policy wrote; else a person. */
function sourceOn(carrier: TargetContext, section: Section, mesh: MeshCompiler): Source {
  const { object, key, kind, version } = carrier;
  const winner = precedenceOn(carrier).winners[section];
  if (winner === undefined) return BY_HAND;
  const policy = revisionFor(winner, key);
  const annotations = annotationsOf(object);
  const { keys = {} } = readRecord(annotations[RECORD_ANNOTATION], version) ?? {};
  const { groups } = compileSection({ policy, section, mesh, kind, version, isMoved: false });
  const isOurs = groups.every((group) =>
    Object.keys(annotations)
      .filter((name) => groupOfKey(name) === group.name)
      .every((name) => annotations[name] === group.annotations[name] && keys[name] === annotations[name]),
  );
  return isOurs ? sourceIn(policy) : BY_HAND;
}

function shownSettings(settings: Intent, sourceOf: (section: Section) => Source): Json {
  const shown: Record<string, unknown> = {};
  for (const section of SECTIONS) {
    const setting = SHOWN[section](settings);
    if (setting === undefined) continue;
    const source = sourceOf(section);
    shown[section] = isList(setting) ? setting.map((item) => ({ ...item, ...source })) : { ...setting, ...source };
  }
  return shown;
}

function isList(setting: Json | readonly Json[]): setting is readonly Json[] {
  return Array.isArray(setting);
}

/** By name. */
function shownPolicies({ winners, losers }: Precedence): readonly Json[] {
  const won = Object.entries(winners) as readonly [Section, CompiledPolicy][];
  const aimed = new Set([...won.map(([, policy]) => policy), ...losers.map(({ policy }) => policy)]);
  return [...aimed]
    .sort((a, b) => compareStrings(a.name, b.name))
    .map((policy) => ({
      name: policy.name,
      revision: policy.revision,
      spec: policy.spec,
      sections: won.filter(([, winner]) => winner === policy).map(([section]) => section),
    }));
}
