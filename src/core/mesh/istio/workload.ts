import { type Finding, finding } from "../../finding.ts";
import type { Intent, Section } from "../../intent/intent.ts";
import { recordsIn, type Service, type ServicePort, type StringMap } from "../../kubernetes.ts";
import { quote } from "../../text.ts";
import type { HostIntent } from "../companion.ts";
import type { TargetContext } from "../mesh.ts";
import { POD_SECTIONS, podLabels, withoutSelector } from "../pods.ts";
import { isAmbient, unfitInAmbient } from "./ambient.ts";
import { speaksHttp } from "./eligibility.ts";
import { inOrder, type NamedPorts, namedPorts, podPortOf } from "./pod-ports.ts";

/** The Pods behind a Service, and their ports that it leads to. */
export interface Workload {
  /** At least one: an empty selector is the whole namespace. */
  readonly labels: StringMap;
  /** Numbers of TCP ports of the Pods, in order and each once. */
  readonly ports: readonly number[];
  /** Those of them that speak HTTP. */
  readonly httpPorts: readonly number[];
  /** Those of them that the Service has by name. */
  readonly named: NamedPorts;
}

/** Undefined where it is not known: {@link unfitForIstio} says why. */
export function workloadOf(service: TargetContext): Workload | undefined {
  const labels = podLabels(service.object);
  const ports = tcpPorts(service);
  const named = namedPorts(ports, service);
  if (labels === undefined || ports.some((port) => isUnknown(port, named))) return undefined;
  return { labels, ports: numbersOf(ports, named), httpPorts: numbersOf(ports.filter(speaksHttp), named), named };
}

/** What keeps sections from a Service or its Pods, be it for now, whatever objects of people there are. */
export function unfitForIstio(host: HostIntent): readonly Finding[] {
  return [...unfitForPods(host), ...(isAmbient(host.service) ? unfitInAmbient(host) : [])];
}

function unfitForPods({ service, intent }: HostIntent): readonly Finding[] {
  const sections = POD_SECTIONS.filter((section) => intent[section] !== undefined);
  if (sections.length === 0) return [];
  const { name } = service.key;
  if (podLabels(service.object) === undefined) return sections.map((section) => withoutSelector(section, name));
  const ports = tcpPorts(service);
  const named = namedPorts(ports, service);
  const unknown = ports.find((port) => isUnknown(port, named));
  return [
    ...(tellsRequestsApart(intent) && !ports.some(speaksHttp) ? [withoutRequests(name)] : []),
    ...(unknown === undefined ? [] : sections.map((section) => waitsForNumber(section, name, unknown))),
  ];
}

function tcpPorts({ object }: TargetContext): readonly ServicePort[] {
  return recordsIn((object as Service).spec?.ports).filter(({ protocol = "TCP" }) => protocol === "TCP");
}

function isUnknown(port: ServicePort, named: NamedPorts): boolean {
  const target = podPortOf(port);
  return typeof target === "string" && !named.has(target);
}

function numbersOf(ports: readonly ServicePort[], named: NamedPorts): readonly number[] {
  return inOrder(
    ports.map(podPortOf).flatMap((target) => (typeof target === "number" ? target : (named.get(target) ?? []))),
  );
}

/** In order and each once. */
export function numbersIn(all: readonly Pick<Workload, "ports">[]): readonly number[] {
  return inOrder(all.flatMap(({ ports }) => ports));
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
function waitsForNumber(section: Section, name: string, { port, targetPort }: ServicePort): Finding {
  const target = quote(String(targetPort));
  return finding("FL328", `spec.${section}`, {
    message: `Port ${port} of Service ${name} leads to port ${target} of its Pods, whose number is not known yet; ${section} waits for it`,
    fix: "wait for a first Pod, and see that it has a port of this name",
  });
}
