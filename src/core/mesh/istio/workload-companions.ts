import { inOrder } from "../../endpoint-slices.ts";
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
import { allowedBeside, neighboursOf } from "./neighbours.ts";
import { peerAuthenticationSpec, type PortsMode } from "./peer-authentication.ts";
import { DENY_PART, recordOf } from "./pod-ports.ts";
import { istioHas } from "./version.ts";
import { type Workload, workloadOf } from "./workload.ts";
import { areClosedByPeople } from "./workload-rivals.ts";

/** The objects that choose Pods. Of the intent is left what Istio can do, and for this Service. */
export function workloadCompanions(
  { rateLimit, mtls, authorization }: Intent,
  service: TargetContext,
): readonly Companion[] {
  const workload = workloadOf(service);
  if (workload === undefined) return [];
  const make = (kind: CompanionKind, section: Section, { spec, part = "" }: Written): Companion => {
    const { namespace, name } = service.key;
    const metadata = { namespace, name: companionName(name, part), annotations: recordOf(workload.numbers) };
    const apiVersion = `${kind.group}/${apiVersionOf(kind, service)}`;
    return { kind, sections: [section], object: { apiVersion, kind: kind.kind, metadata, spec } };
  };
  const { allow, deny } = authorization ?? {};
  return [
    ...(mtls
      ? [make(PEER_AUTHENTICATION, "mtls", { spec: peerAuthenticationSpec(mtls, workload, modesBeside(service)) })]
      : []),
    ...(deny
      ? [make(ISTIO_AUTHORIZATION_POLICY, "authorization", { spec: denySpec(deny, workload), part: DENY_PART })]
      : []),
    ...(allow
      ? [
          make(ISTIO_AUTHORIZATION_POLICY, "authorization", {
            spec: allowSpec(allow, workload, guardedPorts(service, workload)),
          }),
        ]
      : []),
    ...(rateLimit && workload.httpPorts.length > 0
      ? [make(ENVOY_FILTER, "rateLimit", { spec: envoyFilterSpec(rateLimit, workload) })]
      : []),
  ];
}

/** Those that lead to the same Pods keep out of each other's ports. Undefined where people have closed all of them. */
function guardedPorts(service: TargetContext, workload: Workload): readonly number[] | undefined {
  if (areClosedByPeople(service, workload)) return undefined;
  return inOrder([
    ...workload.ports,
    ...allowedBeside(service).flatMap((neighbour) => neighbour.workload?.ports ?? []),
  ]);
}

/** Where labels leave it open whether the Pods are the same, each goes its own way, and is told. */
function modesBeside(service: TargetContext): readonly PortsMode[] {
  return neighboursOf(service, "mtls").flatMap(({ relation, workload, policy: { intent } }) =>
    relation === "may overlap" || !workload || !intent.mtls ? [] : [{ ...intent.mtls, ports: workload.ports }],
  );
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
