import type { KubernetesObject } from "../../src/core/kubernetes.ts";

/**
 * What Linkerd's proxies do with the objects and annotations that they get, read anew from its documentation and not
 * from what writes them: who is let in at a port of a Pod, how much of it, and what a client does about its requests.
 */

export interface Pod {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Names of its ports. */
  readonly ports: Readonly<Record<string, number>>;
  /** `config.linkerd.io/default-inbound-policy`, as it stands on the Pod or is inherited. */
  readonly defaultPolicy: string;
}

export interface Client {
  /** Absent: it is not of the mesh. */
  readonly account?: { readonly namespace: string; readonly name: string };
  /** An address of IPv4. */
  readonly address: string;
}

interface Reference {
  readonly group?: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
}

interface ServerSpec {
  readonly podSelector: { readonly matchLabels: Readonly<Record<string, string>> };
  readonly port: number | string;
  readonly proxyProtocol?: string;
  readonly accessPolicy?: string;
}

interface AccessSpec {
  readonly targetRef: Reference;
  readonly requiredAuthenticationRefs: readonly Reference[];
}

interface LimitSpec {
  readonly targetRef: Reference;
  readonly total?: Limit;
  readonly identity?: Limit;
  readonly overrides?: readonly (Limit & { readonly clientRefs: readonly Reference[] })[];
}

interface Limit {
  readonly requestsPerSecond: number;
}

const GROUP = "policy.linkerd.io";
/** `clusterNetworks` of the installation. */
const CLUSTER_NETWORK = "10.0.0.0/8";

/** Whether a request of the client gets past the proxy; every probe of the kubelet over HTTP does, without routes. */
export function letsIn(objects: readonly KubernetesObject[], at: { pod: Pod; port: number }, client: Client): boolean {
  const server = serverOf(objects, at);
  if (server === undefined) return admits(at.pod.defaultPolicy, client);
  // What a Server does not say by itself it refuses, and before v1beta3 it has no way to say it.
  const { accessPolicy = "deny" } = server.spec as ServerSpec;
  if (server.apiVersion !== `${GROUP}/v1beta3` && accessPolicy !== "deny")
    throw new Error("no such field before v1beta3");
  return admits(accessPolicy, client) || grants(objects, server).some((refs) => refs.every((ref) => fits(ref, client)));
}

function admits(policy: string, { account, address }: Client): boolean {
  if (policy === "deny") return false;
  const [from, who, ...more] = policy.split("-");
  const isRead = (from === "all" || from === "cluster") && (who === "authenticated" || who === "unauthenticated");
  if (!isRead || more.length > 0) throw new Error(`Nobody here writes "${policy}"`);
  return (from === "all" || isWithin(address, CLUSTER_NETWORK)) && (who === "unauthenticated" || account !== undefined);
}

/** Of several Servers the older one, then by name. */
function serverOf(objects: readonly KubernetesObject[], { pod, port }: { pod: Pod; port: number }) {
  const found = objects.filter(({ kind, metadata, spec }) => {
    if (kind !== "Server" || metadata?.namespace !== pod.namespace) return false;
    const { podSelector, port: own } = spec as ServerSpec;
    const isPort = typeof own === "number" ? own === port : pod.ports[own] === port;
    return isPort && Object.entries(podSelector.matchLabels).every(([key, value]) => pod.labels[key] === value);
  });
  const age = ({ metadata }: KubernetesObject) => `${metadata?.creationTimestamp ?? ""} ${metadata?.name}`;
  return found.sort((a, b) => (age(a) < age(b) ? -1 : 1))[0];
}

/** For each policy that counts, what it asks of a client; one that names what is not there does not count. */
function grants(
  objects: readonly KubernetesObject[],
  server: KubernetesObject,
): readonly (readonly KubernetesObject[])[] {
  const { namespace, name } = server.metadata ?? {};
  return objects.flatMap(({ apiVersion, kind, metadata, spec }) => {
    if (kind !== "AuthorizationPolicy" || apiVersion !== `${GROUP}/v1alpha1` || metadata?.namespace !== namespace)
      return [];
    const { targetRef, requiredAuthenticationRefs } = spec as AccessSpec;
    if (targetRef.group !== GROUP || targetRef.kind !== "Server" || targetRef.name !== name) return [];
    const kinds = requiredAuthenticationRefs.map((ref) => ref.kind);
    if (new Set(kinds).size !== kinds.length) throw new Error(`Linkerd takes one of each: ${kinds.join()}`);
    const asked = requiredAuthenticationRefs.map((ref) => objects.find((object) => isNamed(object, ref)));
    return asked.includes(undefined) ? [] : [asked.filter((object) => object !== undefined)];
  });
}

