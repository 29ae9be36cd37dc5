import type { AccessIntent, ClientIntent, Intent, MtlsIntent, ServiceAccountIntent } from "../../intent/intent.ts";
import { revisionOf } from "../../intent/revision.ts";
import type { NamespaceInfo } from "../../world.ts";
import type { ServiceView } from "./eligibility.ts";
import { supports } from "./version.ts";

/** Whom a Server lets in by itself, beside those that an AuthorizationPolicy names. */
const ACCESS_POLICIES = [
  "all-unauthenticated",
  "all-authenticated",
  "cluster-unauthenticated",
  "cluster-authenticated",
  "deny",
  "audit",
] as const;
export type AccessPolicy = (typeof ACCESS_POLICIES)[number];

/** What holds on a port without a Server, in an installation that changes nothing. */
const INSTALLED_DEFAULT: AccessPolicy = "all-unauthenticated";
export const DEFAULT_POLICY_ANNOTATION = "config.linkerd.io/default-inbound-policy";

/** What a namespace says of all its Pods; undefined where it says nothing, or what Linkerd does not know. */
export function defaultPolicyIn(namespace: NamespaceInfo | undefined): AccessPolicy | undefined {
  const found = namespace?.annotations[DEFAULT_POLICY_ANNOTATION];
  return ACCESS_POLICIES.find((known) => known === found);
}

/**
 * A Server takes the place of the default of its Pods. One that is there for a limit alone must neither shut a port nor
 * open it, so it repeats what the namespace says; what a Pod says by itself nobody here knows.
 */
export function accessPolicyOf({ mtls, authorization }: Intent, namespace: NamespaceInfo | undefined): AccessPolicy {
  if (authorization !== undefined) return "deny";
  const byDefault = defaultPolicyIn(namespace) ?? INSTALLED_DEFAULT;
  return mtls === undefined ? byDefault : withMtls(byDefault, mtls.mode);
}

/** mTLS says how clients come. From where, and whether any may, is not its to change: that takes another verb. */
function withMtls(byDefault: AccessPolicy, mode: MtlsIntent["mode"]): AccessPolicy {
  if (byDefault === "deny") return "deny";
  const from = byDefault.startsWith("cluster-") ? "cluster" : "all";
  return mode === "Strict" ? `${from}-authenticated` : `${from}-unauthenticated`;
}

/** The part of a MeshTLSAuthentication that Fairlead writes: one of both. */
export type MeshTlsSpec =
  | { readonly identities: readonly string[] }
  | { readonly identityRefs: readonly IdentityRef[] };

export interface NetworkSpec {
  readonly networks: readonly { readonly cidr: string }[];
}

/** The core group by the name that every version of Linkerd reads; the empty one is not read by all. */
export const LINKERD_CORE_GROUP = "core";

/** A Namespace is named, and is in none. */
export interface IdentityRef {
  readonly group: typeof LINKERD_CORE_GROUP;
  readonly kind: "ServiceAccount" | "Namespace";
  readonly name: string;
  readonly namespace?: string;
}

/** Clients that an AuthorizationPolicy lets in: those that fit both, where given; everybody where none is. */
export interface Grant {
  /**
   * Made of what it says, for the names of its objects: none of them ever comes to mean something else, and while a list
   * changes, the clients of the old one and of the new one are let in and no others.
   */
  readonly name: string;
  readonly section: "mtls" | "authorization";
  readonly meshTls?: MeshTlsSpec;
  readonly network?: NetworkSpec;
}

/** Every client that has an identity in the mesh. */
const ANY_IDENTITY: MeshTlsSpec = { identities: ["*"] };

/** Whom a Server lets in by other objects than itself. Before 2.16 it lets in nobody by itself. */
export function grantsOf(intent: Intent, { version, namespace }: ServiceView): readonly Grant[] {
  const { mtls, authorization } = intent;
  const isStrict = mtls?.mode === "Strict";
  if (authorization !== undefined) {
    const grants = (authorization.allow ?? []).map((entry) => grantOf(entry, isStrict));
    return [...new Map(grants.map((grant) => [grant.name, grant])).values()];
  }
  const isSaidByServer = mtls === undefined || supports(version.linkerd, "serverAccessPolicy");
  if (isSaidByServer || accessPolicyOf(intent, namespace) === "deny") return [];
  return [named("mtls", isStrict ? { meshTls: ANY_IDENTITY } : {})];
}

function named(section: Grant["section"], asked: Pick<Grant, "meshTls" | "network">): Grant {
  return { name: revisionOf(asked), section, ...asked };
}

/** Networks alone would let clients in that are not of the mesh. */
function grantOf({ from }: AccessIntent, isStrict: boolean): Grant {
  const identityRefs = from === undefined ? [] : identityRefsOf(from);
  const meshTls = identityRefs.length > 0 ? { identityRefs } : isStrict ? ANY_IDENTITY : undefined;
  const networks = (from?.cidrs ?? []).map((cidr) => ({ cidr }));
  return named("authorization", { ...(meshTls && { meshTls }), ...(networks.length > 0 && { network: { networks } }) });
}

function identityRefsOf({ serviceAccounts, namespaces }: ClientIntent): readonly IdentityRef[] {
  const ofNamespaces = namespaces.map((name) => ({ group: LINKERD_CORE_GROUP, kind: "Namespace", name }) as const);
  return [...serviceAccounts.map(serviceAccountRef), ...ofNamespaces];
}

/** Linkerd knows its control plane and trust domain, and makes the identity of it. */
export function serviceAccountRef({ namespace, name }: ServiceAccountIntent) {
  return { group: LINKERD_CORE_GROUP, kind: "ServiceAccount", name, namespace } as const;
}
