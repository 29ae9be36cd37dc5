/** Names that Fairlead puts on, or reads from, other people's objects (docs/policy.md, docs/architecture.md). */

/** Namespace label that opts a namespace in; values are {@link MODES}. */
export const MODE_LABEL = "fairlead.dev/mode";
/** On every Namespace, put there by the API server. */
export const NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name";
/** Label on one Service or route: `disabled` stops injection there, `enabled` includes one owned by a controller. */
export const INJECT_LABEL = "fairlead.dev/inject";
export const INJECT_VALUES: readonly string[] = ["enabled", "disabled"];
/** Label that shows the revision in force on a target. Only shown, never read back as truth. */
export const REVISION_LABEL = "fairlead.dev/revision";
/** Annotation that records what Fairlead wrote on an object, so that removal is exact. */
export const RECORD_ANNOTATION = "fairlead.dev/injected";

/** On every object that Fairlead owns: stored revisions, generated routes. */
export const MANAGED_BY_LABEL = "app.kubernetes.io/managed-by";
export const MANAGED_BY = "fairlead";
/** Owner of the fields that Fairlead writes, in managedFields. */
export const FIELD_MANAGER = "fairlead";
/** On every object that belongs to one policy: the uid of that policy, so that a namesake made later is another one. */
export const POLICY_UID_LABEL = "fairlead.dev/policy-uid";
/**
 * On generated routes: a hash of what Fairlead wrote on them. It tells that a setting is no longer wanted, which the
 * values that are still wanted cannot tell.
 */
export const GENERATED_ANNOTATION = "fairlead.dev/generated";
/**
 * On objects that Fairlead makes for Pods of a Service on Istio: the numbers that its ports have there, as JSON, by what the
 * Service has for them. They count as long as no EndpointSlice tells any.
 */
export const POD_PORTS_ANNOTATION = "fairlead.dev/pod-ports";
/** Finalizer of policies: holds a deletion back until their settings are off the targets. */
export const CLEANUP_FINALIZER = "fairlead.dev/cleanup";

export const MODES = ["enforce", "warn", "audit"] as const;
export type Mode = (typeof MODES)[number];

export const MESH_NAMES = ["Linkerd", "Istio"] as const;
export type MeshName = (typeof MESH_NAMES)[number];

export const CORE_GROUP = "";
export const GATEWAY_GROUP = "gateway.networking.k8s.io";
export const LINKERD_POLICY_GROUP = "policy.linkerd.io";
export const ISTIO_NETWORKING_GROUP = "networking.istio.io";
export const ISTIO_SECURITY_GROUP = "security.istio.io";
export const FAIRLEAD_GROUP = "fairlead.dev";

/** Never matched by a webhook, never touched by the controller; Fairlead's own namespace comes on top (docs/policy.md). */
export const EXCLUDED_NAMESPACES = ["kube-system", "kube-node-lease", "linkerd", "istio-system"] as const;

/** Target kinds, each with the only API group in which it may be a target. */
export const TARGET_KINDS = [
  { group: CORE_GROUP, kind: "Service", resource: "services" },
  { group: GATEWAY_GROUP, kind: "HTTPRoute", resource: "httproutes" },
  { group: LINKERD_POLICY_GROUP, kind: "HTTPRoute", resource: "httproutes" },
  { group: GATEWAY_GROUP, kind: "GRPCRoute", resource: "grpcroutes" },
] as const;
export type TargetKind = (typeof TARGET_KINDS)[number];
export const SERVICE_KIND = TARGET_KINDS[0];
/**
 * Stands for the entry of requests that fit no entry of a policy. People hardly choose this name; where one does, the
 * names of both generated routes get a hash.
 */
export const REST_ENTRY = "fairlead-rest";

/** A kind of objects that a mesh wants beside a Service, with the only API group in which it is looked for. */
export interface CompanionKind {
  readonly mesh: MeshName;
  readonly group: string;
  readonly kind: string;
  /** Plural, lower case. */
  readonly resource: string;
  /** Lower ranks of a mesh are written first and taken away last. */
  readonly rank: number;
  /** How an object says what it is for: by the host of a Service, or by Pods of its namespace. */
  readonly speaksOf: "host" | "Pods";
  /** Sections whose objects keep somebody out: while one is asked for, none goes only because it cannot be written. */
  readonly guards?: readonly ("mtls" | "authorization")[];
}

