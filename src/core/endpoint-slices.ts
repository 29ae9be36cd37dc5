import { groupOf, type KubernetesObject, labelsOf, recordsIn } from "./kubernetes.ts";

/** The Service that a slice belongs to (k8s.io/api/discovery/v1, LabelServiceName). */
const SERVICE_NAME = "kubernetes.io/service-name";

/** Who made a slice, which others do, too, for endpoints that are no Pods of the Service (LabelManagedBy there). */
const MANAGED_BY = "endpointslice.kubernetes.io/managed-by";
/** The controller of Kubernetes, which looks ports up in Pods (k8s.io/kubernetes/pkg/controller/endpointslice). */
const OF_PODS = "endpointslice-controller.k8s.io";

/** The highest number of a port of TCP, whose field for it has 16 bits (RFC 9293, 3.1). */
const PORT_MAX = 65_535;

interface EndpointSlice extends KubernetesObject {
  readonly addressType?: string;
  readonly endpoints?: readonly { readonly conditions?: { readonly ready?: boolean } }[];
  readonly ports?: readonly { readonly name?: string; readonly port?: number }[];
}

/** What is kept of an EndpointSlice. */
export interface SliceFacts {
  /** Name of its Service. */
  readonly service: string;
  readonly addressType: string;
  /** Endpoints that are ready. */
  readonly ready: number;
  /** Undefined where it tells nothing of Pods: there is none in it, or it is not made from Pods. */
  readonly ports: readonly PodPort[] | undefined;
}

/** The number that a port has on the Pods of one slice. */
export interface PodPort {
  /** Of the port of the Service; empty where its only one has none. */
  readonly name: string;
  readonly number: number;
}

export function isEndpointSlice({ apiVersion = "", kind }: KubernetesObject): boolean {
  return kind === "EndpointSlice" && groupOf(apiVersion) === "discovery.k8s.io";
}

export function sliceFacts(object: KubernetesObject): SliceFacts {
  const slice = object as EndpointSlice;
  const labels = labelsOf(slice);
  return {
    service: labels[SERVICE_NAME] ?? "",
    addressType: slice.addressType ?? "",
    // Absent means that nobody knows, which counts as ready (k8s.io/api/discovery/v1, EndpointConditions).
    ready: recordsIn(slice.endpoints).filter(({ conditions }) => conditions?.ready !== false).length,
    ports: labels[MANAGED_BY] === OF_PODS ? portsOf(slice) : undefined,
  };
}

function portsOf(slice: EndpointSlice): readonly PodPort[] | undefined {
  // One without a number is for all of them. The API server lets any number through
  // (k8s.io/kubernetes/pkg/apis/discovery/validation, validatePorts), which Istio would refuse.
  const ports = recordsIn(slice.ports).flatMap(({ name = "", port }) => (isPort(port) ? [{ name, number: port }] : []));
  return ports.length === 0 && recordsIn(slice.endpoints).length === 0 ? undefined : ports;
}

/** Whether Pods can listen on it. */
export function isPort(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= PORT_MAX;
}

/** Undefined without slices. Of a Service with addresses of both families the endpoints count once. */
export function readyIn(slices: Iterable<SliceFacts>): number | undefined {
  const byType = new Map<string, number>();
  for (const { addressType, ready } of slices) byType.set(addressType, (byType.get(addressType) ?? 0) + ready);
  return byType.size === 0 ? undefined : Math.max(...byType.values());
}

/**
 * The numbers that a port of the Service has on its Pods, in order and each once: slices of Pods that differ tell several.
 * Empty: none of the Pods has it; undefined: no Pod is known.
 */
export function podPortsIn(slices: Iterable<SliceFacts>, port: string): readonly number[] | undefined {
  const told = toldIn(slices);
  return told && inOrder(told.flatMap(({ name, number }) => (name === port ? number : [])));
}

/** Each once. */
export function inOrder(numbers: readonly number[]): readonly number[] {
  return [...new Set(numbers)].sort((a, b) => a - b);
}

/** What slices tell of ports, the same text for the same numbers in however many slices; undefined: no Pod is known. */
export function podPortsText(slices: Iterable<SliceFacts>): string | undefined {
  const texts = toldIn(slices)?.map(({ name, number }) => `${name} ${number}`);
  return texts && [...new Set(texts)].sort().join();
}

function toldIn(slices: Iterable<SliceFacts>): readonly PodPort[] | undefined {
  const told = [...slices].flatMap(({ ports }) => (ports === undefined ? [] : [ports]));
  return told.length === 0 ? undefined : told.flat();
}
