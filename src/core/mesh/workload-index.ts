import { isRecord } from "../../api/problem.ts";
import type { KubernetesObject, StringMap } from "../kubernetes.ts";
import { labelIndex } from "../label-index.ts";
import { type CompanionKind, ENVOY_FILTER, SERVER, SERVER_AUTHORIZATION } from "../names.ts";
import { isGenerated } from "../routes/people.ts";
import type { World } from "../world.ts";

/**
 * The objects of one kind in one namespace that have to do with Pods. Each Service asks for those that concern it, and
 * there is one such object or more for each Service: whoever looked at all of them would look at millions.
 */
export interface WorkloadObjects {
  /** What Fairlead has written under this name; undefined where nothing or something of people stands there. */
  generated(name: string): KubernetesObject | undefined;
  /** Every one that may choose Pods with these labels, and others: `selectorRelation` has the last word. */
  near(labels: StringMap): readonly KubernetesObject[];
  /** Those with this targetRef, or a ServerAuthorization with the name of this Server. */
  aimedAt(kind: string, name: string): readonly KubernetesObject[];
}

/** Made once for each list: after a change the world hands out another one. */
const indexes = new WeakMap<readonly KubernetesObject[], WorkloadObjects>();

/** Without those that are being deleted. */
export function workloadsIn(namespace: string, kind: CompanionKind, world: World): WorkloadObjects {
  const all = world.workloadObjects(namespace, kind);
  const known = indexes.get(all);
  if (known !== undefined) return known;
  const index = indexOf(all.filter(({ metadata }) => !metadata?.deletionTimestamp));
  indexes.set(all, index);
  return index;
}

/**
 * The selector of an object for Pods. Each kind has its own name for it, and an EnvoyFilter for the labels in it, too; that of
 * a ServerAuthorization is for Servers.
 */
export function podSelectorOf({ kind, spec }: KubernetesObject): unknown {
  const fields = isRecord(spec) ? spec : {};
  if (kind === SERVER.kind) return fields["podSelector"];
  if (kind === SERVER_AUTHORIZATION.kind) return isRecord(fields["server"]) ? fields["server"]["selector"] : undefined;
  if (kind !== ENVOY_FILTER.kind) return fields["selector"];
  const { workloadSelector } = fields;
  return { matchLabels: isRecord(workloadSelector) ? workloadSelector["labels"] : {} };
}

function indexOf(objects: readonly KubernetesObject[]): WorkloadObjects {
  const byName = Map.groupBy(objects, ({ metadata }) => metadata?.name);
  const byTarget = Map.groupBy(objects, targetOf);
  return {
    generated(name) {
      const found = byName.get(name)?.[0];
      return found !== undefined && isGenerated(found) ? found : undefined;
    },
    near: labelIndex(objects, matchLabelsOf),
    aimedAt: (kind, name) => byTarget.get(targetText(kind, name)) ?? [],
  };
}

function matchLabelsOf(object: KubernetesObject): Readonly<Record<string, unknown>> {
  const selector = podSelectorOf(object);
  const { matchLabels } = isRecord(selector) ? selector : {};
  return isRecord(matchLabels) ? matchLabels : {};
}

function targetOf({ kind, spec }: KubernetesObject): string | undefined {
  const { targetRef, server } = isRecord(spec) ? spec : {};
  if (kind === SERVER_AUTHORIZATION.kind) {
    const name = isRecord(server) ? server["name"] : undefined;
    return typeof name === "string" ? targetText(SERVER.kind, name) : undefined;
  }
  return isRecord(targetRef) ? targetText(String(targetRef["kind"]), String(targetRef["name"])) : undefined;
}

/** Of a Namespace Linkerd does not read the name: its own is meant. */
function targetText(kind: string, name: string): string {
  return kind === "Namespace" ? kind : `${kind}/${name}`;
}
