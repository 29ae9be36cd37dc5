import { REGISTRATION_NAME } from "./admission/registration.ts";
import { REPORTS } from "./audit/report.ts";
import {
  COMPANION_KINDS,
  type CompanionKind,
  CORE_GROUP,
  FAIRLEAD_GROUP,
  GATEWAY_GROUP,
  KINDS_BESIDE,
  LINKERD_POLICY_GROUP,
} from "./names.ts";
import { LEASE_NAME } from "./uninstall.ts";

export const ROLES = ["admission", "controller"] as const;
export type Role = (typeof ROLES)[number];

/** One thing that the code of a role asks of the API server. All of them together are its ClusterRole and Role. */
export interface Right {
  readonly apiGroup: string;
  /** Plural, with the subresource: `resiliencepolicies/status`. */
  readonly resources: readonly string[];
  /** Absent: every object. RBAC cannot limit `create` by name, since the name is not known when it is asked. */
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
  /** The whole cluster, or only the namespace that Fairlead runs in. */
  readonly scope: "Cluster" | "OwnNamespace";
  /** Not needed where another tool keeps the certificates (`--certificates external`). */
  readonly selfManagedOnly?: boolean;
  /** What asks for it, for the reader of docs/chart.md. */
  readonly why: string;
}

const WEBHOOK_CONFIGURATIONS = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];

/** What every role watches to know the world (docs/architecture.md, Watching). */
const WATCHED: readonly Right[] = [
  {
    apiGroup: CORE_GROUP,
    resources: ["namespaces", "services"],
    verbs: ["list", "watch"],
    scope: "Cluster",
    why: "modes of namespaces; Services as targets",
  },
  {
    apiGroup: GATEWAY_GROUP,
    resources: ["httproutes", "grpcroutes"],
    verbs: ["list", "watch"],
    scope: "Cluster",
    why: "routes as targets",
  },
  {
    apiGroup: LINKERD_POLICY_GROUP,
    resources: ["httproutes"],
    verbs: ["list", "watch"],
    scope: "Cluster",
    why: "routes as targets",
  },
  {
    apiGroup: "linkerd.io",
    resources: ["serviceprofiles"],
    verbs: ["list", "watch"],
    scope: "Cluster",
    why: "a ServiceProfile switches the settings of its Service off",
  },
  ...onKinds(
    KINDS_BESIDE,
    ["list", "watch"],
    "objects of people that speak of the same Services; those that Fairlead made",
  ),
  {
    apiGroup: "discovery.k8s.io",
    resources: ["endpointslices"],
    verbs: ["list", "watch"],
    scope: "Cluster",
    why: "how many endpoints a Service has, and the numbers of its ports by name, while a policy on Istio depends on them",
  },
  {
    apiGroup: FAIRLEAD_GROUP,
    resources: ["resiliencepolicies", "admissionrules", "ruleexceptions"],
    verbs: ["list", "watch"],
    scope: "Cluster",
    why: "the policies; the rules and who is exempt from them",
  },
  {
    apiGroup: CORE_GROUP,
    resources: ["configmaps"],
    verbs: ["list", "watch"],
    scope: "OwnNamespace",
    why: "params of rules (spec.paramRef)",
  },
];

const ADMISSION: readonly Right[] = [
  ...WATCHED,
  {
    apiGroup: "admissionregistration.k8s.io",
    resources: WEBHOOK_CONFIGURATIONS,
    resourceNames: [REGISTRATION_NAME],
    verbs: ["get"],
    scope: "Cluster",
    why: "readiness: the API server must accept the certificate that is served",
  },
];

