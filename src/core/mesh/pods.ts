import { type Finding, finding } from "../finding.ts";
import type { Section } from "../intent/intent.ts";
import type { KubernetesObject, Service, StringMap } from "../kubernetes.ts";

/** What a mesh does at the Pods that are asked, and not at their clients: its objects choose Pods. */
export const POD_SECTIONS = ["rateLimit", "mtls", "authorization"] as const satisfies readonly Section[];

/** The labels by which a Service finds its Pods. Undefined without any: an empty selector is the whole namespace. */
export function podLabels(service: KubernetesObject): StringMap | undefined {
  const labels = (service as Service).spec?.selector ?? {};
  return Object.keys(labels).length === 0 ? undefined : labels;
}

export function withoutSelector(section: Section, service: string): Finding {
  return finding("FL303", `spec.${section}`, {
    message: `Service ${service} has no selector, so nothing tells which Pods the section is for; nothing is written`,
    fix: "give it a selector, or remove it from the targets",
  });
}
