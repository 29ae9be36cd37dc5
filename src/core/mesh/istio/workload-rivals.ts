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
import { allowedBeside, deciderOf, type Neighbour, neighboursOf } from "./neighbours.ts";
import { limitsRates } from "./rate-limits.ts";
import { type Workload, workloadOf } from "./workload.ts";

/** Other objects for the same Pods, which people made or Fairlead made for another Service. */
export function workloadRivals(companion: Companion, service: TargetContext): readonly Finding[] {
  const workload = workloadOf(service);
  if (workload === undefined) return [];
  const { name = "" } = companion.object.metadata ?? {};
  const ours = workloadsIn(service.key.namespace, companion.kind, service.world).generated(name);
  const others = objectsNear(workload, companion.kind, service).filter(
    (object) => !(isGenerated(object) && isBeside(object, service)),
  );
  const meeting = { companion, service, workload, ours };
  switch (companion.kind) {
    case PEER_AUTHENTICATION:
      return others.flatMap((other) => strictRivalry(other, meeting));
    case ISTIO_AUTHORIZATION_POLICY:
      return isAllow(companion.object) ? allowRivals(others.filter(isAllow), meeting) : [];
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

/**
 * Of those with a selector Istio takes the older one, and none of the root namespace's. Two of ours say the same, so that it
 * does not matter which; beside one whose ports are not known ours would say less than it does, whichever is older.
 */
function strictRivalry(other: KubernetesObject, { companion, service, workload, ours }: Meeting): readonly Finding[] {
  const { selector } = isRecord(other.spec) ? other.spec : {};
  const { matchLabels } = isRecord(selector) ? selector : {};
  const hasLabels = isRecord(matchLabels) && Object.keys(matchLabels).length > 0;
  const relation = relationOf(other, workload);
  if (!hasLabels || other.metadata?.namespace === ROOT_NAMESPACE || relation === "apart") return [];
  const says = saidBy(other, service);
  if (says === "the same" || (says === "something else" && !isOlder(other, ours))) return [];
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

/** How what it says of modes relates to ours: where nobody asks for it any more it is about to go, and counts as the same. */
function saidBy(other: KubernetesObject, service: TargetContext): "the same" | "something else" | "unknown" {
  if (!isGenerated(other)) return "something else";
  const name = serviceOfCompanion(other.metadata?.name ?? "");
  const neighbour = neighboursOf(service, "mtls").find((it) => it.name === name);
  if (neighbour?.relation === "may overlap") return "something else";
  return neighbour !== undefined && neighbour.workload === undefined ? "unknown" : "the same";
}

/** Istio adds up what ALLOWs let in. */
function allowRivals(others: readonly KubernetesObject[], meeting: Meeting): readonly Finding[] {
  const { service, workload } = meeting;
  const beside = allowedBeside(service);
  const opens = !areClosedByPeople(service, workload);
  return [
    ...others.flatMap((other) =>
      isGenerated(other) ? neighbourRivalry(other, beside, meeting) : allowRivalry(other, opens, meeting),
    ),
    ...(opens ? beside.flatMap((neighbour) => shutElsewhere(neighbour, meeting)) : []),
  ];
}

/**
 * `opens`: ours lets everything in on ports of the Pods that are not the Service's. Beside one of people for some of the
 * Pods that was there first it would open what that one keeps shut.
 */
function allowRivalry(
  other: KubernetesObject,
  opens: boolean,
  { companion, service, workload, ours }: Meeting,
): readonly Finding[] {
  const relation = relationOf(other, workload);
  if (relation === "apart") return [];
  const lets = relation === "may overlap" ? "may let" : "lets";
  if (opens && isOlder(other, ours)) {
    return [
      finding("FL320", pathOf(companion), {
        message: `${textOf(other)} ${lets} in clients of Pods of Service ${service.key.name}; Istio adds up what both let in, also on ports that only one is for`,
        fix: relation === "may overlap" ? `${APART}; else ${insteadOf(other)}` : insteadOf(other),
      }),
    ];
  }
  const ports = opens ? ", which leaves open all ports that no policy is for" : "";
  return [
    finding("FL327", pathOf(companion), {
      message: `${textOf(other)} ${lets} in those that it lists, beside those of the policy${ports}`,
      fix: "move them to spec.authorization.allow, or leave it where that is meant",
    }),
  ];
}

/**
 * Beside one that Fairlead made for another Service, whichever is older. As each leaves the ports of the other alone they
 * go together, unless two policies decide of one port, or it is no longer known which ports those are.
 */
function neighbourRivalry(
  other: KubernetesObject,
  beside: readonly Neighbour[],
  { companion, service, workload }: Meeting,
): readonly Finding[] {
  const relation = relationOf(other, workload);
  const neighbour = beside.find(({ name }) => name === serviceOfCompanion(other.metadata?.name ?? ""));
  // Nobody asks for it any more, or it is no longer for these Pods: it is about to go or to change.
  if (relation === "apart" || neighbour === undefined) return [];
  const found = `${textOf(other)} lets in clients of Pods of Service ${service.key.name}`;
  if (neighbour.workload === undefined) {
    return [
      finding("FL320", pathOf(companion), {
        message: `${found}, and its ports are not known (any more)`,
        fix: `see what the policy ${neighbour.policy.name} says of it, or ${insteadOf(other)}`,
      }),
    ];
  }
  const shared = neighbour.workload.ports.filter((port) => workload.ports.includes(port));
  if (shared.length === 0 || deciderOf(service, "authorization")?.name === neighbour.policy.name) return [];
  const message = `on port ${list(shared.map(String))} those that policy ${neighbour.policy.name} lists`;
  return [
    relation === "may overlap"
      ? finding("FL327", pathOf(companion), {
          message: `${textOf(other)} may let in ${message}, beside those of the policy`,
          fix: APART,
        })
      : finding("FL320", pathOf(companion), { message: `${found}, ${message}`, fix: insteadOf(other) }),
  ];
}

/** A port is shut by number, on all Pods of the Service. Where all of them are the neighbour's, too, that is meant. */
function shutElsewhere({ name, relation, workload: theirs }: Neighbour, meeting: Meeting): readonly Finding[] {
  const { companion, service, workload } = meeting;
  const more = theirs?.ports.filter((port) => !workload.ports.includes(port)) ?? [];
  if (relation === "covers" || more.length === 0) return [];
  return [
    finding("FL311", pathOf(companion), {
      message: `Port ${list(more.map(String))}, which Service ${name} leads to and a policy guards, is shut on all Pods of Service ${service.key.name}, also on those that are not its`,
      fix: "where they have no Pods in common, name one label in both selectors with two values",
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
