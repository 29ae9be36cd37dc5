import { isRecord } from "../../../api/problem.ts";
import { type Finding, finding } from "../../finding.ts";
import { type KubernetesObject, labelsOf, type StringMap } from "../../kubernetes.ts";
import {
  HTTP_LOCAL_RATE_LIMIT_POLICY,
  LINKERD_AUTHORIZATION_POLICY,
  MANAGED_BY,
  MANAGED_BY_LABEL,
  SERVER,
  SERVER_AUTHORIZATION,
  serviceOfCompanion,
} from "../../names.ts";
import { isGenerated } from "../../routes/people.ts";
import { chooses, selectorRelation } from "../../selectors.ts";
import { isOlder } from "../age.ts";
import type { Companion } from "../companion.ts";
import type { TargetContext } from "../mesh.ts";
import { podLabels } from "../pods.ts";
import { podSelectorOf, workloadsIn } from "../workload-index.ts";

/**
 * Other objects for the same port of the same Pods. Of two Servers there Linkerd takes the older one and writes a line
 * into its log; likewise of two limits of a Server.
 */
export function linkerdRivals(companion: Companion, service: TargetContext): readonly Finding[] {
  const { namespace } = service.key;
  const { name = "" } = companion.object.metadata ?? {};
  switch (companion.kind) {
    case SERVER: {
      const servers = workloadsIn(namespace, SERVER, service.world);
      const policies = workloadsIn(namespace, LINKERD_AUTHORIZATION_POLICY, service.world);
      const ours = servers.generated(name);
      const meeting = { companion, service, ours, path: `spec.${companion.sections[0]}` };
      return [
        ...servers.near(labelsOfPods(service)).flatMap((other) => serverRivalry(other, meeting)),
        ...[...policies.aimedAt("Namespace", namespace), ...policies.aimedAt(SERVER.kind, name)]
          .filter((other) => !isGenerated(other))
          .flatMap((other) => moreLetIn(other, companion)),
        ...serverAuthorizations(name, ours, service).flatMap((other) => moreLetIn(other, companion)),
      ];
    }
    case HTTP_LOCAL_RATE_LIMIT_POLICY: {
      const server = serverOf(companion);
      const limits = workloadsIn(namespace, HTTP_LOCAL_RATE_LIMIT_POLICY, service.world);
      const ours = limits.generated(name);
      return limits.aimedAt(SERVER.kind, server).flatMap((other) => limitRivalry(other, ours, server));
    }
    default:
      return [];
  }
}

function labelsOfPods({ object }: TargetContext): StringMap {
  return podLabels(object) ?? {};
}

function serverOf({ object }: Companion): string {
  const { targetRef } = object.spec as { readonly targetRef: { readonly name: string } };
  return targetRef.name;
}

interface Meeting {
  readonly companion: Companion;
  readonly service: TargetContext;
  /** As it stands in the cluster; undefined: it is still to be written. */
  readonly ours: KubernetesObject | undefined;
  readonly path: string;
}

function serverRivalry(other: KubernetesObject, { companion, service, ours, path }: Meeting): readonly Finding[] {
  const { name = "" } = other.metadata ?? {};
  if (!isRecord(other.spec) || other.spec["podSelector"] === undefined) return [];
  const ofFairlead = isGenerated(other) ? serviceOfCompanion(name) : undefined;
  const isFirst = isOlder(other, ours);
  if (ofFairlead === service.key.name || (ofFairlead !== undefined && !isFirst)) return [];
  const { port } = companion.object.spec as { readonly port: number | string };
  const pods = selectorRelation(other.spec["podSelector"], labelsOfPods(service));
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
  if (!isFirst) return [withoutEffect(found, host, path)];
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

/** Ours stays: were it taken away for a younger one, whoever may write Servers could open the ports that it keeps. */
function withoutEffect(found: string, host: string, path: string): Finding {
  return finding("FL322", path, {
    message: `${found} has no effect on ${host}: Linkerd takes the older Server, which is that of the policy`,
    fix: "set in the policy what is needed of it and delete it",
  });
}

/**
 * Those that Linkerd reads for our Server: by its name, or by its labels. Before ours is written the uid among these is not
 * known here: one that asks for it is told from then on.
 */
function serverAuthorizations(
  server: string,
  ours: KubernetesObject | undefined,
  { key, world }: TargetContext,
): readonly KubernetesObject[] {
  const all = workloadsIn(key.namespace, SERVER_AUTHORIZATION, world);
  const labels = ours === undefined ? { [MANAGED_BY_LABEL]: MANAGED_BY } : labelsOf(ours);
  const chosen = all.near(labels).filter((object) => {
    const selector = podSelectorOf(object);
    return isRecord(selector) && chooses(selector, labels);
  });
  return [...all.aimedAt(SERVER.kind, server), ...chosen];
}

/** What of people lets clients into our Server adds them to those of the policy. */
function moreLetIn({ kind, metadata }: KubernetesObject, { sections }: Companion): readonly Finding[] {
  return sections
    .filter((section) => section !== "rateLimit")
    .map((section) =>
      finding("FL327", `spec.${section}`, {
        message: `${kind} ${metadata?.name} lets clients in beside those of the policy`,
        fix: "move its clients to spec.authorization.allow and delete it, or leave it where that is meant",
      }),
    );
}

function limitRivalry(other: KubernetesObject, ours: KubernetesObject | undefined, server: string): readonly Finding[] {
  if (isGenerated(other)) return [];
  const found = `HTTPLocalRateLimitPolicy ${other.metadata?.name}`;
  if (!isOlder(other, ours)) {
    return [
      finding("FL322", "spec.rateLimit", {
        message: `${found} has no effect on Server ${server}: Linkerd takes the older limit, which is that of the policy`,
        fix: "set in the policy what is needed of it and delete it",
      }),
    ];
  }
  return [
    finding("FL320", "spec.rateLimit", {
      message: `${found} limits Server ${server}; of two such objects Linkerd takes the older one`,
      fix: "set its limits in the policy and delete it, or remove rateLimit",
    }),
  ];
}
