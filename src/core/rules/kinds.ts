import { CORE_GROUP, FAIRLEAD_GROUP, GATEWAY_GROUP, LINKERD_POLICY_GROUP } from "../names.ts";
import type { Shape } from "./schema-shape.ts";
import { GRPC_ROUTE } from "./schemas/grpcroute.ts";
import { HTTP_ROUTE } from "./schemas/httproute.ts";
import { RESILIENCE_POLICY } from "./schemas/resiliencepolicy.ts";
import { SERVICE } from "./schemas/service.ts";

/** What a rule may match, as a resource rule names it. `*` as the version means any. */
export interface ResourceName {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
}

/** What is known of a kind before an object of it is seen. */
export interface RuleKind {
  readonly kind: string;
  readonly namespaced: boolean;
  readonly shape: Shape;
}

/** Kinds beside those that Fairlead knows by itself: what the API server says of them. */
export interface RuleKinds {
  ruleKind(name: ResourceName): RuleKind | undefined;
}

/** Kinds whose fields are always known, whatever the version. */
export const KNOWN_KINDS: readonly (RuleKind & { readonly group: string; readonly resource: string })[] = [
  known(CORE_GROUP, "services", { kind: "Service", shape: SERVICE }),
  known(GATEWAY_GROUP, "httproutes", { kind: "HTTPRoute", shape: HTTP_ROUTE }),
  // Linkerd's own has no field that the one of the Gateway API lacks.
  known(LINKERD_POLICY_GROUP, "httproutes", { kind: "HTTPRoute", shape: HTTP_ROUTE }),
  known(GATEWAY_GROUP, "grpcroutes", { kind: "GRPCRoute", shape: GRPC_ROUTE }),
  known(FAIRLEAD_GROUP, "resiliencepolicies", { kind: "ResiliencePolicy", shape: RESILIENCE_POLICY }),
];

function known(group: string, resource: string, { kind, shape }: { readonly kind: string; readonly shape: Shape }) {
  return { group, resource, kind, shape, namespaced: true };
}

/** Groups that no rule may match: a cluster that cannot write there cannot heal itself. */
const FORBIDDEN_GROUPS: ReadonlySet<string> = new Set([
  "admissionregistration.k8s.io",
  "apiextensions.k8s.io",
  "apiregistration.k8s.io",
  "authentication.k8s.io",
  "authorization.k8s.io",
  "certificates.k8s.io",
  "coordination.k8s.io",
  "events.k8s.io",
  "flowcontrol.apiserver.k8s.io",
  "internal.apiserver.k8s.io",
  "storagemigration.k8s.io",
]);
/** Of the core group. The webhook is never asked for what belongs to no namespace. */
const FORBIDDEN_CORE: ReadonlySet<string> = new Set(["bindings", "events"]);

/** Kinds of Kubernetes that belong to no namespace, by group; of others the API server knows it. */
const CLUSTER_SCOPED: ReadonlyMap<string, readonly string[]> = new Map([
  [CORE_GROUP, ["componentstatuses", "namespaces", "nodes", "persistentvolumes"]],
  ["networking.k8s.io", ["ingressclasses", "ipaddresses", "servicecidrs"]],
  ["node.k8s.io", ["runtimeclasses"]],
  ["rbac.authorization.k8s.io", ["clusterrolebindings", "clusterroles"]],
  ["resource.k8s.io", ["deviceclasses", "devicetaintrules", "resourceslices"]],
  ["scheduling.k8s.io", ["priorityclasses"]],
  ["storage.k8s.io", ["csidrivers", "csinodes", "storageclasses", "volumeattachments", "volumeattributesclasses"]],
  [GATEWAY_GROUP, ["gatewayclasses"]],
  [FAIRLEAD_GROUP, ["admissionrules"]],
]);

export function isForbiddenGroup(group: string): boolean {
  return FORBIDDEN_GROUPS.has(group);
}

/** Why no rule may match a resource; undefined where it may. */
export function whyForbidden(
  { group, resource }: Omit<ResourceName, "version">,
  isCluster = false,
): string | undefined {
  if (resource.includes("/")) return "subresources are never sent to Fairlead";
  if (isForbiddenGroup(group)) return `a cluster that cannot write ${group} cannot heal itself`;
  if (group === "*" && resource === "*") return "that includes what a cluster cannot do without";
  if (group === CORE_GROUP && resource === "*") return "that includes Events, which a cluster cannot do without";
  if (group === CORE_GROUP && FORBIDDEN_CORE.has(resource)) return `a cluster cannot do without ${resource}`;
  const isKnown = [...CLUSTER_SCOPED].some(([other, resources]) => isIn(group, other) && resources.includes(resource));
  if (isCluster || isKnown) return "it belongs to no namespace, and rules hold in namespaces";
  return group === "*" ? whyForbiddenAnywhere(resource) : undefined;
}

/** A resource by its name alone, in whatever group it is. */
function whyForbiddenAnywhere(resource: string): string | undefined {
  if (FORBIDDEN_CORE.has(resource)) return `a cluster cannot do without ${resource}`;
  return FORBIDDEN_RESOURCES.has(resource) ? `a cluster cannot heal itself without ${resource}` : undefined;
}

/** The resources of {@link FORBIDDEN_GROUPS}. */
const FORBIDDEN_RESOURCES: ReadonlySet<string> = new Set([
  "apiservices",
  "certificatesigningrequests",
  "clustertrustbundles",
  "customresourcedefinitions",
  "flowschemas",
  "leasecandidates",
  "leases",
  "localsubjectaccessreviews",
  "mutatingadmissionpolicies",
  "mutatingadmissionpolicybindings",
  "mutatingwebhookconfigurations",
  "podcertificaterequests",
  "prioritylevelconfigurations",
  "selfsubjectaccessreviews",
  "selfsubjectreviews",
  "selfsubjectrulesreviews",
  "storageversionmigrations",
  "storageversions",
  "subjectaccessreviews",
  "tokenreviews",
  "validatingadmissionpolicies",
  "validatingadmissionpolicybindings",
  "validatingwebhookconfigurations",
]);

function isIn(group: string, other: string): boolean {
  return group === "*" || group === other;
}
