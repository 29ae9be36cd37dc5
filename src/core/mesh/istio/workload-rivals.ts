import { isRecord } from "../../../api/problem.ts";
import { type Finding, finding } from "../../finding.ts";
import type { KubernetesObject } from "../../kubernetes.ts";
import {
  ENVOY_FILTER,
  ISTIO_AUTHORIZATION_POLICY,
  PEER_AUTHENTICATION,
  serviceOfCompanion,
  type CompanionKind,
} from "../../names.ts";
import { isGenerated } from "../../routes/people.ts";
import { selectorRelation, type SelectorRelation } from "../../selectors.ts";
import { list } from "../../text.ts";
import { isOlder } from "../age.ts";
import type { Companion } from "../companion.ts";
import type { TargetContext } from "../mesh.ts";
import { podSelectorOf, workloadsIn } from "../workload-index.ts";
import { isDryRun } from "./dry-run.ts";
import { ROOT_NAMESPACE } from "./hosts.ts";
import { limitsRates } from "./rate-limits.ts";
import { type Workload, workloadOf } from "./workload.ts";

/** Other objects for the same Pods, which people made or Fairlead made for another Service. */
export function workloadRivals(companion: Companion, service: TargetContext): readonly Finding[] {
  const workload = workloadOf(service);
  if (workload === undefined) return [];
  const namesake = workloadsIn(service.key.namespace, companion.kind, service.world).named(
    companion.object.metadata?.name ?? "",
  );
  const ours = namesake !== undefined && isGenerated(namesake) ? namesake : undefined;
  const others = objectsNear(workload, companion.kind, service).filter(
    (object) => !(isGenerated(object) && isBeside(object, service)),
  );
  const meeting = { companion, service, workload, ours };
  switch (companion.kind) {
    case PEER_AUTHENTICATION:
      return others.flatMap((other) => strictRivalry(other, meeting));
    case ISTIO_AUTHORIZATION_POLICY:
      return isAllow(companion.object) ? others.flatMap((other) => allowRivalry(other, meeting)) : [];
    case ENVOY_FILTER:
      return others.flatMap((other) => limitRivalry(other, meeting));
    default:
      return [];
  }
}

/** Whether people let in only whom they list on every port of all these Pods, so that an ALLOW of ours closes nothing. */
export function areClosedByPeople(service: TargetContext, workload: Workload): boolean {
  return objectsNear(workload, ISTIO_AUTHORIZATION_POLICY, service).some(
    (object) => !isGenerated(object) && isAllow(object) && relationOf(object, workload) === "covers",
  );
}

interface Meeting {
  readonly companion: Companion;
  readonly service: TargetContext;
  readonly workload: Workload;
  /** As it stands in the cluster; undefined: it is still to be written. */
  readonly ours: KubernetesObject | undefined;
}

/** Those of one kind that may choose these Pods: of their namespace, and of the root, which hold everywhere. */
function objectsNear(
  { labels }: Workload,
  kind: CompanionKind,
  { key, world }: TargetContext,
): readonly KubernetesObject[] {
  const namespaces = [...new Set([key.namespace, ROOT_NAMESPACE])];
  return namespaces.flatMap((namespace) => workloadsIn(namespace, kind, world).near(labels)).filter(isForPods);
}

function isBeside({ metadata }: KubernetesObject, { key }: TargetContext): boolean {
  return metadata?.namespace === key.namespace && serviceOfCompanion(metadata.name ?? "") === key.name;
}

function relationOf(object: KubernetesObject, { labels }: Workload): SelectorRelation {
  return selectorRelation(podSelectorOf(object), labels);
}

/** Without an action it is an ALLOW. One that is tried out only neither lets in nor shuts anything. */
function isAllow(object: KubernetesObject): boolean {
  const { action = "ALLOW" } = isRecord(object.spec) ? object.spec : {};
  return action === "ALLOW" && !isDryRun(object);
}

