import { isRecord } from "../../../api/problem.ts";
import { type Finding, finding } from "../../finding.ts";
import type { KubernetesObject } from "../../kubernetes.ts";
import { isGenerated, peoplesRoutes } from "../../routes/people.ts";
import { list } from "../../text.ts";
import type { Companion } from "../companion.ts";
import type { TargetContext } from "../mesh.ts";
import { actsInMesh, hostOf, mentionOf, ROOT_NAMESPACE } from "./hosts.ts";
import { workloadRivals } from "./workload-rivals.ts";

/**
 * Objects of people that speak of the same host. Of two VirtualServices, or of two DestinationRules with a
 * trafficPolicy, Istio takes the older one and tells nobody: such a conflict is refused and not fought.
 */
export function istioRivals(companion: Companion, service: TargetContext): readonly Finding[] {
  if (companion.kind.speaksOf === "Pods") return workloadRivals(companion, service);
  const { key, world } = service;
  const path = `spec.${companion.sections[0]}`;
  const rivals = world
    .hostObjects(key.name, key.namespace)
    .filter((object) => object.kind === companion.kind.kind && !isGenerated(object) && isInForce(object, key.namespace))
    .flatMap((object) => rivalry(object, service, path));
  return companion.kind.kind === "VirtualService" ? [...rivals, ...routesOf(service, path)] : rivals;
}

/** A DestinationRule without trafficPolicy only adds subsets, unless clients find it first: then Istio looks no further. */
function isInForce(object: KubernetesObject, ofService: string): boolean {
  const { kind, spec, metadata } = object;
  if (!isRecord(spec) || metadata?.deletionTimestamp) return false;
  if (kind !== "DestinationRule") return actsInMesh(object);
  return spec["trafficPolicy"] !== undefined || ![ofService, ROOT_NAMESPACE].includes(metadata?.namespace ?? "");
}

function rivalry(object: KubernetesObject, service: TargetContext, path: string): readonly Finding[] {
  const mention = mentionOf(hostOf(service), object);
  if (mention === undefined) return [];
  const { namespace = "", name = "" } = object.metadata ?? {};
  const found = `${object.kind} ${namespace}/${name}`;
  const host = `Service ${service.key.name}`;
  const isElsewhere = namespace !== service.key.namespace;
  if (namespace === ROOT_NAMESPACE || (mention === "pattern" && !isElsewhere)) {
    return [
      finding("FL322", path, {
        message: `${found} no longer acts on ${host}: Istio merges none of it with the object of the policy`,
        fix: "set in the policy what is needed of it",
      }),
    ];
  }
  const clients = object.kind === "DestinationRule" ? [namespace] : clientsOf(object);
  if (isElsewhere && clients !== undefined) {
    if (clients.length === 0) return [];
    return [
      finding("FL322", path, {
        message: `${found} goes first for clients in namespace ${list(clients)}: the policy does not act on their requests to ${host}`,
        fix: "delete it, or take the policy's settings into it",
      }),
    ];
  }
  return [
    finding("FL320", path, {
      message: `${found} configures ${host} already; of two such objects Istio takes the older one`,
      fix: "move its settings to the policy and delete it, or remove the Service from the targets",
    }),
  ];
}

/** The namespaces to which a VirtualService is exported; undefined: all. It goes before one that all of them see. */
function clientsOf({ spec, metadata }: KubernetesObject): readonly string[] | undefined {
  const exportTo: unknown = isRecord(spec) ? spec["exportTo"] : undefined;
  if (!Array.isArray(exportTo) || exportTo.length === 0 || exportTo.includes("*")) return undefined;
  const named = exportTo.filter((to) => typeof to === "string" && to !== "~");
  return named.map((to) => (to === "." ? (metadata?.namespace ?? "") : String(to)));
}

/** Istio makes a VirtualService of its own of every route whose parent is a Service. */
function routesOf({ key, world }: TargetContext, path: string): readonly Finding[] {
  const attached = peoplesRoutes(key.namespace, world).get(key.name) ?? [];
  return attached.map(({ object }) =>
    finding("FL320", path, {
      message: `Service ${key.name} has ${object.kind} ${object.metadata?.name}, of which Istio makes a VirtualService; it takes the older of two`,
      fix: "move its matches to spec.routes and delete it, or remove the Service from the targets",
    }),
  );
}
