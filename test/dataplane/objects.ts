/** Objects that the harness itself needs. Each is written as a person would write it. */

import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import type { ProxyIdentity } from "../../src/dev/mesh/bootstrap.ts";

export type ApiObject = KubernetesObject & Readonly<Record<string, unknown>>;

export const NAMESPACE = "shop";
const NETWORKING = "networking.istio.io/v1";

/** The name under which clients ask for a Service, whatever namespace they are in. */
export function hostOf(service: string): string {
  return `${service}.${NAMESPACE}.svc.cluster.local`;
}

export interface ServiceOptions {
  /** The pods that it leads to; those of its own name unless told. */
  readonly app?: string;
  /** What its port is called, and thereby what Istio takes it for; `http` unless told. */
  readonly protocol?: Protocol;
  /** It has no address of its own: clients find those of its pods. */
  readonly isHeadless?: boolean;
}

export type Protocol = "http" | "tcp";

/** A Service of pods. No controller runs, so that nobody but the harness writes its endpoints. */
export function service(name: string, targetPort: number, options: ServiceOptions = {}): ApiObject {
  const { app = name, protocol = "http", isHeadless = false } = options;
  const ports = [{ name: protocol, port: servicePort(targetPort, protocol), targetPort }];
  const spec = { selector: { app }, ports, ...(isHeadless && { clusterIP: "None" }) };
  return { apiVersion: "v1", kind: "Service", metadata: { name, namespace: NAMESPACE }, spec };
}

/** A proxy tells Services with HTTP apart by the host that is asked for, and others by the port alone. */
export function servicePort(targetPort: number, protocol: Protocol = "http"): number {
  return protocol === "http" ? 80 : targetPort;
}

/** The endpoints of a Service, which are ready; those with a proxy have a pod, see {@link proxiedPod}. */
export function endpointSlice(name: string, options: EndpointOptions): ApiObject {
  const { addresses, port, protocol = "http", proxied } = options;
  const pod = (address: string) => ({ targetRef: { kind: "Pod", name: podName(address), namespace: NAMESPACE } });
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name, namespace: NAMESPACE, labels: { "kubernetes.io/service-name": name } },
    addressType: "IPv4",
    ports: [{ name: protocol, port, protocol: "TCP" }],
    endpoints: addresses.map((address) => ({
      addresses: [address],
      conditions: { ready: true },
      ...(proxied ? pod(address) : {}),
    })),
  };
}

export interface EndpointOptions {
  readonly addresses: readonly string[];
  readonly port: number;
  /** As the Service has it. */
  readonly protocol?: Protocol;
  readonly proxied: boolean;
}

/** A pod that no kubelet runs. It is there for its labels, of which one says that there is a proxy that speaks mTLS. */
export function proxiedPod(app: string, address: string): ApiObject {
  const labels = { app, "security.istio.io/tlsMode": "istio" };
  const spec = { nodeName: "none", serviceAccountName: app, containers: [{ name: "server", image: "none" }] };
  return { apiVersion: "v1", kind: "Pod", metadata: { name: podName(address), namespace: NAMESPACE, labels }, spec };
}

/** What a kubelet would say of that pod. */
export function runningStatus(pod: ApiObject, address: string): ApiObject {
  const status = {
    phase: "Running",
    podIP: address,
    podIPs: [{ ip: address }],
    conditions: [{ type: "Ready", status: "True" }],
  };
  return { apiVersion: "v1", kind: "Pod", metadata: pod.metadata ?? {}, status };
}

function podName(address: string): string {
  return `pod-${address.replaceAll(".", "-")}`;
}

/** Makes the proxy of this workload listen at an address of its own, on the port of every Service. */
export function clientSidecar({ name, namespace }: ProxyIdentity, bind: string): ApiObject {
  const egress = [{ bind, captureMode: "NONE", hosts: ["*/*"] }];
  return sidecar({ name, namespace }, { egress });
}

export interface InboundOptions {
  readonly address: string;
  readonly ports: readonly { readonly port: number; readonly protocol?: Protocol }[];
  readonly bind: string;
  readonly backendPort: number;
}

/** Makes the proxy of this workload stand before a backend on 127.0.0.1, at ports of the pod, all of which lead there. */
export function serverSidecar(name: string, options: InboundOptions): ApiObject {
  const { address, ports, bind, backendPort } = options;
  const ingress = ports.map(({ port, protocol = "http" }) => ({
    port: { number: port, protocol: protocol.toUpperCase(), name: `${protocol}-${port}` },
    bind: address,
    captureMode: "NONE",
    defaultEndpoint: `127.0.0.1:${backendPort}`,
  }));
  const egress = [{ bind, captureMode: "NONE", hosts: [`./${hostOf(BARRIER)}`] }];
  return sidecar({ name, namespace: NAMESPACE }, { ingress, egress });
}

function sidecar(metadata: { readonly name: string; readonly namespace: string }, spec: object): ApiObject {
  const workloadSelector = { labels: { app: metadata.name } };
  return { apiVersion: NETWORKING, kind: "Sidecar", metadata, spec: { workloadSelector, ...spec } };
}

/** The Service that exists only to be asked how far a proxy is. */
export const BARRIER = "barrier";

/** Makes every proxy answer for the barrier itself, with the number of the step. */
export function barrierRoute(step: number): ApiObject {
  return {
    apiVersion: NETWORKING,
    kind: "VirtualService",
    metadata: { name: BARRIER, namespace: NAMESPACE },
    spec: {
      hosts: [hostOf(BARRIER)],
      http: [{ directResponse: { status: 200, body: { string: String(step) } } }],
    },
  };
}

/** Has the API server ask istiod about every object of Istio, and refuse what istiod refuses. */
export function validatingWebhook(url: string, caPem: string): ApiObject {
  const webhook = {
    name: "validation.istio.io",
    clientConfig: { url, caBundle: Buffer.from(caPem).toString("base64") },
    rules: [
      {
        apiGroups: ["networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io"],
        apiVersions: ["*"],
        resources: ["*"],
        operations: ["CREATE", "UPDATE"],
      },
    ],
    failurePolicy: "Fail",
    sideEffects: "None",
    admissionReviewVersions: ["v1"],
  };
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata: { name: "istiod" },
    webhooks: [webhook],
  };
}