/** One for a waypoint or a gateway has nothing to do with Pods. */
function isForPods({ spec }: KubernetesObject): boolean {
  const { targetRef, targetRefs } = isRecord(spec) ? spec : {};
  return targetRef === undefined && targetRefs === undefined;
}

/** Of those with a selector Istio takes the older one, and none of the root namespace's. */
function strictRivalry(other: KubernetesObject, { companion, service, workload, ours }: Meeting): readonly Finding[] {
  const { selector } = isRecord(other.spec) ? other.spec : {};
  const { matchLabels } = isRecord(selector) ? selector : {};
  const hasLabels = isRecord(matchLabels) && Object.keys(matchLabels).length > 0;
  const relation = relationOf(other, workload);
  if (!hasLabels || other.metadata?.namespace === ROOT_NAMESPACE || relation === "apart" || !isOlder(other, ours))
    return [];
  return [
    relation === "may overlap"
      ? finding("FL322", pathOf(companion), {
          message: `${textOf(other)} may be for Pods of Service ${service.key.name}, too; where it is, Istio takes the older one`,
          fix: "see that both select other Pods",
        })
      : finding("FL320", pathOf(companion), {
          message: `${textOf(other)} is for Pods of Service ${service.key.name} already; of two such objects Istio takes the older one`,
          fix: insteadOf(other),
        }),
  ];
}

/**
 * Istio adds up what ALLOWs let in. Ours lets everything in on ports of the Pods that are not the Service's, unless all
 * of them are closed already; so beside another one that was there first it would open what that one keeps shut.
 */
function allowRivalry(other: KubernetesObject, { companion, service, workload, ours }: Meeting): readonly Finding[] {
  if (!isAllow(other)) return [];
  const relation = relationOf(other, workload);
  if (relation === "apart") return [];
  const lets = relation === "may overlap" ? "may let" : "lets";
  const opens = isGenerated(other) ? relation !== "may overlap" : !areClosedByPeople(service, workload);
  if (opens && isOlder(other, ours)) {
    return [
      finding("FL320", pathOf(companion), {
        message: `${textOf(other)} ${lets} in clients of Pods of Service ${service.key.name}; Istio adds up what both let in, also on ports that only one is for`,
        fix: relation === "may overlap" ? `${APART}; else ${insteadOf(other)}` : insteadOf(other),
      }),
    ];
  }
  // A younger one that Fairlead made goes for the same reason.
  if (opens && isGenerated(other)) return [];
  const ports = opens ? `, which lets everything in on other ports than ${list(workload.ports.map(String))}` : "";
  return [
    finding("FL327", pathOf(companion), {
      message: `${textOf(other)} ${lets} in those that it lists, beside those of the policy${ports}`,
      fix: "move them to spec.authorization.allow, or leave it where that is meant",
    }),
  ];
}

function limitRivalry(other: KubernetesObject, { companion, service, workload }: Meeting): readonly Finding[] {
  if (isGenerated(other) || !limitsRates(other) || relationOf(other, workload) === "apart") return [];
  return [
    finding("FL322", pathOf(companion), {
      message: `${textOf(other)} has to do with rate limits of Pods of Service ${service.key.name}: of two limits the lower one counts`,
      fix: "delete it where the policy says all that is wanted",
    }),
  ];
}

const APART = "where it is for other Pods, add a label of the Service's selector with another value to its own";

function pathOf({ sections }: Companion): string {
  return `spec.${sections[0]}`;
}

function textOf(other: KubernetesObject): string {
  const { namespace, name = "" } = other.metadata ?? {};
  const text = `${other.kind} ${namespace}/${name}`;
  return isGenerated(other) ? `${text}, which Fairlead made for Service ${serviceOfCompanion(name)},` : text;
}

function insteadOf(other: KubernetesObject): string {
  return isGenerated(other)
    ? "aim policies with mtls and authorization at one of both Services"
    : "set in the policy what is needed of it and delete it, or remove the Service from the targets";
}
