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

/** As they stand in the object. */
function writtenHosts({ spec }: KubernetesObject): readonly string[] {
  if (!isRecord(spec)) return [];
  const hosts: readonly unknown[] = Array.isArray(spec["hosts"]) ? spec["hosts"] : [spec["host"]];
  return hosts.filter((host) => typeof host === "string");
}
