import { groupOf, type KubernetesObject, labelsOf, recordsIn } from "./kubernetes.ts";

/** The Service that a slice belongs to (k8s.io/api/discovery/v1, LabelServiceName). */
const SERVICE_NAME = "kubernetes.io/service-name";

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
  readonly ports: readonly PodPort[];
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
  return {
    service: labelsOf(slice)[SERVICE_NAME] ?? "",
    addressType: slice.addressType ?? "",
    // Absent means that nobody knows, which counts as ready (k8s.io/api/discovery/v1, EndpointConditions).
    ready: recordsIn(slice.endpoints).filter(({ conditions }) => conditions?.ready !== false).length,
    // A slice without endpoints yet has no ports, and one without a number is for all of them. The API server lets any
    // number through (k8s.io/kubernetes/pkg/apis/discovery/validation, validatePorts), which Istio would refuse.
    ports: recordsIn(slice.ports).flatMap(({ name, port }) =>
      isPort(port) ? [{ name: name ?? "", number: port }] : [],
    ),
  };
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

/** The numbers that a port of the Service has on its Pods, in order and each once: slices of Pods that differ tell several. */
export function podPortsIn(slices: Iterable<SliceFacts>, port: string): readonly number[] {
  const numbers = new Set<number>();
  for (const { ports } of slices) for (const { name, number } of ports) if (name === port) numbers.add(number);
  return [...numbers].sort((a, b) => a - b);
}

/** Whether two states of a slice say the same of ports. */
export function havePortsAlike(a: SliceFacts, b: SliceFacts): boolean {
  return (
    a.service === b.service &&
    a.ports.length === b.ports.length &&
    a.ports.every(({ name, number }, index) => b.ports[index]?.name === name && b.ports[index]?.number === number)
  );
}
