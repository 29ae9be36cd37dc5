import { isRecord } from "../../../api/problem.ts";
import { inOrder, isPort } from "../../endpoint-slices.ts";
import { compareStrings } from "../../finding.ts";
import { annotationsOf, type KubernetesObject, type ServicePort, type StringMap } from "../../kubernetes.ts";
import {
  companionName,
  ENVOY_FILTER,
  ISTIO_AUTHORIZATION_POLICY,
  PEER_AUTHENTICATION,
  POD_PORTS_ANNOTATION,
} from "../../names.ts";
import type { TargetContext } from "../mesh.ts";
import { workloadsIn } from "../workload-index.ts";

/** Tells the AuthorizationPolicy that refuses from the one that lets in, in the names of both. */
export const DENY_PART = "deny";

/** Numbers of ports of the Pods by what the Service has for them: a name, or a number as text. None is without a number. */
export type PodPorts = ReadonlyMap<string, readonly number[]>;

export interface KnownPorts {
  /** With those that are still guarded though the Service has them no longer, for as long as one is awaited. */
  readonly numbers: PodPorts;
  /** Ports of the Service by a name whose number is not known, be it that none of the Pods has it any more. */
  readonly awaited: readonly ServicePort[];
}

/** A port of the Pods as the Service names it: a name, or a number as text. */
export function targetOf({ port, targetPort }: ServicePort): string {
  // The API server fills 0 and "" in with the port.
  return String(targetPort || port);
}

/**
 * EndpointSlices tell the number of a port by name as soon as a Pod has an address, and several where Pods differ. Once all
 * Pods are gone the numbers of before count: without them what keeps clients out could not be written for the next ones.
 * A port without any may be each of those that the Service had: all of them count on, so that none opens for a new name.
 */
export function knownPorts(ports: readonly ServicePort[], service: TargetContext): KnownPorts {
  const told = together(ports.map((port) => [targetOf(port), toldOf(port, service) ?? []]));
  const untold = ports.filter((port) => !told.has(targetOf(port)));
  if (untold.length === 0) return { numbers: told, awaited: [] };
  const recorded = recordedFor(service);
  const awaited = untold.filter((port) => !recorded.has(targetOf(port)) || toldOf(port, service) !== undefined);
  if (awaited.length > 0) return { numbers: together([...told, ...recorded]), awaited };
  const targets = untold.map(targetOf);
  return { numbers: new Map([...told, ...[...recorded].filter(([target]) => targets.includes(target))]), awaited };
}

/** What is noted on the objects for the Pods. */
export function recordOf(numbers: PodPorts): StringMap {
  const entries = [...numbers].sort(([a], [b]) => compareStrings(a, b));
  return { [POD_PORTS_ANNOTATION]: JSON.stringify(Object.fromEntries(entries)) };
}

/** Empty where Pods are known, and none of them has it. */
export function toldOf(
  { name = "", port, targetPort }: ServicePort,
  service: TargetContext,
): readonly number[] | undefined {
  const { key, world } = service;
  const target = targetPort || port;
  return typeof target === "number" ? [target] : world.podPortsOf(key.name, key.namespace, name);
}

/** The numbers known last: they stand on what Fairlead has made for the Pods of this Service. */
export function recordedFor(service: TargetContext): PodPorts {
  return together(objectsOf(service).flatMap((object) => entriesOf(annotationsOf(object)[POD_PORTS_ANNOTATION])));
}

function together(all: readonly (readonly [string, readonly number[]])[]): PodPorts {
  const found = new Map<string, readonly number[]>();
  for (const [target, numbers] of all) {
    if (numbers.length > 0) found.set(target, inOrder([...(found.get(target) ?? []), ...numbers]));
  }
  return found;
}

function objectsOf({ key, world }: TargetContext): readonly KubernetesObject[] {
  const names = [companionName(key.name), companionName(key.name, DENY_PART)];
  return [PEER_AUTHENTICATION, ISTIO_AUTHORIZATION_POLICY, ENVOY_FILTER].flatMap((kind) => {
    const objects = workloadsIn(key.namespace, kind, world);
    return names.flatMap((name) => objects.generated(name) ?? []);
  });
}

/** Whoever may write the object may write anything here. */
function entriesOf(record: string | undefined): readonly (readonly [string, readonly number[]])[] {
  const parsed = record === undefined ? undefined : parseJson(record);
  return Object.entries(isRecord(parsed) ? parsed : {}).map(
    ([target, value]) => [target, Array.isArray(value) ? value.filter(isPort) : []] as const,
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
