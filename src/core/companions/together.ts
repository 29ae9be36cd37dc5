import { type Finding, finding } from "../finding.ts";
import type { Intent, Section } from "../intent/intent.ts";
import type { CompiledPolicy } from "../intent/policy.ts";
import type { MeshCompiler, TargetContext } from "../mesh/mesh.ts";
import { SERVICE_KIND } from "../names.ts";
import { list } from "../text.ts";

export interface TogetherInput {
  readonly service: TargetContext;
  readonly mesh: MeshCompiler;
  /** Who decides each section that the mesh gets of the Service. */
  readonly decided: readonly (readonly [Section, CompiledPolicy])[];
}

export interface OwnedFinding {
  readonly finding: Finding;
  /** The policies that it is about. */
  readonly owners: readonly CompiledPolicy[];
}

/**
 * Sections that a mesh does each by itself and not side by side, where it takes them from several policies: within one
 * policy it would be refused. Each policy without which it would do hears of it.
 */
export function notTogether(input: TogetherInput): readonly OwnedFinding[] {
  const policies = [...new Set(input.decided.map(([, policy]) => policy))];
  if (policies.length < 2) return [];
  const alone = policies.flatMap((policy) => refusals(input, (other) => other === policy)).map(placeOf);
  const together = refusals(input, () => true).filter((item) => !alone.includes(placeOf(item)));
  return together.flatMap((item) => {
    const needed = (policy: CompiledPolicy): boolean =>
      !refusals(input, (other) => other !== policy).some((other) => placeOf(other) === placeOf(item));
    const involved = policies.filter(needed);
    return involved.map((policy) => ({ finding: tell(input, item, { policy, involved }), owners: [policy] }));
  });
}

export function intentOf(decided: TogetherInput["decided"]): Intent {
  return Object.fromEntries(decided.map(([section, { intent }]) => [section, intent[section]]));
}

/** What the mesh cannot do of the sections of these policies. */
function refusals(
  { service, mesh, decided }: TogetherInput,
  counts: (policy: CompiledPolicy) => boolean,
): readonly Finding[] {
  const intent = intentOf(decided.filter(([, policy]) => counts(policy)));
  return mesh.compile(intent, SERVICE_KIND, service.version).findings.filter(({ severity }) => severity === "deny");
}

function placeOf({ code, path }: Finding): string {
  return `${code} ${path}`;
}

interface Involved {
  readonly policy: CompiledPolicy;
  readonly involved: readonly CompiledPolicy[];
}

function tell({ service, decided }: TogetherInput, refused: Finding, { policy, involved }: Involved): Finding {
  const own = decided.filter(([, decider]) => decider === policy).map(([section]) => section);
  const [, leftOut = ""] = refused.path.split(/[.[]/, 2);
  const others = involved.filter((other) => other !== policy).map(({ name }) => name);
  return finding("FL325", own.some((section) => section === leftOut) ? refused.path : `spec.${own[0]}`, {
    message: `Beside ResiliencePolicy ${list(others)} on Service ${service.key.name}, ${leftOut} is left out: ${refused.message}`,
    fix: refused.fix,
  });
}
