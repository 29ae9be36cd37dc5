import type { Action, ObjectRef } from "./action.ts";
import { release } from "./admission/inject.ts";
import { checkRecord, readRecord } from "./admission/record.ts";
import { REGISTRATION_NAME } from "./admission/registration.ts";
import type { PatchOperation } from "./admission/review.ts";
import { isOurReport, REPORTS } from "./audit/report.ts";
import { annotationsOf, groupOf, type KubernetesObject, labelsOf, recordsIn, type StringMap } from "./kubernetes.ts";
import type { MeshVersion } from "./mesh/version.ts";
import {
  CLEANUP_FINALIZER,
  COMPANION_KINDS,
  FAIRLEAD_GROUP,
  MANAGED_BY,
  MANAGED_BY_LABEL,
  POLICY_UID_LABEL,
  RECORD_ANNOTATION,
  TARGET_KINDS,
  type TargetKind,
} from "./names.ts";

/** A kind in which something of Fairlead may be found. */
export interface SearchedKind {
  readonly group: string;
  /** Plural, lower case: `services`. */
  readonly resource: string;
  readonly kind: string;
  readonly where: "cluster" | "every namespace" | "own namespace";
  /** Only objects of these names are read; absent: all. */
  readonly names?: readonly string[];
  readonly labelSelector?: string;
  readonly plan: (object: KubernetesObject, version: MeshVersion) => ObjectPlan | undefined;
}

/** What is to be done about one object. */
interface ObjectPlan {
  /** `keep`: it belongs to another tool. `refuse`: it bears our name and is not ours, which somebody has to sort out. */
  readonly effect: "delete" | "change" | "keep" | "refuse";
  /** Labels, annotations and finalizers that go. */
  readonly removed?: readonly string[];
  /** Annotations that get back what they had before Fairlead. */
  readonly restored?: StringMap;
  /** Annotations that Fairlead once wrote and people have changed since: they stay. */
  readonly kept?: readonly string[];
  /** One line for people. */
  readonly note?: string;
  readonly operations?: readonly PatchOperation[];
}

/** One object and what uninstalling does to it. */
export interface UninstallStep {
  readonly source: SearchedKind;
  readonly apiVersion: string;
  readonly kind: string;
  /** Empty for an object of the cluster. */
  readonly namespace: string;
  readonly name: string;
  readonly effect: ObjectPlan["effect"];
  readonly removed: readonly string[];
  readonly restored: StringMap;
  readonly kept: readonly string[];
  readonly note: string;
  /** Undefined where nothing is written. The namespace of its reference is empty for an object of the cluster. */
  readonly write: Action | undefined;
}

/** Objects of one kind, as they were read. */
export interface Inventory {
  readonly source: SearchedKind;
  readonly objects: readonly KubernetesObject[];
}

const REGISTRATION_GROUP = "admissionregistration.k8s.io";
const CLUSTER = { group: REGISTRATION_GROUP, where: "cluster" } as const;
const REGISTRATION = { ...CLUSTER, names: [REGISTRATION_NAME], plan: planRegistration } as const;
const OWN = { where: "own namespace" } as const;

/** The Lease of the leader. */
export const LEASE_NAME = "fairlead-controller";

/**
 * Where to look, in the order in which it is cleaned: first what would inject again, then what makes a deletion wait,
 * then what was written on other people's objects, then what is Fairlead's own.
 */
export const SEARCHED_KINDS: readonly SearchedKind[] = [
  { ...REGISTRATION, resource: "mutatingwebhookconfigurations", kind: "MutatingWebhookConfiguration" },
  { ...REGISTRATION, resource: "validatingwebhookconfigurations", kind: "ValidatingWebhookConfiguration" },
  {
    ...CLUSTER,
    resource: "validatingadmissionpolicybindings",
    kind: "ValidatingAdmissionPolicyBinding",
    plan: planGuard,
  },
  { ...CLUSTER, resource: "validatingadmissionpolicies", kind: "ValidatingAdmissionPolicy", plan: planGuard },
  {
    group: FAIRLEAD_GROUP,
    resource: "resiliencepolicies",
    kind: "ResiliencePolicy",
    where: "every namespace",
    plan: planFinalizer,
  },
  ...TARGET_KINDS.map(targets),
  ...COMPANION_KINDS.toReversed().map(
    ({ group, resource, kind }): SearchedKind => ({
      group,
      resource,
      kind,
      where: "every namespace",
      labelSelector: `${MANAGED_BY_LABEL}=${MANAGED_BY}`,
      plan: (object) => (isGenerated(object) ? DELETE : undefined),
    }),
  ),
  {
    group: "apps",
    resource: "controllerrevisions",
    kind: "ControllerRevision",
    where: "every namespace",
    labelSelector: `${MANAGED_BY_LABEL}=${MANAGED_BY}`,
    plan: (object) => (isGenerated(object) ? DELETE : undefined),
  },
  {
    ...REPORTS,
    kind: "Report",
    where: "every namespace",
    labelSelector: `${MANAGED_BY_LABEL}=${MANAGED_BY}`,
    plan: (object) => (isOurReport(object) ? DELETE : undefined),
  },
  { ...OWN, group: "coordination.k8s.io", resource: "leases", kind: "Lease", names: [LEASE_NAME], plan: () => DELETE },
  { ...OWN, group: "", resource: "secrets", kind: "Secret", names: ["fairlead-path"], plan: () => DELETE },
  {
    ...OWN,
    group: "",
    resource: "secrets",
    kind: "Secret",
    names: ["fairlead-ca", "fairlead-tls"],
    plan: planCertificate,
  },
];

const DELETE: ObjectPlan = { effect: "delete" };

