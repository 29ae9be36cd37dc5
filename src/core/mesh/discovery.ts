import { type Finding, finding } from "../finding.ts";
import type { KubernetesObject } from "../kubernetes.ts";
import { MESH_NAMES, type MeshName } from "../names.ts";
import { quote } from "../text.ts";
import type { NamespaceInfo, World } from "../world.ts";
import type { ControlPlane } from "./control-plane.ts";
import { istioControlPlane, istioRevision } from "./istio/control-plane.ts";
import { type IstioVersion, parseIstioVersion } from "./istio/version.ts";
import { linkerdControlPlane } from "./linkerd/control-plane.ts";
import { type LinkerdVersion, parseLinkerdVersion } from "./linkerd/version.ts";
import type { MeshVersion } from "./version.ts";

/** How the control planes of each mesh are told apart and read; forgetting one does not compile. */
const DISCOVERY = {
  Linkerd: { find: linkerdControlPlane, revisionOf: () => "", parse: parseLinkerdVersion },
  Istio: { find: istioControlPlane, revisionOf: istioRevision, parse: parseIstioVersion },
} as const satisfies Record<MeshName, Discovery>;

interface Discovery {
  readonly find: (service: KubernetesObject) => ControlPlane | undefined;
  /** The name by which a namespace chooses its control plane. */
  readonly revisionOf: (namespace: NamespaceInfo | undefined) => string;
  readonly parse: (text: string) => LinkerdVersion | IstioVersion | undefined;
}

/** The control plane that a Service belongs to; undefined for the Services of everybody else. */
export function controlPlaneOf(service: KubernetesObject): ControlPlane | undefined {
  return MESH_NAMES.map((mesh) => DISCOVERY[mesh].find(service)).find((found) => found !== undefined);
}

/** What is compiled for a version is remembered by its identity, so that the same versions have to be one value. */
const remembered = new WeakMap<readonly ControlPlane[], WeakMap<MeshVersion, Map<string, MeshVersion>>>();

/**
 * The versions for which the settings of a namespace are compiled: what `--mesh-version` names, else what the control
 * plane of the namespace tells, else the newest known.
 */
export function meshVersionIn(namespace: NamespaceInfo | undefined, world: World): MeshVersion {
  const { meshVersion: given } = world.defaults;
  const planes = world.controlPlanes();
  if (planes.length === 0 || given.named.length === MESH_NAMES.length) return given;
  const ofPlanes = remembered.get(planes) ?? new WeakMap<MeshVersion, Map<string, MeshVersion>>();
  remembered.set(planes, ofPlanes);
  const byRevision = ofPlanes.get(given) ?? new Map<string, MeshVersion>();
  ofPlanes.set(given, byRevision);
  const revision = istioRevision(namespace);
  const known = byRevision.get(revision);
  if (known !== undefined) return known;
  const version = {
    named: given.named,
    linkerd: oldest(chosen("Linkerd", namespace, world), parseLinkerdVersion) ?? given.linkerd,
    istio: oldest(chosen("Istio", namespace, world), parseIstioVersion) ?? given.istio,
  };
  byRevision.set(revision, version);
  return version;
}

/** The control planes that decide for a namespace: those of its revision, or all where none has it. */
function chosen(mesh: MeshName, namespace: NamespaceInfo | undefined, world: World): readonly ControlPlane[] {
  if (world.defaults.meshVersion.named.includes(mesh)) return [];
  const own = world.controlPlanes().filter((plane) => plane.mesh === mesh);
  const revision = DISCOVERY[mesh].revisionOf(namespace);
  const ofRevision = own.filter((plane) => plane.revision === revision);
  return ofRevision.length > 0 ? ofRevision : own;
}

/** Newer ones read what an older one reads; what only newer ones read would be ignored by the older. */
function oldest<Version extends LinkerdVersion | IstioVersion>(
  planes: readonly ControlPlane[],
  parse: (text: string) => Version | undefined,
): Version | undefined {
  const versions = planes.map((plane) => parse(plane.version)).filter((version) => version !== undefined);
  return versions.sort((a, b) => a.minor - b.minor)[0];
}

/** Where the version for a namespace is a guess although a control plane was found: why. */
export function guessedVersion(mesh: MeshName, namespace: NamespaceInfo | undefined, world: World): readonly Finding[] {
  const planes = chosen(mesh, namespace, world);
  const { revisionOf, parse } = DISCOVERY[mesh];
  const [first, ...others] = planes;
  if (first === undefined) return [];
  const { text } = meshVersionIn(namespace, world)[mesh === "Istio" ? "istio" : "linkerd"];
  const fix = `start Fairlead with --mesh-version (chart value meshVersion) where it is not ${text}`;
  const unreadable = planes.find((plane) => parse(plane.version) === undefined);
  if (unreadable !== undefined) {
    const found = unreadable.version === "" ? "no version" : `the version ${quote(unreadable.version)}`;
    const message = `${unreadable.source} has ${found}, which tells nothing, so the settings are for ${mesh} ${text}`;
    return [finding("FL326", "", { message, fix })];
  }
  const revision = revisionOf(namespace);
  if (first.revision === revision || others.every(({ version }) => version === first.version)) return [];
  const message = `No control plane has the revision ${quote(revision)}, so the settings are for the oldest, ${mesh} ${text}`;
  return [finding("FL326", "", { message, fix })];
}

/** A version that settings are compiled for, for people to see. */
export interface VersionTaken {
  readonly mesh: MeshName;
  /** Empty where it holds for every namespace. */
  readonly revision: string;
  readonly version: string;
  /** `--mesh-version`, `Service istio-system/istiod`, or `default`: the newest known. */
  readonly source: string;
}

/** Each version that is taken, by mesh and revision, and where from. */
export function versionsTaken(world: World): readonly VersionTaken[] {
  const { meshVersion } = world.defaults;
  return MESH_NAMES.flatMap((mesh) => {
    const version = meshVersion[mesh === "Istio" ? "istio" : "linkerd"].text;
    if (meshVersion.named.includes(mesh)) return [{ mesh, revision: "", version, source: "--mesh-version" }];
    const own = world.controlPlanes().filter((plane) => plane.mesh === mesh);
    if (own.length === 0) return [{ mesh, revision: "", version, source: "default" }];
    return own.map((plane) => {
      const isRead = DISCOVERY[mesh].parse(plane.version) !== undefined;
      const { revision, source } = plane;
      return { mesh, revision, version: isRead ? plane.version : version, source: isRead ? source : "default" };
    });
  });
}
