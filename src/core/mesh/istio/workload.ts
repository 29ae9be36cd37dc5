import { type Finding, finding } from "../../finding.ts";
import type { Section } from "../../intent/intent.ts";
import { recordsIn, type Service, type ServicePort, type StringMap } from "../../kubernetes.ts";
import { quote } from "../../text.ts";
import type { HostIntent } from "../companion.ts";
import type { TargetContext } from "../mesh.ts";
import { isAmbient, unfitInAmbient } from "./ambient.ts";
import { speaksHttp } from "./eligibility.ts";

/** What Istio does at the Pods that are asked, and not at their clients. */
const WORKLOAD_SECTIONS = ["rateLimit", "mtls", "authorization"] as const satisfies readonly Section[];

/** The Pods behind a Service, and their ports that it leads to. */
export interface Workload {
  /** At least one: an empty selector is the whole namespace. */
  readonly labels: StringMap;
  /** Numbers of TCP ports of the Pods, in order and each once. */
  readonly ports: readonly number[];
  /** Those of them that speak HTTP. */
  readonly httpPorts: readonly number[];
}

/** Undefined where the Service does not tell: {@link unfitForIstio} says why. */
export function workloadOf(service: TargetContext): Workload | undefined {
  const labels = labelsOf(service);
  const ports = tcpPorts(service);
  if (labels === undefined || ports.some((port) => typeof targetOf(port) !== "number")) return undefined;
  return { labels, ports: numbersOf(ports), httpPorts: numbersOf(ports.filter(speaksHttp)) };
}

/** What keeps sections from a Service or its Pods, whatever other objects there are. */
export function unfitForIstio(host: HostIntent): readonly Finding[] {
  return [...unfitForPods(host), ...(isAmbient(host.service) ? unfitInAmbient(host) : [])];
}

function unfitForPods({ service, intent }: HostIntent): readonly Finding[] {
  const sections = WORKLOAD_SECTIONS.filter((section) => intent[section] !== undefined);
  if (sections.length === 0) return [];
  const { name } = service.key;
  if (labelsOf(service) === undefined) return sections.map((section) => noSelector(section, name));
  const named = tcpPorts(service).find((port) => typeof targetOf(port) !== "number");
  return named === undefined ? [] : sections.map((section) => portByName(section, name, named));
}

function labelsOf({ object }: TargetContext): StringMap | undefined {
  const labels = (object as Service).spec?.selector ?? {};
  return Object.keys(labels).length === 0 ? undefined : labels;
}

function tcpPorts({ object }: TargetContext): readonly ServicePort[] {
  return recordsIn((object as Service).spec?.ports).filter(({ protocol = "TCP" }) => protocol === "TCP");
}

function targetOf({ port, targetPort }: ServicePort): number | string {
  // The API server fills 0 and "" in with the port.
  return targetPort || port;
}

function numbersOf(ports: readonly ServicePort[]): readonly number[] {
  return [...new Set(ports.map(targetOf).map(Number))].sort((a, b) => a - b);
}

function noSelector(section: Section, name: string): Finding {
  return finding("FL303", `spec.${section}`, {
    message: `Service ${name} has no selector, so nothing tells which Pods the section is for; nothing is written`,
    fix: "give it a selector, or remove it from the targets",
  });
}

/** Without its number the section could only be written for every port of the Pods, and would shut those of others. */
function portByName(section: Section, name: string, { port, targetPort }: ServicePort): Finding {
  return finding("FL328", `spec.${section}`, {
    message: `Port ${port} of Service ${name} leads to the port ${quote(String(targetPort))} of its Pods; Istio tells ports apart by number`,
    fix: "write the number of the container's port in targetPort of the Service",
  });
}
