import type { Finding } from "../finding.ts";
import type { Intent, Section } from "../intent/intent.ts";
import type { KubernetesObject, StringMap } from "../kubernetes.ts";
import type { MeshName, TargetKind } from "../names.ts";
import type { NamespaceInfo, TargetKey, World } from "../world.ts";
import type { Companion, HostIntent } from "./companion.ts";
import type { MeshVersion } from "./version.ts";

/**
 * Settings that the mesh reads or drops together. Existing values are respected group by group, so that a half of
 * ours and a half of a person's never end up side by side unless the whole still parses.
 */
export interface SettingsGroup {
  readonly name: string;
  readonly section: Section;
  /** The wanted annotations; empty asks for the absence of the group. */
  readonly annotations: StringMap;
  /** True: what people wrote in this group stays, even under Override (a retry of 0 writes and removes nothing). */
  readonly neverReplaces: boolean;
}

export interface CompiledSettings {
  readonly groups: readonly SettingsGroup[];
  /** With paths of the policy (`spec.retry.timeout`). A denied section has no group. */
  readonly findings: readonly Finding[];
}

/** A target with everything that decides what the mesh makes of it. */
export interface TargetContext {
  readonly key: TargetKey;
  readonly kind: TargetKind;
  readonly object: KubernetesObject;
  readonly namespace: NamespaceInfo | undefined;
  readonly version: MeshVersion;
  readonly world: World;
}

export interface Eligibility {
  /** False: the mesh would not act on any setting of this target, so none is written. */
  readonly eligible: boolean;
  readonly findings: readonly Finding[];
}

/** A group filled up from a policy and from what people wrote. */
export interface MixedGroup {
  readonly group: string;
  readonly annotations: StringMap;
  /** What the object will have in the groups that are settled already. */
  readonly settled: StringMap;
}

export interface ValuePair {
  readonly key: string;
  readonly value: string;
  readonly other: string;
}

/** What a mesh does for a target as it is, whoever asked for it. */
export interface InForce {
  readonly settings: Intent;
  /** Where a setting does not stand on the target itself: the object that it is inherited from. */
  readonly inherited: Partial<Readonly<Record<Section, KubernetesObject>>>;
}

/** One mesh. Adding one is one file and one line in all.ts. */
export interface MeshCompiler {
  readonly name: MeshName;
  /** Where a target carries its settings: in annotations of its own, or in companions. */
  readonly settingsStand: "on the target" | "beside it";
  /** Neutral intent to annotations for one kind of target. */
  compile(intent: Intent, kind: TargetKind, version: MeshVersion): CompiledSettings;
  /** The objects beside a Service that carry what cannot stand on it, in any order; none where the mesh needs none. */
  companions(host: HostIntent): readonly Companion[];
  /**
   * What keeps sections that need companions from this Service, whatever other objects there are: each with the path of
   * its section. The companions leave such a section out.
   */
  unfit(host: HostIntent): readonly Finding[];
  /** What does nothing on this Service as it is now, though it is written: each with the path of its section. */
  fallsShort(host: HostIntent): readonly Finding[];
  /** What other objects mean for a companion. One that denies keeps it from being written. */
  rivals(companion: Companion, service: TargetContext): readonly Finding[];
  eligibility(target: TargetContext): Eligibility;
  /** The ports of a Service on which the mesh would act on a route, in the order of the Service. */
  httpPorts(target: TargetContext): readonly number[];
  /** Objects of the mesh that switch off whatever is written on this target. */
  shadows(target: TargetContext): readonly Finding[];
  /** Findings on the annotations that the target will have: values that the mesh drops or takes otherwise than meant. */
  review(target: TargetContext, annotations: StringMap): readonly Finding[];
  /**
   * The settings in force on the target with the annotations that it carries, in neutral terms; a section that does
   * nothing is absent. `wanted` is what policies ask for there: a section that a mesh keeps elsewhere than on the target
   * is in force as they say, and is given back as the same value.
   */
  inForce(target: TargetContext, wanted: Intent): InForce;
  /** The group that a key belongs to; undefined: not a key that Fairlead may ever write. */
  groupOf(annotation: string): string | undefined;
  /** Whether the mesh accepts the value of this key, looked at alone. */
  acceptsValue(annotation: string, value: string, version: MeshVersion): boolean;
  /** Why a mixed group must not be written: what the mesh, or a check across its fields, says; undefined: it holds. */
  objection(candidate: MixedGroup, target: TargetContext): string | undefined;
  /** Whether two values of a key say the same, such as `2s` and `2000ms`. */
  meansTheSame(values: ValuePair, version: MeshVersion): boolean;
}
