import type { Intent, RateLimitIntent, Section } from "../../intent/intent.ts";
import type { Service } from "../../kubernetes.ts";
import {
  type CompanionKind,
  companionName,
  HTTP_LOCAL_RATE_LIMIT_POLICY,
  LINKERD_AUTHORIZATION_POLICY,
  LINKERD_POLICY_GROUP,
  MESH_TLS_AUTHENTICATION,
  NETWORK_AUTHENTICATION,
  SERVER,
  SERVICE_KIND,
} from "../../names.ts";
import type { Companion } from "../companion.ts";
import { POD_SECTIONS, podLabels } from "../pods.ts";
import { withoutRefused } from "../refused.ts";
import { accessPolicyOf, type Grant, grantsOf, serviceAccountRef } from "./access.ts";
import { compileForLinkerd } from "./compile.ts";
import { type InboundPort, inboundPorts, type ServiceView } from "./eligibility.ts";
import type { LinkerdHost } from "./inbound.ts";
import { supports } from "./version.ts";

/**
 * For each port of the Pods a Server, which is what the others refer to; what is asked of clients, once for all ports;
 * and the limit of each port that speaks HTTP. An opaque port has no requests, but clients all the same.
 */
export function linkerdCompanions({ service, intent }: LinkerdHost): readonly Companion[] {
  const { linkerd } = service.version;
  const possible = withoutRefused(intent, compileForLinkerd(intent, SERVICE_KIND, linkerd).findings);
  const sections = POD_SECTIONS.filter((section) => possible[section] !== undefined);
  // Whom a Server lets in is one decision: without its part that says most, it would let in more.
  const isOpened = intent.authorization !== undefined && possible.authorization === undefined;
  if (sections.length === 0 || isOpened || podLabels(service.object) === undefined) return [];
  const { rateLimit, mtls, authorization } = possible;
  const isForClients = mtls !== undefined || authorization !== undefined;
  const ports = inboundPorts(service).filter(({ speaksHttp }) => speaksHttp || isForClients);
  const grants = grantsOf(possible, service);
  const make = maker(service.key);
  return [
    ...grants.flatMap((grant) => authenticationsOf(grant, make)),
    ...ports.flatMap((port) => [
      ...grants.map((grant) =>
        make(
          { kind: LINKERD_AUTHORIZATION_POLICY, part: `${port.port}.${grant.name}`, sections: [grant.section] },
          {
            targetRef: serverRef(service.key.name, port),
            requiredAuthenticationRefs: authenticationRefs(grant, service.key),
          },
        ),
      ),
      make({ kind: SERVER, part: String(port.port), sections }, serverSpec(port, { service, intent: possible })),
      ...(rateLimit !== undefined && port.speaksHttp
        ? [
            make(
              { kind: HTTP_LOCAL_RATE_LIMIT_POLICY, part: String(port.port), sections: ["rateLimit"] },
              {
                targetRef: serverRef(service.key.name, port),
                ...limitsOf(rateLimit),
              },
            ),
          ]
        : []),
    ]),
  ];
}

interface Part {
  readonly kind: CompanionKind;
  /** Tells it apart from others of its kind beside the Service. */
  readonly part: string;
  readonly sections: readonly Section[];
}

type Make = (part: Part, spec: object) => Companion;

/** `Server` is served as v1beta3 where it has an accessPolicy; the writer takes the version that the cluster has. */
function maker({ namespace, name }: ServiceView["key"]): Make {
  return ({ kind, part, sections }, spec) => {
    const version = kind === SERVER ? ("accessPolicy" in spec ? "v1beta3" : "v1beta1") : "v1alpha1";
    const metadata = { namespace, name: companionName(name, part) };
    const object = { apiVersion: `${kind.group}/${version}`, kind: kind.kind, metadata, spec };
    // Without its Server a limit does nothing; the others would let in too many, or nobody.
    return { kind, sections, object, tie: kind === HTTP_LOCAL_RATE_LIMIT_POLICY ? "dependent" : "mutual" };
  };
}

function serverRef(service: string, { port }: InboundPort) {
  return { group: LINKERD_POLICY_GROUP, kind: SERVER.kind, name: companionName(service, String(port)) };
}

/**
 * The protocol is found out as without a Server, and not where the list of opaque ports says so: a Server replaces that
 * list for its port, and protocols in which the server speaks first would wait for ten seconds.
 */
function serverSpec({ port, isOpaque }: InboundPort, { service, intent }: LinkerdHost): object {
  const { namespace, version } = service;
  return {
    podSelector: { matchLabels: (service.object as Service).spec?.selector },
    port,
    proxyProtocol: isOpaque ? "opaque" : "unknown",
    ...(supports(version.linkerd, "serverAccessPolicy") && { accessPolicy: accessPolicyOf(intent, namespace) }),
  };
}

function authenticationsOf({ name, section, meshTls, network }: Grant, make: Make): readonly Companion[] {
  const sections = [section];
  return [
    ...(meshTls === undefined ? [] : [make({ kind: MESH_TLS_AUTHENTICATION, part: name, sections }, meshTls)]),
    ...(network === undefined ? [] : [make({ kind: NETWORK_AUTHENTICATION, part: name, sections }, network)]),
  ];
}

/** All of them are asked for; an empty list lets everybody in. */
function authenticationRefs({ name, meshTls, network }: Grant, { namespace, name: service }: ServiceView["key"]) {
  const kinds = [...(meshTls ? [MESH_TLS_AUTHENTICATION] : []), ...(network ? [NETWORK_AUTHENTICATION] : [])];
  return kinds.map(({ group, kind }) => ({ group, kind, namespace, name: companionName(service, name) }));
}

function limitsOf({ requestsPerSecond, perClient, overrides }: RateLimitIntent) {
  return {
    total: { requestsPerSecond },
    ...(perClient !== undefined && { identity: { requestsPerSecond: perClient } }),
    ...(overrides.length > 0 && {
      overrides: overrides.map((override) => ({
        requestsPerSecond: override.requestsPerSecond,
        clientRefs: override.serviceAccounts.map(serviceAccountRef),
      })),
    }),
  };
}

/** Sections of an intent that stand in objects beside the Service, as far as Linkerd can do them there. */
export function carriedBeside(host: LinkerdHost): Pick<Intent, (typeof POD_SECTIONS)[number]> {
  const carried = new Set(linkerdCompanions(host).flatMap(({ sections }) => sections));
  return Object.fromEntries(POD_SECTIONS.filter((it) => carried.has(it)).map((it) => [it, host.intent[it]]));
}
