import { type Finding, finding } from "../finding.ts";
import { type Intent, type Section, SECTIONS } from "../intent/intent.ts";
import { type KubernetesObject, recordsIn, type Service, type StringMap } from "../kubernetes.ts";
import { list } from "../text.ts";
import type { Eligibility } from "./mesh.ts";

/** What a mesh does at the Pods that are asked, and not at their clients: its objects choose Pods. */
export const POD_SECTIONS = ["rateLimit", "mtls", "authorization"] as const satisfies readonly Section[];

/** Who may come in can be asked on every TCP port, whatever clients speak there and however they found it. */
const ACCESS_SECTIONS = ["mtls", "authorization"] as const satisfies readonly Section[];
export type AccessSection = (typeof ACCESS_SECTIONS)[number];

/** Whether it says who may come in. */
export function isAccess(section: Section): section is AccessSection {
  return ACCESS_SECTIONS.some((it) => it === section);
}

/** Of these sections those that the mesh acts on: all of an eligible target, else who may come in, where it has Pods. */
export function actedOn(
  sections: readonly Section[],
  { object, eligible }: Pick<Eligibility, "eligible"> & { readonly object: KubernetesObject },
): readonly Section[] {
  if (eligible) return sections;
  return hasPods(object) ? sections.filter(isAccess) : [];
}

/** What is left of an intent where the mesh acts on nothing that clients do. */
export function accessOnly(intent: Intent, object: KubernetesObject): Intent {
  return Object.fromEntries(actedOn(sectionsIn(intent), { object, eligible: false }).map((it) => [it, intent[it]]));
}

export function sectionsIn(intent: Intent): readonly Section[] {
  return SECTIONS.filter((section) => intent[section] !== undefined);
}

/** What the obstacles of a target mean for these sections: nothing where all of them hold there all the same. */
export function obstaclesTo(
  sections: readonly Section[],
  object: KubernetesObject,
  { findings }: Eligibility,
): readonly Finding[] {
  const held = actedOn(sections, { object, eligible: false });
  if (held.length === 0) return findings;
  if (held.length === sections.length) return [];
  return findings.map((it) => ({ ...it, message: `${it.message}, but for ${list(held)}` }));
}

/** Whether it leads to TCP ports of Pods that its selector tells; that of an ExternalName Service means nothing. */
function hasPods(object: KubernetesObject): boolean {
  const { type, ports } = (object as Service).spec ?? {};
  const isTcp = recordsIn(ports).some(({ protocol = "TCP" }) => protocol === "TCP");
  return isTcp && type !== "ExternalName" && podLabels(object) !== undefined;
}

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
