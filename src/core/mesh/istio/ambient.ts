import { type Finding, finding } from "../../finding.ts";
import type { Intent, Section } from "../../intent/intent.ts";
import { labelsOf } from "../../kubernetes.ts";
import { list } from "../../text.ts";
import type { HostIntent } from "../companion.ts";
import type { TargetContext } from "../mesh.ts";

const WAYPOINT_LABEL = "istio.io/use-waypoint";

/** A sidecar goes before ambient where the namespace asks for both. */
export function isAmbient({ namespace }: TargetContext): boolean {
  const labels = namespace?.labels ?? {};
  return labels["istio.io/dataplane-mode"] === "ambient" && labels["istio-injection"] !== "enabled";
}

/** What keeps sections from a Service in ambient mode. `mtls` is there with and without a waypoint. */
export function unfitInAmbient({ service, intent }: HostIntent): readonly Finding[] {
  const { rateLimit, mtls: _mtls, authorization, ...ofClients } = intent;
  const limit = rateLimit === undefined ? [] : [noRateLimit()];
  if (hasWaypoint(service)) return authorization === undefined ? limit : [...limit, seesWaypoint()];
  const sections = Object.keys(ofClients) as readonly Section[];
  return [
    ...sections.map((section) => withoutWaypoint(service, section)),
    ...limit,
    ...(authorization !== undefined && fieldsOfRequests(authorization).length > 0
      ? [tellsNothingApart(fieldsOfRequests(authorization))]
      : []),
  ];
}

/** The node proxy carries TCP only; the waypoint of the Service, else of the namespace, is where requests are seen. */
function hasWaypoint({ object, namespace }: TargetContext): boolean {
  const waypoint = labelsOf(object)[WAYPOINT_LABEL] ?? namespace?.labels[WAYPOINT_LABEL] ?? "none";
  return waypoint !== "none";
}

function fieldsOfRequests({ allow = [], deny = [] }: Required<Intent>["authorization"]): readonly string[] {
  const asked = [...allow, ...deny].flatMap(({ to }) => to ?? []);
  return [
    ...(asked.some(({ paths }) => paths.length > 0) ? ["paths"] : []),
    ...(asked.some(({ methods }) => methods.length > 0) ? ["methods"] : []),
  ];
}

function withoutWaypoint({ key }: TargetContext, section: Section): Finding {
  return finding("FL321", `spec.${section}`, {
    message: `Ambient without a waypoint carries TCP only, so Istio would not apply ${section}`,
    fix: `istioctl waypoint apply -n ${key.namespace} --enroll-namespace, or label the Service ${WAYPOINT_LABEL}`,
  });
}

function tellsNothingApart(fields: readonly string[]): Finding {
  return finding("FL321", "spec.authorization", {
    message: `Ambient without a waypoint carries TCP only, so it cannot tell ${list(fields)} apart`,
    fix: "remove to from the entries, or run the Pods with sidecars",
  });
}

function noRateLimit(): Finding {
  return finding("FL310", "spec.rateLimit", {
    message: "In ambient mode Istio has no rate limit: an EnvoyFilter acts in sidecars only",
    fix: "remove it, or run the Pods with sidecars",
  });
}

function seesWaypoint(): Finding {
  return finding("FL310", "spec.authorization", {
    message: "Behind a waypoint the Pods see that in place of the client, so every client would be refused or none",
    fix: "remove it, and write an AuthorizationPolicy with targetRefs for the waypoint",
  });
}
