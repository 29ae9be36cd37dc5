import { isRecord } from "../../../api/problem.ts";
import { type Finding, finding } from "../../finding.ts";
import { groupOf, type KubernetesObject, type Service } from "../../kubernetes.ts";
import {
  HTTP_LOCAL_RATE_LIMIT_POLICY,
  LINKERD_AUTHORIZATION_POLICY,
  LINKERD_POLICY_GROUP,
  SERVER,
  serviceOfCompanion,
} from "../../names.ts";
import { isGenerated } from "../../routes/people.ts";
import { selectorRelation } from "../../selectors.ts";
import { isOlder } from "../age.ts";
import type { Companion } from "../companion.ts";
import type { TargetContext } from "../mesh.ts";

/**
 * Other objects for the same port of the same Pods. Of two Servers there Linkerd takes the older one and writes a line
 * into its log; likewise of two limits of a Server.
 */
export function linkerdRivals(companion: Companion, service: TargetContext): readonly Finding[] {
  const path = `spec.${companion.sections[0]}`;
  const others = service.world
    .workloadObjects(service.key.namespace)
    .filter(
      ({ apiVersion = "", metadata }) => groupOf(apiVersion) === LINKERD_POLICY_GROUP && !metadata?.deletionTimestamp,
    );
  switch (companion.kind) {
    case SERVER:
      return [
        ...others.flatMap((other) => serverRivalry(other, { companion, service, others, path })),
        ...others.flatMap((other) => moreLetIn(other, companion)),
      ];
    case HTTP_LOCAL_RATE_LIMIT_POLICY:
      return others.flatMap((other) => limitRivalry(other, companion));
    default:
      return [];
  }
}

interface Meeting {
  readonly companion: Companion;
  readonly service: TargetContext;
  readonly others: readonly KubernetesObject[];
  readonly path: string;
}

function serverRivalry(other: KubernetesObject, { companion, service, others, path }: Meeting): readonly Finding[] {
  const { name = "" } = other.metadata ?? {};
  if (other.kind !== SERVER.kind || !isRecord(other.spec) || other.spec["podSelector"] === undefined) return [];
  const ofFairlead = isGenerated(other) ? serviceOfCompanion(name) : undefined;
  const ours = others.find((it) => it.kind === SERVER.kind && it.metadata?.name === companion.object.metadata?.name);
  if (ofFairlead === service.key.name || (ofFairlead !== undefined && !isOlder(other, ours))) return [];
  const { port } = companion.object.spec as { readonly port: number | string };
  const pods = selectorRelation(other.spec["podSelector"], (service.object as Service).spec?.selector ?? {});
  const isNamedOtherwise = typeof other.spec["port"] !== typeof port;
  if (pods === "apart" || (!isNamedOtherwise && other.spec["port"] !== port)) return [];
  const found = `Server ${name}${ofFairlead === undefined ? "" : `, which Fairlead made for Service ${ofFairlead},`}`;
  const host = `port ${port} of Service ${service.key.name}`;
  if (pods === "may overlap" || isNamedOtherwise) {
    return [
      finding("FL322", path, {
        message: `${found} may be for ${host}, too; where it is, Linkerd takes the older one`,
        fix: "see that both select other Pods or other ports, and name ports alike in both",
      }),
    ];
  }
  return [
    finding("FL320", path, {
      message: `${found} is for ${host} already; of two such Servers Linkerd takes the older one`,
      fix:
        ofFairlead === undefined
          ? "set in the policy what is needed of it and delete it, or remove the Service from the targets"
          : "aim policies with rateLimit, mtls and authorization at one of both Services",
    }),
  ];
}

/** An AuthorizationPolicy of people for the whole namespace, or for our Server, adds clients to those of the policy. */
function moreLetIn(other: KubernetesObject, { object, sections }: Companion): readonly Finding[] {
  if (other.kind !== LINKERD_AUTHORIZATION_POLICY.kind || isGenerated(other)) return [];
  const { kind, name } = targetOf(other);
  if (kind !== "Namespace" && !(kind === SERVER.kind && name === object.metadata?.name)) return [];
  return sections
    .filter((section) => section !== "rateLimit")
    .map((section) =>
      finding("FL327", `spec.${section}`, {
        message: `AuthorizationPolicy ${other.metadata?.name} lets clients in beside those of the policy`,
        fix: "move its clients to spec.authorization.allow and delete it, or leave it where that is meant",
      }),
    );
}

function limitRivalry(other: KubernetesObject, { object }: Companion): readonly Finding[] {
  const { name: server } = targetOf(object);
  if (other.kind !== object.kind || isGenerated(other) || targetOf(other).name !== server) return [];
  return [
    finding("FL320", "spec.rateLimit", {
      message: `HTTPLocalRateLimitPolicy ${other.metadata?.name} limits Server ${String(server)}; of two such objects Linkerd takes the older one`,
      fix: "set its limits in the policy and delete it, or remove rateLimit",
    }),
  ];
}

interface TargetRef {
  readonly kind?: unknown;
  readonly name?: unknown;
}

function targetOf({ spec }: KubernetesObject): TargetRef {
  return isRecord(spec) && isRecord(spec["targetRef"]) ? spec["targetRef"] : {};
}
