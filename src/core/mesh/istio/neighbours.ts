import { candidates } from "../../admission/candidates.ts";
import { isLeftAlone } from "../../admission/left-alone.ts";
import type { CompiledPolicy } from "../../intent/policy.ts";
import { resolvePrecedence } from "../../intent/precedence.ts";
import { groupOf, type KubernetesObject, type StringMap } from "../../kubernetes.ts";
import { labelIndex } from "../../label-index.ts";
import { SERVICE_KIND } from "../../names.ts";
import { selectorRelation, type SelectorRelation } from "../../selectors.ts";
import { meshChosenBy, meshNameOf } from "../choice.ts";
import type { TargetContext } from "../mesh.ts";
import { type AccessSection, actedOn, podLabels } from "../pods.ts";
import { istioEligibility } from "./eligibility.ts";
import { unfitForIstio, type Workload, workloadOf } from "./workload.ts";

/**
 * Another Service of the namespace that may lead to the same Pods, and for which a policy asks for the same section: the objects
 * of both have to know of each other.
 */
export interface Neighbour {
  /** Of the Service. */
  readonly name: string;
  /** How its Pods relate to those of the first one. */
  readonly relation: Exclude<SelectorRelation, "apart">;
  /** Undefined: the section cannot be written for it as it is now, so an object that it has stays as it was. */
  readonly workload: Workload | undefined;
  /** The one that decides. */
  readonly policy: CompiledPolicy;
}

export function neighboursOf(service: TargetContext, section: AccessSection): readonly Neighbour[] {
  const { key, world } = service;
  const labels = podLabels(service.object);
  const isAsked = world.policiesIn(key.namespace).some(({ intent }) => intent[section] !== undefined);
  if (labels === undefined || !isAsked) return [];
  return servicesNear(labels, service).flatMap((object): readonly Neighbour[] => {
    const { name = "" } = object.metadata ?? {};
    const theirs = podLabels(object);
    // Without a selector it has no Pods now; what it had may be for the same ones.
    const relation = theirs === undefined ? "may overlap" : selectorRelation({ matchLabels: theirs }, labels);
    if (name === key.name || relation === "apart" || isLeftAlone(object)) return [];
    const other = { ...service, key: { ...key, name }, object };
    const policy = deciderOf(other, section);
    return policy === undefined ? [] : [{ name, relation, policy, workload: writtenFor(other, policy, section) }];
  });
}

/** Made once for each list: after a change the world hands out another one. */
const indexes = new WeakMap<Iterable<KubernetesObject>, (labels: StringMap) => readonly KubernetesObject[]>();

/** The Services of the namespace that may have Pods with these labels, and others. */
function servicesNear(labels: StringMap, { key, world }: TargetContext): readonly KubernetesObject[] {
  const targets = world.targetsIn(key.namespace);
  let near = indexes.get(targets);
  if (near === undefined) {
    const services = [...targets].filter(
      ({ kind, apiVersion = "" }) => kind === SERVICE_KIND.kind && groupOf(apiVersion) === SERVICE_KIND.group,
    );
    indexes.set(targets, (near = labelIndex(services, (object) => podLabels(object) ?? {})));
  }
  return near(labels);
}

/** Those with an `allow`: each lets everything in on ports that are not for listed clients. */
export function allowedBeside(service: TargetContext): readonly Neighbour[] {
  return neighboursOf(service, "authorization").filter(
    ({ policy }) => policy.intent.authorization?.allow !== undefined,
  );
}

/** The policy that decides a section of a Service, where its mesh is Istio. */
export function deciderOf(
  { key, object, namespace, world }: TargetContext,
  section: AccessSection,
): CompiledPolicy | undefined {
  const policies = candidates(world.policiesIn(key.namespace), key.name, object);
  const policy = resolvePrecedence(policies, key, object).winners[section];
  if (policy === undefined) return undefined;
  return (meshChosenBy(policy.spec) ?? meshNameOf(namespace, world.defaults)) === "Istio" ? policy : undefined;
}

function writtenFor(service: TargetContext, { intent }: CompiledPolicy, section: AccessSection): Workload | undefined {
  const acted = actedOn([section], { object: service.object, eligible: istioEligibility(service).eligible });
  const refused = unfitForIstio({ service, intent: { [section]: intent[section] } }).some(
    ({ severity }) => severity === "deny",
  );
  return acted.length === 0 || refused ? undefined : workloadOf(service);
}
