import type { Shape } from "../schema-shape.ts";

const GROUP_VERSION_KIND: Shape = {
  "@": "kubernetes.GroupVersionKind",
  group: "string",
  version: "string",
  kind: "string",
};
const GROUP_VERSION_RESOURCE: Shape = {
  "@": "kubernetes.GroupVersionResource",
  group: "string",
  version: "string",
  resource: "string",
};

/** `request` of a ValidatingAdmissionPolicy (BuildRequestType of k8s.io/apiserver/pkg/admission/plugin/cel). */
export const ADMISSION_REQUEST: Shape = {
  "@": "kubernetes.AdmissionRequest",
  kind: GROUP_VERSION_KIND,
  resource: GROUP_VERSION_RESOURCE,
  subResource: "string",
  requestKind: GROUP_VERSION_KIND,
  requestResource: GROUP_VERSION_RESOURCE,
  requestSubResource: "string",
  name: "string",
  namespace: "string",
  operation: "string",
  userInfo: {
    "@": "kubernetes.UserInfo",
    username: "string",
    uid: "string",
    groups: ["string"],
    extra: { "*": ["string"] },
  },
  dryRun: "bool",
  options: "dyn",
};

/**
 * `namespaceObject` of a ValidatingAdmissionPolicy (BuildNamespaceType of the same package), whose `UID` is left out:
 * no Namespace has a field of that name.
 */
export const NAMESPACE: Shape = {
  "@": "kubernetes.Namespace",
  metadata: {
    "@": "kubernetes.NamespaceMetadata",
    name: "string",
    generateName: "string",
    namespace: "string",
    labels: { "*": "string" },
    annotations: { "*": "string" },
    creationTimestamp: "timestamp",
    deletionGracePeriodSeconds: "int",
    deletionTimestamp: "timestamp",
    generation: "int",
    resourceVersion: "string",
    finalizers: ["string"],
  },
  spec: { "@": "kubernetes.NamespaceSpec", finalizers: ["string"] },
  status: {
    "@": "kubernetes.NamespaceStatus",
    conditions: [
      {
        "@": "kubernetes.NamespaceCondition",
        status: "string",
        type: "string",
        lastTransitionTime: "timestamp",
        message: "string",
        reason: "string",
      },
    ],
    phase: "string",
  },
};
