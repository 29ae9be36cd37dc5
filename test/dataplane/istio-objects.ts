/** Objects of Istio as a person would write them. */

import { type ApiObject, hostOf, NAMESPACE } from "./objects.ts";

export function virtualService(service: string, http: readonly object[]): ApiObject {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name: service, namespace: NAMESPACE },
    spec: { hosts: [hostOf(service)], http },
  };
}

/** Every workload of the namespace answers clients with mutual TLS only. */
export function strictNamespace(): ApiObject {
  return {
    apiVersion: "security.istio.io/v1",
    kind: "PeerAuthentication",
    metadata: { name: "default", namespace: NAMESPACE },
    spec: { mtls: { mode: "STRICT" } },
  };
}