export const DESTINATION_RULE: CompanionKind = {
  mesh: "Istio",
  group: ISTIO_NETWORKING_GROUP,
  kind: "DestinationRule",
  resource: "destinationrules",
  rank: 0,
  speaksOf: "host",
};
/** It may name a subset of a DestinationRule, and without it answers 503. */
export const VIRTUAL_SERVICE: CompanionKind = {
  mesh: "Istio",
  group: ISTIO_NETWORKING_GROUP,
  kind: "VirtualService",
  resource: "virtualservices",
  rank: 1,
  speaksOf: "host",
};
/** Before what tells clients apart by the identity that they have by mutual TLS only. */
export const PEER_AUTHENTICATION: CompanionKind = {
  mesh: "Istio",
  group: ISTIO_SECURITY_GROUP,
  kind: "PeerAuthentication",
  resource: "peerauthentications",
  rank: 0,
  speaksOf: "Pods",
  guards: ["mtls"],
};
export const ISTIO_AUTHORIZATION_POLICY: CompanionKind = {
  mesh: "Istio",
  group: ISTIO_SECURITY_GROUP,
  kind: "AuthorizationPolicy",
  resource: "authorizationpolicies",
  rank: 1,
  speaksOf: "Pods",
  guards: ["authorization"],
};
export const ENVOY_FILTER: CompanionKind = {
  mesh: "Istio",
  group: ISTIO_NETWORKING_GROUP,
  kind: "EnvoyFilter",
  resource: "envoyfilters",
  rank: 2,
  speaksOf: "Pods",
};
/** What Linkerd's AuthorizationPolicies ask of a client. */
export const MESH_TLS_AUTHENTICATION = linkerdKind("MeshTLSAuthentication", "meshtlsauthentications", 0);
export const NETWORK_AUTHENTICATION = linkerdKind("NetworkAuthentication", "networkauthentications", 0);
/** One that names an authentication which is not there lets nobody in. */
export const LINKERD_AUTHORIZATION_POLICY = linkerdKind("AuthorizationPolicy", "authorizationpolicies", 1);
/** It lets nobody in but those that an AuthorizationPolicy names, unless it says otherwise. */
export const SERVER = linkerdKind("Server", "servers", 2);
export const HTTP_LOCAL_RATE_LIMIT_POLICY = linkerdKind("HTTPLocalRateLimitPolicy", "httplocalratelimitpolicies", 3);

/** Any but a limit is part of what keeps clients out. */
function linkerdKind(kind: string, resource: string, rank: number): CompanionKind {
  const guards = kind === "HTTPLocalRateLimitPolicy" ? {} : { guards: ["mtls", "authorization"] as const };
  return { mesh: "Linkerd", group: LINKERD_POLICY_GROUP, kind, resource, rank, speaksOf: "Pods", ...guards };
}

export const COMPANION_KINDS: readonly CompanionKind[] = [
  DESTINATION_RULE,
  VIRTUAL_SERVICE,
  PEER_AUTHENTICATION,
  ISTIO_AUTHORIZATION_POLICY,
  ENVOY_FILTER,
  MESH_TLS_AUTHENTICATION,
  NETWORK_AUTHENTICATION,
  LINKERD_AUTHORIZATION_POLICY,
  SERVER,
  HTTP_LOCAL_RATE_LIMIT_POLICY,
];

export function companionKindOf(group: string, kind: string): CompanionKind | undefined {
  return COMPANION_KINDS.find((entry) => entry.kind === kind && entry.group === group);
}

/** The older kind by which people let clients into a Server. Fairlead writes none. */
export const SERVER_AUTHORIZATION: CompanionKind = {
  mesh: "Linkerd",
  group: LINKERD_POLICY_GROUP,
  kind: "ServerAuthorization",
  resource: "serverauthorizations",
  rank: 0,
  speaksOf: "Pods",
};

/** Of their objects those of people are known, too: what they mean for a companion is told. */
export const KINDS_BESIDE: readonly CompanionKind[] = [...COMPANION_KINDS, SERVER_AUTHORIZATION];

export function isKindBeside(group: string, kind: string): boolean {
  return KINDS_BESIDE.some((entry) => entry.kind === kind && entry.group === group);
}

const COMPANION_PREFIX = "fairlead-";

/**
 * The name of a companion of a Service. The name of a Service has no dot, so one stands before what tells several
 * companions of one kind apart; 63 characters of the one and of the other leave room.
 */
export function companionName(service: string, part = ""): string {
  return COMPANION_PREFIX + service + (part === "" ? "" : `.${part}`);
}

/** The Service of a companion, by its name. */
export function serviceOfCompanion(name: string): string {
  return name.slice(COMPANION_PREFIX.length).split(".", 1)[0] ?? "";
}

/** The kind of the routes that Fairlead generates. */
export const GATEWAY_HTTP_ROUTE = TARGET_KINDS[1];

export function targetKindOf(group: string, kind: string): TargetKind | undefined {
  return TARGET_KINDS.find((entry) => entry.kind === kind && entry.group === group);
}
