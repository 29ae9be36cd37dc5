import { type Finding, finding } from "../../finding.ts";
import type { AuthorizationIntent, Intent, RateLimitIntent } from "../../intent/intent.ts";
import { quote } from "../../text.ts";
import { POD_SECTIONS, podLabels, withoutSelector } from "../pods.ts";
import { accessPolicyOf, DEFAULT_POLICY_ANNOTATION, defaultPolicyIn } from "./access.ts";
import { inboundPorts, type ServiceView } from "./eligibility.ts";
import { featureSince, type LinkerdVersion, supports } from "./version.ts";

/** What Linkerd cannot do, and does differently, about requests that come in. */
export function inboundDifferences(intent: Intent, version: LinkerdVersion): readonly Finding[] {
  const { rateLimit, mtls, authorization } = intent;
  return [
    ...(rateLimit === undefined ? [] : rateDifferences(rateLimit, version)),
    ...(mtls === undefined ? [] : [namedPortsOnly("mtls")]),
    ...(authorization === undefined ? [] : accessDifferences(authorization)),
  ];
}

function rateDifferences({ perClient, overrides }: RateLimitIntent, version: LinkerdVersion): readonly Finding[] {
  if (!supports(version, "localRateLimit")) {
    return [
      finding("FL310", "spec.rateLimit", {
        message: `Linkerd ${version.text} has no rate limit; it came with ${featureSince("localRateLimit")}`,
        fix: "upgrade Linkerd, or remove the section",
      }),
    ];
  }
  const seen = new Set<string>();
  const twice = overrides.flatMap(({ serviceAccounts }, index) =>
    serviceAccounts
      .map(({ namespace, name }) => `${namespace}/${name}`)
      .filter((account) => seen.size === seen.add(account).size)
      .map((account) => inTwoOverrides(account, index)),
  );
  return perClient === undefined ? twice : [...twice, strangersShare()];
}

function inTwoOverrides(account: string, index: number): Finding {
  return finding("FL310", `spec.rateLimit.overrides[${index}].serviceAccounts`, {
    message: `ServiceAccount ${account} is in an entry above, too; Linkerd would count its requests in one of both`,
    fix: "list it once",
  });
}

function strangersShare(): Finding {
  return finding("FL311", "spec.rateLimit.perClient", {
    message: "Linkerd tells clients apart by their identity: all those outside the mesh share one such limit",
    fix: "nothing to do where only clients of the mesh send requests",
  });
}

/** A Server is for one port, and takes the place of what a Pod says of it. */
function namedPortsOnly(section: "mtls" | "authorization"): Finding {
  const ports = "On Linkerd it holds on the ports that the Service leads to";
  return finding("FL311", `spec.${section}`, {
    message:
      section === "mtls"
        ? `${ports}, whatever default Pods or the installation have, and on no other port`
        : `${ports}, and on no other port of its Pods`,
    fix: "add to the Service each port that it is to hold on",
  });
}

function accessDifferences({ allow = [], deny }: AuthorizationIntent): readonly Finding[] {
  const ofRequests = allow.flatMap(({ to }, index) => (to === undefined ? [] : [noRequests(index)]));
  const refused = deny === undefined ? ofRequests : [...ofRequests, noDeny()];
  return refused.length > 0 ? refused : [namedPortsOnly("authorization")];
}

function noDeny(): Finding {
  return finding("FL310", "spec.authorization.deny", {
    message: "Linkerd lets in those who are listed and can except nobody",
    fix: "list in authorization.allow all who may, and remove deny",
  });
}

/** With a route on the port the paths of its Pods' probes are no longer let through, and nothing here knows them. */
function noRequests(index: number): Finding {
  return finding("FL310", `spec.authorization.allow[${index}].to`, {
    message: "To tell requests apart Linkerd needs routes on the port; then probes of the kubelet are refused, too",
    fix: "remove it; or remove the section, and write a Server with HTTPRoutes for these requests and for the probes",
  });
}

/** A Service with what policies ask for there. */
export interface LinkerdHost {
  readonly service: ServiceView;
  readonly intent: Intent;
}

/** What keeps the sections from one Service, or means something else there. */
export function unfitForLinkerd({ service, intent }: LinkerdHost): readonly Finding[] {
  const sections = POD_SECTIONS.filter((section) => intent[section] !== undefined);
  if (podLabels(service.object) === undefined) {
    return sections.map((section) => withoutSelector(section, service.key.name));
  }
  const isLimited = intent.rateLimit !== undefined && supports(service.version.linkerd, "localRateLimit");
  return [
    ...(isLimited ? unlimitedPorts(service) : []),
    ...(isLimited && sections.length === 1 ? [replacesDefault(service)] : []),
    ...(intent.authorization === undefined && intent.mtls !== undefined ? widensNetworks({ service, intent }) : []),
  ];
}

function unlimitedPorts(service: ServiceView): readonly Finding[] {
  const disputed = inboundPorts(service).filter(({ isDisputed }) => isDisputed);
  return disputed.map(({ port }) =>
    finding("FL304", "spec.rateLimit", {
      message: `The limit does not act on port ${port} of the Pods, which is opaque there by its number`,
      fix: "set appProtocol: http on its port of the Service (2.18), or write opaque-ports without it on the Service",
    }),
  );
}

/** Pods may say otherwise than their namespace; where it says nothing, the installation may, too. */
function replacesDefault({ key, namespace }: ServiceView): Finding {
  const isSaid = defaultPolicyIn(namespace) !== undefined;
  const written = namespace?.annotations[DEFAULT_POLICY_ANNOTATION];
  const unknown =
    isSaid || written === undefined ? "" : `; the namespace says ${quote(written)}, which Linkerd does not know`;
  return finding("FL311", "spec.rateLimit", {
    message: `With a limit Linkerd lets in ${accessPolicyOf({}, namespace)} to Service ${key.name}, whatever default its Pods${isSaid ? "" : " or the installation"} have${unknown}`,
    fix: isSaid
      ? "nothing to do where they have none of their own; else say in spec.authorization who may send requests"
      : `nothing to do where they have none; else annotate the namespace with ${DEFAULT_POLICY_ANNOTATION}`,
  });
}

/** Without an accessPolicy only a NetworkAuthentication could say which networks are the cluster's. */
function widensNetworks({ service, intent }: LinkerdHost): readonly Finding[] {
  const { version, namespace } = service;
  const wanted = accessPolicyOf(intent, namespace);
  if (supports(version.linkerd, "serverAccessPolicy") || !wanted.startsWith("cluster-")) return [];
  return [
    finding("FL311", "spec.mtls", {
      message: `Linkerd ${version.linkerd.text} cannot keep to ${wanted}: clients outside the networks of the cluster get in to Service ${service.key.name}, too`,
      fix: `upgrade Linkerd to ${featureSince("serverAccessPolicy")}, or list these networks in spec.authorization.allow`,
    }),
  ];
}
