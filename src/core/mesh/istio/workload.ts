import { type Finding, finding } from "../../finding.ts";
import type { Intent, Section } from "../../intent/intent.ts";
import { recordsIn, type Service, type ServicePort, type StringMap } from "../../kubernetes.ts";
import { quote } from "../../text.ts";
import type { HostIntent } from "../companion.ts";
import type { TargetContext } from "../mesh.ts";
import { POD_SECTIONS, podLabels, withoutSelector } from "../pods.ts";
import { isAmbient, unfitInAmbient } from "./ambient.ts";
import { speaksHttp } from "./eligibility.ts";

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
  const labels = podLabels(service.object);
  const ports = tcpPorts(service);
  if (labels === undefined || ports.some((port) => typeof targetOf(port) !== "number")) return undefined;
  return { labels, ports: numbersOf(ports), httpPorts: numbersOf(ports.filter(speaksHttp)) };
}

/** What keeps sections from a Service or its Pods, whatever other objects there are. */
export function unfitForIstio(host: HostIntent): readonly Finding[] {
  return [...unfitForPods(host), ...(isAmbient(host.service) ? unfitInAmbient(host) : [])];
}

function unfitForPods({ service, intent }: HostIntent): readonly Finding[] {
  const sections = POD_SECTIONS.filter((section) => intent[section] !== undefined);
  if (sections.length === 0) return [];
  const { name } = service.key;
  if (podLabels(service.object) === undefined) return sections.map((section) => withoutSelector(section, name));
  const ports = tcpPorts(service);
  const named = ports.find((port) => typeof targetOf(port) !== "number");
  if (named !== undefined) return sections.map((section) => portByName(section, name, named));
  return ports.some(speaksHttp) || !tellsRequestsApart(intent) ? [] : [withoutRequests(name)];
}

function tcpPorts({ object }: TargetContext): readonly ServicePort[] {
  return recordsIn((object as Service).spec?.ports).filter(({ protocol = "TCP" }) => protocol === "TCP");
}

function targetOf({ port, targetPort }: ServicePort): number | string {
  // The API server fills 0 and "" in with the port.
  return targetPort || port;
}

function numbersOf(ports: readonly ServicePort[]): readonly number[] {
  return numbersIn([{ ports: ports.map(targetOf).map(Number) }]);
}

/** In order and each once. */
export function numbersIn(all: readonly Pick<Workload, "ports">[]): readonly number[] {
  return [...new Set(all.flatMap(({ ports }) => ports))].sort((a, b) => a - b);
}

function tellsRequestsApart({ authorization: { allow = [], deny = [] } = {} }: Intent): boolean {
  return [...allow, ...deny].some(({ to }) => to !== undefined);
}

function withoutRequests(name: string): Finding {
  return finding("FL310", "spec.authorization", {
    message: `No port of Service ${name} speaks HTTP for Istio, so requests cannot be told apart there`,
    fix: "remove to from the entries, or set appProtocol: http, http2 or grpc where it is HTTP",
  });
}

/** Without its number the section could only be written for every port of the Pods, and would shut those of others. */
function portByName(section: Section, name: string, { port, targetPort }: ServicePort): Finding {
  return finding("FL328", `spec.${section}`, {
    message: `Port ${port} of Service ${name} leads to the port ${quote(String(targetPort))} of its Pods; Istio tells ports apart by number`,
    fix: "write the number of the container's port in targetPort of the Service",
  });
}
