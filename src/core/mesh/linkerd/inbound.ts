import { type Finding, finding } from "../../finding.ts";
import type { AuthorizationIntent, Intent, RateLimitIntent } from "../../intent/intent.ts";
import { POD_SECTIONS, podLabels, withoutSelector } from "../pods.ts";
import { accessPolicyOf, DEFAULT_POLICY_ANNOTATION } from "./access.ts";
import type { ServiceView } from "./eligibility.ts";
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

/** A Server is for one port. */
function namedPortsOnly(section: "mtls" | "authorization"): Finding {
  return finding("FL311", `spec.${section}`, {
    message: "On Linkerd it holds on the ports that the Service leads to, and on no other port of its Pods",
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
  const isLimitAlone = sections.length === 1 && intent.rateLimit !== undefined;
  const isSaid = service.namespace?.annotations[DEFAULT_POLICY_ANNOTATION] !== undefined;
  return isLimitAlone && !isSaid && supports(service.version.linkerd, "localRateLimit")
    ? [replacesDefault(service)]
    : [];
}

/** Without the annotation Linkerd lets in everybody, unless the installation or the Pods say otherwise. */
function replacesDefault({ key, namespace }: ServiceView): Finding {
  return finding("FL311", "spec.rateLimit", {
    message: `With a limit Linkerd lets in ${accessPolicyOf({}, namespace)} to Service ${key.name}, whatever default its Pods or the installation have`,
    fix: `nothing to do where they have none; else set spec.mtls, or annotate the namespace with ${DEFAULT_POLICY_ANNOTATION}`,
  });
}
