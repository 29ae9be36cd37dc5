import { inOrder } from "../../endpoint-slices.ts";
import { type Finding, finding } from "../../finding.ts";
import type { Intent, Section } from "../../intent/intent.ts";
import { recordsIn, type Service, type ServicePort, type StringMap } from "../../kubernetes.ts";
import { list, quote } from "../../text.ts";
import type { HostIntent } from "../companion.ts";
import type { TargetContext } from "../mesh.ts";
import { POD_SECTIONS, podLabels, withoutSelector } from "../pods.ts";
import { isAmbient, unfitInAmbient } from "./ambient.ts";
import { speaksHttp } from "./eligibility.ts";
import { knownPorts, type PodPorts, recordedFor, targetOf, toldOf } from "./pod-ports.ts";

/** The Pods behind a Service, and their ports that it leads to. */
export interface Workload {
  /** At least one: an empty selector is the whole namespace. */
  readonly labels: StringMap;
  /** Numbers of TCP ports of the Pods, in order and each once. */
  readonly ports: readonly number[];
  /** Those of them that speak HTTP; may be empty as long as a number is awaited. */
  readonly httpPorts: readonly number[];
  /** Them by what the Service has for them. */
  readonly numbers: PodPorts;
}

/**
 * Undefined where it is not known: {@link unfitForIstio} says why. Where a number is not known and nothing stands in the
 * cluster, nothing is known: what is written goes together for all ports of the Service.
 */
export function workloadOf(service: TargetContext): Workload | undefined {
  const labels = podLabels(service.object);
  const ports = tcpPorts(service);
  const { numbers, awaited } = knownPorts(ports, service);
  if (labels === undefined || (awaited.length > 0 && recordedFor(service).size === 0)) return undefined;
  // What the Service had and has no more is taken for HTTP, which it may be: there is nobody left who knows.
  const spoken = ports.filter(speaksHttp).map(targetOf);
  const others = ports.map(targetOf).filter((target) => !spoken.includes(target));
  const ofHttp = [...numbers].filter(([target]) => !others.includes(target));
  return {
    labels,
    ports: inOrder([...numbers.values()].flat()),
    httpPorts: inOrder(ofHttp.flatMap(([, it]) => it)),
    numbers,
  };
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
  const [awaited] = knownPorts(ports, service).awaited;
  return [
    ...(tellsRequestsApart(intent) && !ports.some(speaksHttp) ? [withoutRequests(name)] : []),
    ...(awaited === undefined ? [] : sections.map((section) => waitsForNumber(section, awaited, service))),
  ];
}

function tcpPorts({ object }: TargetContext): readonly ServicePort[] {
  return recordsIn((object as Service).spec?.ports).filter(({ protocol = "TCP" }) => protocol === "TCP");
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
function waitsForNumber(section: Section, awaited: ServicePort, service: TargetContext): Finding {
  const what = `Port ${awaited.port} of Service ${service.key.name} leads to port ${quote(targetOf(awaited))} of its Pods`;
  const why = toldOf(awaited, service) === undefined ? "whose number is not known yet" : "which none of them has";
  const { ports = [], httpPorts = [] } = workloadOf(service) ?? {};
  const known = (section === "rateLimit" ? httpPorts : ports).map(String);
  const meanwhile =
    known.length === 0 ? `${section} waits for it` : `until it is known, ${section} is for ${list(known)} only`;
  return finding("FL328", `spec.${section}`, {
    message: `${what}, ${why}; ${meanwhile}`,
    fix: "wait for a first Pod, and see that it has a port of this name",
  });
}