/** What has to be done about these objects; none for one that is not ours, or has nothing of ours any more. */
export function planUninstall({ source, objects }: Inventory, version: MeshVersion): readonly UninstallStep[] {
  return objects.flatMap((object) => {
    // What is being deleted goes anyway, unless it waits for us.
    if (object.metadata?.deletionTimestamp && source.plan !== planFinalizer) return [];
    const plan = source.plan(object, version);
    return plan === undefined ? [] : [stepOf(source, object, plan)];
  });
}

function stepOf(source: SearchedKind, object: KubernetesObject, plan: ObjectPlan): UninstallStep {
  const { namespace = "", name = "" } = object.metadata ?? {};
  return {
    source,
    apiVersion: object.apiVersion ?? "",
    kind: source.kind,
    namespace,
    name,
    effect: plan.effect,
    removed: plan.removed ?? [],
    restored: plan.restored ?? {},
    kept: plan.kept ?? [],
    note: plan.note ?? "",
    write: writeOf(source, object, plan),
  };
}

function writeOf(source: SearchedKind, object: KubernetesObject, plan: ObjectPlan): Action | undefined {
  const { namespace = "", name = "", uid = "", resourceVersion = "", finalizers = [] } = object.metadata ?? {};
  const { group, resource, kind } = source;
  const ref: ObjectRef = { group, resource, namespace, name };
  if (plan.effect === "delete") return { kind: "delete", ref, uid, resourceVersion };
  if (plan.effect !== "change") return undefined;
  if (plan.operations !== undefined) {
    return { kind: "patch", target: { group, kind, namespace, name }, resourceVersion, operations: plan.operations };
  }
  const others = finalizers.filter((finalizer) => finalizer !== CLEANUP_FINALIZER);
  return { kind: "merge", ref, resourceVersion, body: { metadata: { finalizers: others } } };
}

interface Registration extends KubernetesObject {
  readonly webhooks?: readonly { readonly name?: string }[];
}

function planRegistration(object: KubernetesObject): ObjectPlan {
  const { webhooks } = object as Registration;
  const foreign = recordsIn(webhooks).find(({ name = "" }) => !name.endsWith(`.${FAIRLEAD_GROUP}`));
  if (foreign === undefined) return DELETE;
  const note = `Not touched: found the webhook ${foreign.name}, wanted names that end in .${FAIRLEAD_GROUP}; it is not Fairlead's`;
  return { effect: "refuse", note };
}

/** The chart's guards, by the label or by name; by name only what speaks of Fairlead, because anybody may call one so. */
function planGuard(object: KubernetesObject): ObjectPlan | undefined {
  const isNamed = object.metadata?.name?.startsWith("fairlead") ?? false;
  const isMeant = isNamed && JSON.stringify(object.spec ?? {}).includes("fairlead");
  return isMeant || labelsOf(object)["app.kubernetes.io/name"] === "fairlead" ? DELETE : undefined;
}

function planFinalizer({ metadata }: KubernetesObject): ObjectPlan | undefined {
  if (!metadata?.finalizers?.includes(CLEANUP_FINALIZER)) return undefined;
  return { effect: "change", removed: [`finalizer ${CLEANUP_FINALIZER}`] };
}

function targets(kind: TargetKind): SearchedKind {
  return { ...kind, where: "every namespace", plan: planTarget };
}

function planTarget(object: KubernetesObject, version: MeshVersion): ObjectPlan | undefined {
  if (object.kind === "HTTPRoute" && isGenerated(object)) return DELETE;
  const operations = release(object, version);
  if (operations.length === 0) return undefined;
  const annotations = annotationsOf(object);
  const text = annotations[RECORD_ANNOTATION];
  const written = readRecord(text, version)?.keys ?? {};
  const isEdited = (key: string): boolean => annotations[key] !== undefined && annotations[key] !== written[key];
  return {
    effect: "change",
    removed: operations.filter(({ op }) => op === "remove").map(keyOf),
    restored: Object.fromEntries(
      operations.flatMap((it) => (it.op === "remove" ? [] : [[keyOf(it), String(it.value)]])),
    ),
    kept: Object.keys(written).filter(isEdited),
    // What it names and this version of the mesh would drop is neither removed nor restored.
    note: checkRecord(text, version)[0]?.message ?? "",
    operations,
  };
}

/** `/metadata/annotations/timeout.linkerd.io~1idle` -> `timeout.linkerd.io/idle`. */
function keyOf({ path }: PatchOperation): string {
  return path.slice(path.lastIndexOf("/") + 1).replaceAll("~1", "/");
}

/** By owner; or by uid alone, where a policy was deleted without what it owned. */
function isGenerated(object: KubernetesObject): boolean {
  const labels = labelsOf(object);
  if (labels[MANAGED_BY_LABEL] !== MANAGED_BY) return false;
  const owners = recordsIn(object.metadata?.ownerReferences);
  const isOwned = owners.some(
    ({ apiVersion, kind }) => kind === "ResiliencePolicy" && groupOf(apiVersion) === FAIRLEAD_GROUP,
  );
  return isOwned || (owners.length === 0 && labels[POLICY_UID_LABEL] !== undefined);
}

interface Secret extends KubernetesObject {
  readonly data?: StringMap;
}

/** A certificate of another tool (cert-manager) is marked by what it lacks, see docs/operations.md. */
function planCertificate(object: KubernetesObject): ObjectPlan {
  const isEmpty = Object.values((object as Secret).data ?? {}).every((value) => value === "");
  if (isEmpty || labelsOf(object)["fairlead.dev/certificate"] === "self-managed") return DELETE;
  return { effect: "keep", note: "Another tool made it: it is not labelled fairlead.dev/certificate=self-managed" };
}