function isNamed({ apiVersion, kind, metadata }: KubernetesObject, ref: Reference): boolean {
  const isKind = ref.group === GROUP && apiVersion === `${GROUP}/v1alpha1` && kind === ref.kind;
  return isKind && metadata?.name === ref.name && metadata.namespace === ref.namespace;
}

function fits({ kind, spec }: KubernetesObject, { account, address }: Client): boolean {
  if (kind === "NetworkAuthentication") {
    return (spec as { networks: readonly { cidr: string }[] }).networks.some(({ cidr }) => isWithin(address, cidr));
  }
  const { identities, identityRefs } = spec as { identities?: readonly string[]; identityRefs?: readonly Reference[] };
  if ((identities === undefined) === (identityRefs === undefined)) throw new Error("Linkerd takes one of both");
  if (account === undefined) return false;
  if (identities !== undefined) {
    if (identities.join() !== "*") throw new Error(`Nobody here writes ${identities.join()}`);
    return true;
  }
  return (identityRefs ?? []).some((ref) => isClient(ref, account));
}

/** References to the core group say so by one of two names, and a Namespace is in none. */
function isClient(
  { group, kind, name, namespace }: Reference,
  account: Reference | Required<Client>["account"],
): boolean {
  if (group !== "core" && group !== "") throw new Error(`Linkerd refuses the group ${group} here`);
  if (kind === "Namespace" && namespace === undefined) return name === account.namespace;
  if (kind !== "ServiceAccount") throw new Error(`Linkerd refuses ${kind} in ${namespace}`);
  return name === account.name && namespace === account.namespace;
}

function isWithin(address: string, cidr: string): boolean {
  const [network = "", length = "32"] = cidr.split("/");
  const bits = (text: string): number => text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - Number(length));
  return Math.floor(bits(address) / size) === Math.floor(bits(network) / size);
}

/** Requests a second: of all clients together, and of the client, with those that share it. */
export interface Limits {
  readonly total: number;
  readonly client: { readonly requestsPerSecond: number; readonly of: "itself" | "override" | "strangers" } | undefined;
}

/** Undefined: no limit at all. */
export function limitsOf(
  objects: readonly KubernetesObject[],
  at: { pod: Pod; port: number },
  { account }: Client,
): Limits | undefined {
  const server = serverOf(objects, at);
  const found = objects.filter(({ kind, metadata, spec }) => {
    if (kind !== "HTTPLocalRateLimitPolicy" || metadata?.namespace !== at.pod.namespace) return false;
    const { group, kind: of, name } = (spec as LimitSpec).targetRef;
    return server !== undefined && group === GROUP && of === "Server" && name === server.metadata?.name;
  });
  if (found.length > 1) throw new Error("Linkerd takes one limit for a Server");
  const [limit] = found;
  if (limit === undefined || server === undefined) return undefined;
  if ((server.spec as ServerSpec).proxyProtocol === "opaque") throw new Error("An opaque port has no requests");
  const { total, identity, overrides = [] } = limit.spec as LimitSpec;
  const all = [total, identity, ...overrides].flatMap((limit) => limit?.requestsPerSecond ?? []);
  if (total === undefined || all.some((rate) => rate < 1 || rate > total.requestsPerSecond)) {
    throw new Error(`Linkerd refuses ${all.join()}`);
  }
  const own = account && overrides.find(({ clientRefs }) => clientRefs.some((ref) => isClient(ref, account)));
  const of = own ? "override" : account ? "itself" : "strangers";
  const { requestsPerSecond } = own ?? identity ?? {};
  return {
    total: total.requestsPerSecond,
    client: requestsPerSecond === undefined ? undefined : { requestsPerSecond, of },
  };
}
