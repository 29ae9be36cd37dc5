import { inject } from "../admission/inject.ts";
import { ownedByController } from "../admission/left-alone.ts";
import { modeOf } from "../admission/mode.ts";
import { planTarget } from "../admission/plan.ts";
import { compareStrings, type Finding } from "../finding.ts";
import type { Section } from "../intent/intent.ts";
import type { CompiledPolicy } from "../intent/policy.ts";
import type { Precedence } from "../intent/precedence.ts";
import { type KubernetesObject, labelsOf } from "../kubernetes.ts";
import { meshOf, meshOfPolicy } from "../mesh/all.ts";
import { meshVersionIn } from "../mesh/discovery.ts";
import type { TargetContext } from "../mesh/mesh.ts";
import { obstaclesTo, sectionsIn } from "../mesh/pods.ts";
import { INJECT_LABEL, SERVICE_KIND } from "../names.ts";
import type { TargetKey, World } from "../world.ts";
import { isCurrentIn, recordedOn } from "./recorded.ts";
import { type AimedTarget, precedenceWith, targetsOf, targetText } from "./targets.ts";

/**
 * `missing`: does not exist, or is being deleted. `updating`: a write is due. The others are in step: `current` has what
 * the policy gives it; `elsewhere` takes every section from other policies; `disabled` is opted out by its label;
 * `ineligible` cannot get it, for a reason that nobody asked for.
 */
export type TargetState = "missing" | "updating" | "current" | "elsewhere" | "disabled" | "ineligible";

export interface TargetFact {
  readonly key: TargetKey;
  readonly state: TargetState;
  /** Of an ineligible one: why, and what to do. */
  readonly obstacle?: string;
  /** By the record, where it names this policy; that of an earlier state while the target is updating. */
  readonly revision?: string;
  /** There is no record, because the settings stand in companions: how far these are is told apart. */
  readonly beside?: true;
  /** Sections that another policy decides here. */
  readonly lost: readonly { readonly section: Section; readonly winner: string }[];
}

export interface FactsInput {
  readonly policy: CompiledPolicy;
  readonly world: World;
  /** Targets for which planTarget plans something, by their text, where the caller knows them already. */
  readonly outOfStep?: ReadonlySet<string>;
}

type Judge = (target: AimedTarget) => TargetFact;

/** Every target once, by name. */
export function targetFacts(input: FactsInput): readonly TargetFact[] {
  const judge = judgeOf(input);
  const facts = new Map<string, TargetFact>();
  for (const target of targetsOf(input.policy, input.world)) {
    const text = targetText(target.key);
    if (!facts.has(text)) facts.set(text, judge(target));
  }
  return [...facts.values()].sort((a, b) => compareStrings(a.key.name, b.key.name) || compareKinds(a.key, b.key));
}

function compareKinds(a: TargetKey, b: TargetKey): number {
  return compareStrings(a.kind, b.kind) || compareStrings(a.group, b.group);
}

/** With all that is the same for every target made once: there may be thousands. */
function judgeOf(input: FactsInput): Judge {
  const { policy, world } = input;
  const precedenceOf = precedenceWith(policy, world);
  const isCurrent = isCurrentIn(policy.namespace, world);
  const { mode } = modeOf(policy.namespace, world);
  const injects = mode === "enforce" || mode === "warn";
  const isInForce = world
    .policiesIn(policy.namespace)
    .some(({ name, revision }) => name === policy.name && revision === policy.revision);
  return (target) => {
    const { key, object } = target;
    const precedence = precedenceOf(target);
    const lost = precedence.losers
      .filter((loser) => loser.policy === policy)
      .map(({ section, winner }) => ({ section, winner: winner.name }));
    if (object === undefined || object.metadata?.deletionTimestamp) return { key, state: "missing", lost };
    const recorded = recordedOn(object);
    const revision = recorded?.policies.includes(policy.name) ? { revision: recorded.revision } : {};
    const has = recorded !== undefined && "revision" in revision && isCurrent(recorded);
    if (!injects) return { key, state: has ? "current" : "updating", lost, ...revision };
    if (!isInForce || isOutOfStep(input, key, object)) return { key, state: "updating", lost, ...revision };
    return { key, lost, ...revision, ...stateInStep({ input, target: { ...target, object }, precedence, has }) };
  };
}

function isOutOfStep({ world, outOfStep }: FactsInput, key: TargetKey, object: KubernetesObject): boolean {
  return outOfStep === undefined ? planTarget(object, key, world) !== undefined : outOfStep.has(targetText(key));
}

interface InStep {
  readonly input: FactsInput;
  readonly target: AimedTarget & { readonly object: KubernetesObject };
  readonly precedence: Precedence;
  /** The record names the policy in the revision of now. */
  readonly has: boolean;
}

function stateInStep({ input, target, precedence, has }: InStep): Pick<TargetFact, "state" | "obstacle" | "beside"> {
  const { policy, world } = input;
  const { key, kind, object } = target;
  if (!Object.values(precedence.winners).includes(policy)) return { state: "elsewhere" };
  if (labelsOf(object)[INJECT_LABEL] === "disabled") return { state: "disabled" };
  const namespace = world.namespace(policy.namespace);
  const context: TargetContext = { key, kind, object, namespace, version: meshVersionIn(namespace, world), world };
  const namespaceMesh = meshOf(namespace, world.defaults);
  const mesh = meshOfPolicy(policy.spec, namespaceMesh);
  const eligibility = mesh.eligibility(context);
  const obstacles = eligibility.eligible ? [] : obstaclesTo(sectionsIn(policy.intent), object, eligibility);
  const obstacle = ownedByController(object) ?? obstacles[0];
  if (obstacle !== undefined) return ineligible(obstacle);
  if (mesh.settingsStand === "beside it") return { state: "current", beside: true };
  if (has) return { state: "current" };
  // Nothing of ours is there: people wrote all of it already, the policy asks for absence, or there is no room.
  const noRoom = inject(context, namespaceMesh, object).findings.find((item) => item.code === "FL506");
  if (noRoom !== undefined) return ineligible(noRoom);
  // Some sections stand beside a target whatever the mesh, so that there may be no record of them on it.
  const isBeside = kind === SERVICE_KIND && mesh.companions({ service: context, intent: policy.intent }).length > 0;
  return { state: "current", ...(isBeside && { beside: true }) };
}

function ineligible({ message, fix }: Finding): Pick<TargetFact, "state" | "obstacle"> {
  return { state: "ineligible", obstacle: `${message}; ${fix}` };
}
