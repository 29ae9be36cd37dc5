import type { Intent, Section } from "../../intent/intent.ts";
import {
  type CompanionKind,
  companionName,
  ENVOY_FILTER,
  ISTIO_AUTHORIZATION_POLICY,
  PEER_AUTHENTICATION,
} from "../../names.ts";
import type { Companion } from "../companion.ts";
import type { TargetContext } from "../mesh.ts";
import { allowSpec, denySpec } from "./authorization-policy.ts";
import { envoyFilterSpec } from "./envoy-filter.ts";
import { peerAuthenticationSpec } from "./peer-authentication.ts";
import { istioHas } from "./version.ts";
import { workloadOf } from "./workload.ts";
import { areClosedByPeople } from "./workload-rivals.ts";

/** Tells the AuthorizationPolicy that refuses from the one that lets in, in the names of both. */
export const DENY_PART = "deny";

/** The objects that choose Pods. Of the intent is left what Istio can do, and for this Service. */
export function workloadCompanions(
  { rateLimit, mtls, authorization }: Intent,
  service: TargetContext,
): readonly Companion[] {
  const workload = workloadOf(service);
  if (workload === undefined) return [];
  const make = (kind: CompanionKind, section: Section, { spec, part = "" }: Written): Companion => {
    const { namespace, name } = service.key;
    const metadata = { namespace, name: companionName(name, part) };
    const apiVersion = `${kind.group}/${apiVersionOf(kind, service)}`;
    return { kind, sections: [section], object: { apiVersion, kind: kind.kind, metadata, spec } };
  };
  const { allow, deny } = authorization ?? {};
  const leavesOthers = !areClosedByPeople(service, workload);
  return [
    ...(mtls ? [make(PEER_AUTHENTICATION, "mtls", { spec: peerAuthenticationSpec(mtls, workload) })] : []),
    ...(deny
      ? [make(ISTIO_AUTHORIZATION_POLICY, "authorization", { spec: denySpec(deny, workload), part: DENY_PART })]
      : []),
    ...(allow
      ? [make(ISTIO_AUTHORIZATION_POLICY, "authorization", { spec: allowSpec(allow, workload, leavesOthers) })]
      : []),
    ...(rateLimit ? [make(ENVOY_FILTER, "rateLimit", { spec: envoyFilterSpec(rateLimit, workload) })] : []),
  ];
}

interface Written {
  readonly spec: object;
  readonly part?: string;
}

/** Of EnvoyFilter there is one version only. */
function apiVersionOf(kind: CompanionKind, { version: { istio } }: TargetContext): string {
  if (kind === ENVOY_FILTER) return "v1alpha3";
  return istioHas(istio, "v1") ? "v1" : "v1beta1";
}
