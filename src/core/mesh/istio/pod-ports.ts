import { isRecord } from "../../../api/problem.ts";
import { compareStrings } from "../../finding.ts";
import { annotationsOf, type KubernetesObject, type ServicePort, type StringMap } from "../../kubernetes.ts";
import {
  companionName,
  ENVOY_FILTER,
  ISTIO_AUTHORIZATION_POLICY,
  PEER_AUTHENTICATION,
  POD_PORTS_ANNOTATION,
} from "../../names.ts";
import { isGenerated } from "../../routes/people.ts";
import type { TargetContext } from "../mesh.ts";
import { workloadsIn } from "../workload-index.ts";

/** Tells the AuthorizationPolicy that refuses from the one that lets in, in the names of both. */
export const DENY_PART = "deny";

const PORT_MAX = 65_535;

/** Numbers of ports of the Pods by the names that the Service has for them; a name without a number is not in it. */
export type NamedPorts = ReadonlyMap<string, readonly number[]>;

/** A port of the Pods as a Service names it. */
export function podPortOf({ port, targetPort }: ServicePort): number | string {
  // The API server fills 0 and "" in with the port.
  return targetPort || port;
}

/**
 * EndpointSlices tell the number of a port by name as soon as a Pod has an address, and several where Pods differ. Once all
 * Pods are gone the numbers of before count: without them what keeps clients out could not be written for the next ones.
 */
export function namedPorts(ports: readonly ServicePort[], service: TargetContext): NamedPorts {
  const { key, world } = service;
  const found = new Map<string, readonly number[]>();
  for (const port of ports) {
    const name = podPortOf(port);
    if (typeof name === "number") continue;
    const told = world.podPortsOf(key.name, key.namespace, port.name ?? "");
    const numbers = [...(found.get(name) ?? []), ...(told.length > 0 ? told : recordedFor(name, service))];
    if (numbers.length > 0) found.set(name, inOrder(numbers));
  }
  return found;
}

/** What is noted on the objects for the Pods; undefined where the Service names no port. */
export function recordOf(named: NamedPorts): StringMap | undefined {
  const entries = [...named].sort(([a], [b]) => compareStrings(a, b));
  return entries.length === 0 ? undefined : { [POD_PORTS_ANNOTATION]: JSON.stringify(Object.fromEntries(entries)) };
}

/** The number known last: it stands on what Fairlead has made for the Pods of this Service. */
function recordedFor(port: string, service: TargetContext): readonly number[] {
  return objectsOf(service).flatMap((object) => numbersFor(port, annotationsOf(object)[POD_PORTS_ANNOTATION]));
}

function objectsOf({ key, world }: TargetContext): readonly KubernetesObject[] {
  const names = [companionName(key.name), companionName(key.name, DENY_PART)];
  return [PEER_AUTHENTICATION, ISTIO_AUTHORIZATION_POLICY, ENVOY_FILTER].flatMap((kind) => {
    const objects = workloadsIn(key.namespace, kind, world);
    return names.flatMap((name) => objects.named(name) ?? []).filter(isGenerated);
  });
}

/** Whoever may write the object may write anything here. */
function numbersFor(port: string, record: string | undefined): readonly number[] {
  const parsed = record === undefined ? undefined : parseJson(record);
  const numbers: unknown = isRecord(parsed) && Object.hasOwn(parsed, port) ? parsed[port] : [];
  return Array.isArray(numbers) ? numbers.filter(isPort) : [];
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function inOrder(numbers: readonly number[]): readonly number[] {
  return [...new Set(numbers)].sort((a, b) => a - b);
}

function isPort(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= PORT_MAX;
}
