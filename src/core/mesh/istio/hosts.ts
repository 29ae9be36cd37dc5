import { isRecord } from "../../../api/problem.ts";
import type { KubernetesObject } from "../../kubernetes.ts";
import type { TargetContext } from "../mesh.ts";

/** Its objects act in every namespace, hosts where no other namespace has one (Istio's default `rootNamespace`). */
export const ROOT_NAMESPACE = "istio-system";

/** Stands for every host that begins with `*`. */
export const ANY_HOST = "*";

/** `<service>.<namespace>.svc.<cluster domain>`: a shorter name means something else in every namespace. */
export function hostOf({ key, world }: TargetContext): string {
  return `${key.name}.${key.namespace}.svc.${world.defaults.clusterDomain}`;
}

/** The host of another Service in the namespace of one with this host: the name of a Service has no dot. */
export function siblingOf(host: string, service: string): string {
  return service + host.slice(host.indexOf("."));
}

/**
 * What a VirtualService or DestinationRule speaks of, to find it by: `<service>.<namespace>.svc` without the cluster
 * domain, and {@link ANY_HOST}. Hosts outside the cluster are left out.
 */
export function hostKeys(object: KubernetesObject): readonly string[] {
  const keys = writtenHosts(object).map((host) => {
    if (host.startsWith("*")) return ANY_HOST;
    // Istio completes a name without a dot, and takes any other literally.
    if (!host.includes(".")) return `${host}.${object.metadata?.namespace ?? "default"}.svc`;
    return host.split(".", 3).join(".");
  });
  return [...new Set(keys)].filter((key) => key === ANY_HOST || key.endsWith(".svc"));
}

/** How an object speaks of a host: by its name, by a pattern, or not at all. */
export function mentionOf(host: string, object: KubernetesObject): "name" | "pattern" | undefined {
  const namespace = object.metadata?.namespace ?? "default";
  const [service, ofService] = host.split(".", 2);
  const hosts = writtenHosts(object);
  if (hosts.includes(host) || (namespace === ofService && hosts.includes(service ?? ""))) return "name";
  return hosts.some((text) => text.startsWith("*") && host.endsWith(text.slice(1))) ? "pattern" : undefined;
}

/** Whether it may speak by a pattern, for requests within the mesh, of a Service in the namespace. */
export function mayFitIn(namespace: string, object: KubernetesObject, clusterDomain: string): boolean {
  // What the hosts of the namespace have in common; a pattern may also begin within the name of the Service.
  const common = `.${namespace}.svc.${clusterDomain}`;
  const patterns = actsInMesh(object) ? writtenHosts(object).filter((text) => text.startsWith("*")) : [];
  return patterns.some((text) => common.endsWith(text.slice(1)) || text.endsWith(common));
}

/** A VirtualService of gateways alone leaves the mesh alone. */
export function actsInMesh({ spec }: KubernetesObject): boolean {
  const gateways: unknown = isRecord(spec) ? spec["gateways"] : undefined;
  return !Array.isArray(gateways) || gateways.length === 0 || gateways.includes("mesh");
}

/** As they stand in the object. */
function writtenHosts({ spec }: KubernetesObject): readonly string[] {
  if (!isRecord(spec)) return [];
  const hosts: readonly unknown[] = Array.isArray(spec["hosts"]) ? spec["hosts"] : [spec["host"]];
  return hosts.filter((host) => typeof host === "string");
}
