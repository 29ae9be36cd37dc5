import type { Finding } from "../finding.ts";
import type { Section } from "../intent/intent.ts";
import type { CompiledPolicy } from "../intent/policy.ts";
import type { MeshCompiler, SettingsGroup } from "../mesh/mesh.ts";
import type { MeshVersion } from "../mesh/version.ts";
import type { TargetKind } from "../names.ts";

/** One group that a policy asks for, with the policy that decides it. */
export interface WantedGroup extends SettingsGroup {
  readonly policy: CompiledPolicy;
  readonly mesh: MeshCompiler;
}

/** One section of a policy for one kind of target. */
export interface SectionInput {
  readonly policy: CompiledPolicy;
  readonly section: Section;
  readonly mesh: MeshCompiler;
  readonly kind: TargetKind;
  readonly version: MeshVersion;
  /** The section leaves the target and stands on generated routes: its groups ask for absence. */
  readonly isMoved: boolean;
}

export interface CompiledSection extends SectionInput {
  readonly groups: readonly WantedGroup[];
  readonly findings: readonly Finding[];
}

/** A policy never changes (an edited one is a new value), so each of its sections is compiled once for each kind. */
const compiledSections = new WeakMap<CompiledPolicy, CompiledSection[]>();

export function compileSection(input: SectionInput): CompiledSection {
  const { policy, section, mesh, kind, version, isMoved } = input;
  let known = compiledSections.get(policy);
  if (known === undefined) compiledSections.set(policy, (known = []));
  for (const item of known) {
    if (item.section !== section || item.isMoved !== isMoved) continue;
    if (item.mesh === mesh && item.kind === kind && item.version === version) return item;
  }
  const settings = mesh.compile({ [section]: policy.intent[section] }, kind, version);
  const groups = settings.groups.map((group) => ({ ...group, policy, mesh, ...(isMoved && { annotations: {} }) }));
  const made = { ...input, groups, findings: deniedByMesh(settings.findings, policy) };
  known.push(made);
  return made;
}

/** A policy that the mesh cannot follow (admitted before an upgrade or downgrade) must not block Services: it warns. */
function deniedByMesh(findings: readonly Finding[], policy: CompiledPolicy): readonly Finding[] {
  return findings
    .filter((item) => item.severity === "deny")
    .map((item) => ({
      ...item,
      severity: "warn" as const,
      path: "",
      message: `ResiliencePolicy ${policy.name}: ${item.message}`,
    }));
}
