import { annotationsOf, type KubernetesObject, labelsOf } from "./kubernetes.ts";
import { FAIRLEAD_GROUP, MODE_LABEL } from "./names.ts";
import { LEASE_NAME } from "./uninstall.ts";

/** What may show that Fairlead still runs. */
export interface Signs {
  /** Of Fairlead's own namespace. */
  readonly deployments: readonly KubernetesObject[];
  /** Who holds the Lease of the leader, which has not run out: also a process that no Deployment started. */
  readonly leader: string | undefined;
}

interface Deployment extends KubernetesObject {
  readonly spec?: { readonly replicas?: number };
  readonly status?: { readonly replicas?: number };
}

const HELM_RELEASE = "meta.helm.sh/release-name";
const DEPLOYMENTS: readonly string[] = ["fairlead-admission", "fairlead-controller"];

/** What still runs and would write again, one line each; empty when nothing does. */
export function stillRunning({ deployments, leader }: Signs): readonly string[] {
  const running = deployments.flatMap((object) => {
    const { metadata, spec, status } = object as Deployment;
    const { namespace = "", name = "" } = metadata ?? {};
    if (!isOurs(object)) return [];
    // Absent means one; pods outlive the number wanted by some seconds.
    const replicas = Math.max(spec?.replicas ?? 1, status?.replicas ?? 0);
    return replicas === 0 ? [] : [`Deployment ${namespace}/${name} (${replicas} replicas)`];
  });
  return leader === undefined ? running : [...running, `${leader}, which holds the Lease ${LEASE_NAME}`];
}

function isOurs(deployment: KubernetesObject): boolean {
  return (
    DEPLOYMENTS.includes(deployment.metadata?.name ?? "") ||
    labelsOf(deployment)["app.kubernetes.io/name"] === "fairlead"
  );
}

/** What uninstalling leaves alone, because it is the users'. */
export interface Remaining {
  /** Fairlead's own namespace; undefined when it does not exist. */
  readonly namespace: string | undefined;
  /** Of Fairlead's own namespace: they show the Helm release. */
  readonly deployments: readonly KubernetesObject[];
  readonly labelledNamespaces: readonly string[];
  readonly policies: number;
  /** Plurals of the kinds of ours whose CRD is installed; their objects go with it. */
  readonly crds: readonly string[];
}

/** The commands that remove what is left, in an order in which none waits for another. */
export function remainingCommands(remaining: Remaining): readonly string[] {
  const { namespace, deployments, labelledNamespaces, policies, crds } = remaining;
  const release = deployments.filter(isOurs).map((object) => annotationsOf(object)[HELM_RELEASE])[0];
  const commands: string[] = [];
  if (release !== undefined && namespace !== undefined) commands.push(`helm uninstall ${release} -n ${namespace}`);
  if (policies > 0) commands.push("kubectl delete resiliencepolicies.fairlead.dev --all --all-namespaces");
  if (crds.length > 0) commands.push(`kubectl delete crd ${crds.map((name) => `${name}.${FAIRLEAD_GROUP}`).join(" ")}`);
  if (labelledNamespaces.length > 0) {
    commands.push(`kubectl label namespace ${[...labelledNamespaces].sort().join(" ")} ${MODE_LABEL}-`);
  }
  if (namespace !== undefined) commands.push(`kubectl delete namespace ${namespace}`);
  return commands;
}