/** What the controller writes on objects that people own, and on those that are Fairlead's. */
const WRITTEN: readonly Right[] = [
  {
    apiGroup: CORE_GROUP,
    resources: ["services"],
    verbs: ["get", "patch"],
    scope: "Cluster",
    why: "revision label and settings of existing Services; read again after a write that did not fit",
  },
  {
    apiGroup: GATEWAY_GROUP,
    resources: ["httproutes"],
    verbs: ["get", "create", "patch", "delete"],
    scope: "Cluster",
    why: "as for Services; the HTTPRoutes made of spec.routes (server-side apply asks for create and patch)",
  },
  {
    apiGroup: GATEWAY_GROUP,
    resources: ["grpcroutes"],
    verbs: ["get", "patch"],
    scope: "Cluster",
    why: "as for Services",
  },
  {
    apiGroup: LINKERD_POLICY_GROUP,
    resources: ["httproutes"],
    verbs: ["get", "patch"],
    scope: "Cluster",
    why: "as for Services",
  },
  ...onKinds(
    COMPANION_KINDS,
    ["create", "patch", "delete"],
    "the objects that carry settings beside Services (server-side apply asks for create and patch)",
  ),
  {
    apiGroup: FAIRLEAD_GROUP,
    resources: ["resiliencepolicies"],
    verbs: ["patch"],
    scope: "Cluster",
    why: "the finalizer fairlead.dev/cleanup",
  },
  {
    apiGroup: FAIRLEAD_GROUP,
    resources: ["resiliencepolicies/status"],
    verbs: ["patch"],
    scope: "Cluster",
    why: "status and conditions",
  },
  {
    apiGroup: FAIRLEAD_GROUP,
    resources: ["resiliencepolicies/finalizers"],
    verbs: ["update"],
    scope: "Cluster",
    why: "asked by the API server for blockOwnerDeletion, where OwnerReferencesPermissionEnforcement is on (OpenShift)",
  },
  {
    apiGroup: FAIRLEAD_GROUP,
    resources: ["admissionrules/status"],
    verbs: ["patch"],
    scope: "Cluster",
    why: "whether a rule is accepted and in force",
  },
  {
    apiGroup: REPORTS.group,
    resources: [REPORTS.resource],
    verbs: ["get", "list", "create", "patch", "delete"],
    scope: "Cluster",
    why: "what the audit finds, where the CRD of openreports.io is installed",
  },
  {
    apiGroup: "apps",
    resources: ["controllerrevisions"],
    verbs: ["list", "watch", "create", "patch", "delete"],
    scope: "Cluster",
    why: "the accepted specs of each policy",
  },
  {
    apiGroup: CORE_GROUP,
    resources: ["events"],
    verbs: ["create", "patch"],
    scope: "Cluster",
    why: "Events about policies, in their namespaces",
  },
];

/** What the controller keeps for Fairlead itself. */
const KEPT: readonly Right[] = [
  {
    apiGroup: "admissionregistration.k8s.io",
    resources: WEBHOOK_CONFIGURATIONS,
    resourceNames: [REGISTRATION_NAME],
    verbs: ["get", "patch"],
    scope: "Cluster",
    why: "caBundle, path and the entries of rules; the chart creates and deletes the configurations",
  },
  {
    apiGroup: "coordination.k8s.io",
    resources: ["leases"],
    verbs: ["create"],
    scope: "OwnNamespace",
    why: "leader election, the first time",
  },
  {
    apiGroup: "coordination.k8s.io",
    resources: ["leases"],
    resourceNames: [LEASE_NAME],
    verbs: ["get", "update"],
    scope: "OwnNamespace",
    why: "leader election",
  },
  {
    apiGroup: CORE_GROUP,
    resources: ["secrets"],
    verbs: ["create"],
    scope: "OwnNamespace",
    why: "the Secrets below, the first time",
  },
  {
    apiGroup: CORE_GROUP,
    resources: ["secrets"],
    resourceNames: ["fairlead-path"],
    verbs: ["get", "update"],
    scope: "OwnNamespace",
    why: "the part of the admission paths that nobody can guess",
  },
  {
    apiGroup: CORE_GROUP,
    resources: ["secrets"],
    resourceNames: ["fairlead-ca", "fairlead-tls"],
    verbs: ["get", "update"],
    scope: "OwnNamespace",
    selfManagedOnly: true,
    why: "the CA, and the serving certificate that admission mounts",
  },
];

/** Everything that the code of each role asks of the API server; discovery needs no right. */
export const RIGHTS: Readonly<Record<Role, readonly Right[]>> = {
  admission: ADMISSION,
  controller: [...WATCHED, ...WRITTEN, ...KEPT],
};

/** Group by group. */
function onKinds(kinds: readonly CompanionKind[], verbs: readonly string[], why: string): readonly Right[] {
  const byGroup = Map.groupBy(kinds, ({ group }) => group);
  return [...byGroup].map(([apiGroup, ofGroup]) => {
    const resources = ofGroup.map(({ resource }) => resource);
    return { apiGroup, resources, verbs, scope: "Cluster", why };
  });
}
