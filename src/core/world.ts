import type { CompiledPolicy } from "./intent/policy.ts";
import type { KubernetesObject } from "./kubernetes.ts";
import type { ControlPlane } from "./mesh/control-plane.ts";
import type { MeshVersion } from "./mesh/version.ts";
import type { CompanionKind, MeshName, Mode } from "./names.ts";
import type { RuleLimits } from "./rules/limits.ts";
import type { RuleWorld } from "./rules/rule.ts";

/** What Fairlead knows of a namespace. */
export interface NamespaceInfo {
  readonly name: string;
  /** True while it is being deleted. */
  readonly terminating?: boolean;
  /** True where its labels and annotations were made up: it is not among the files that make the world. */
  readonly assumed?: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** One Service or route, by identity. The version is left out: all served versions are the same object. */
export interface TargetKey {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** A ServiceProfile, reduced to what decides whether it switches client policy off (docs/linkerd.md, When nothing applies). */
export interface ServiceProfileInfo {
  readonly namespace: string;
  /** `<service>.<namespace>.svc.<cluster domain>` */
  readonly name: string;
  /** True when it has routes or destination overrides; without them a profile is harmless. */
  readonly active: boolean;
}

export interface WorldDefaults {
  /** Mode of a namespace that the world does not know; `undefined`: such a namespace is not opted in. */
  readonly unknownNamespaceMode: Mode | undefined;
  /** Mesh where neither policy nor namespace says; `undefined`: Linkerd. Set by `--mesh`, it wins over the namespace. */
  readonly mesh: MeshName | undefined;
  /** Versions of the meshes that were named, or the newest known; what control planes tell is in mesh/discovery.ts. */
  readonly meshVersion: MeshVersion;
  /** What the DNS names of Services end in, such as `cluster.local`. */
  readonly clusterDomain: string;
  /** Namespaces never touched. */
  readonly excludedNamespaces: ReadonlySet<string>;
  /** What rules may cost; the API server's limits where absent. */
  readonly ruleLimits?: RuleLimits;
  /** The user that the controller is to the API server; absent where it has none of its own. */
  readonly controllerUser?: string;
}

/**
 * Everything a decision may depend on beside the request. It is read synchronously within one `decide` call, so a
 * live in-memory store is a consistent snapshot. Built by k8s/store.ts from watches, by the CLI from files, by
 * tests from literals.
 */
export interface World extends RuleWorld {
  readonly defaults: WorldDefaults;
  namespace(name: string): NamespaceInfo | undefined;
  /** The control planes of the meshes, as far as they show themselves; the same list until one changes. */
  controlPlanes(): readonly ControlPlane[];
  /** Ready endpoints of a Service; undefined where nobody counts them, or none is known. */
  endpointsOf(service: string, namespace: string): number | undefined;
  /**
   * The numbers that a port of a Service has on its Pods, by the name of that port, in order and each once. Empty
   * where none of the Pods has it; undefined where no Pod is known, or nobody looks.
   */
  podPortsOf(service: string, namespace: string, port: string): readonly number[] | undefined;
  /** Accepted policies of a namespace, in any order. */
  policiesIn(namespace: string): readonly CompiledPolicy[];
  /** The live target, or undefined when it does not exist (or is not known yet). */
  target(key: TargetKey): KubernetesObject | undefined;
  /** Live Services and routes of a namespace; after a change they are another list. */
  targetsIn(namespace: string): Iterable<KubernetesObject>;
  /** ServiceProfiles for the host name prefix `<service>.<namespace>.svc`, in any namespace. */
  serviceProfilesFor(service: string, namespace: string): readonly ServiceProfileInfo[];
  /**
   * Objects of the kinds of companions, in any namespace and whoever made them, that speak of the host
   * `<service>.<namespace>.svc`, and those that speak of a pattern.
   */
  hostObjects(service: string, namespace: string): readonly KubernetesObject[];
  /** Objects of one kind that speaks of Pods, whoever made them; the same list until one of them changes. */
  workloadObjects(namespace: string, kind: CompanionKind): readonly KubernetesObject[];
}
