import { compareStrings } from "../finding.ts";
import { type KubernetesObject, labelsOf } from "../kubernetes.ts";
import { CORE_GROUP } from "../names.ts";
import type { TargetKey } from "../world.ts";
import { SECTIONS, type Section } from "./intent.ts";
import type { CompiledPolicy } from "./policy.ts";

/** Which policy decides each section of one target, and which ones lost. */
export interface Precedence {
  readonly winners: Partial<Readonly<Record<Section, CompiledPolicy>>>;
  readonly losers: readonly {
    readonly policy: CompiledPolicy;
    readonly section: Section;
    readonly winner: CompiledPolicy;
  }[];
}

const NOTHING: Precedence = Object.freeze({ winners: Object.freeze({}), losers: Object.freeze([]) });

/**
 * Section by section, the first policy in this order decides: named in targetRefs before selected by label, then
 * the oldest, then by name (docs/policy.md).
 */
export function resolvePrecedence(
  policies: readonly CompiledPolicy[],
  key: TargetKey,
  target: KubernetesObject,
): Precedence {
  const aimed = policies.filter((policy) => isAimedAt(policy, key, target));
  if (aimed.length === 0) return NOTHING;
  if (aimed.length > 1) aimed.sort(byPrecedence);
  const winners: Partial<Record<Section, CompiledPolicy>> = {};
  const losers: Precedence["losers"][number][] = [];
  for (const section of SECTIONS) {
    for (const policy of aimed) {
      if (policy.intent[section] === undefined) continue;
      const winner = winners[section];
      if (winner === undefined) winners[section] = policy;
      else losers.push({ policy, section, winner });
    }
  }
  return { winners, losers };
}

export function isAimedAt(policy: CompiledPolicy, key: TargetKey, target: KubernetesObject): boolean {
  if (policy.namespace !== key.namespace) return false;
  const { targetRefs, targetSelector } = policy.spec;
  if (targetRefs !== undefined) {
    return targetRefs.some(
      (ref) => ref.name === key.name && ref.kind === key.kind && (ref.group ?? CORE_GROUP) === key.group,
    );
  }
  return (
    key.kind === "Service" &&
    targetSelector !== undefined &&
    matchesLabels(targetSelector.matchLabels, labelsOf(target))
  );
}

export function matchesLabels(
  wanted: Readonly<Record<string, string>>,
  found: Readonly<Record<string, string>>,
): boolean {
  for (const label in wanted) if (!Object.hasOwn(found, label) || found[label] !== wanted[label]) return false;
  return true;
}

function byPrecedence(a: CompiledPolicy, b: CompiledPolicy): number {
  return (
    Number(a.spec.targetRefs === undefined) - Number(b.spec.targetRefs === undefined) ||
    compareAge(a.createdAt, b.createdAt) ||
    compareStrings(a.name, b.name)
  );
}

/** RFC 3339 in UTC sorts as text; a policy that is just being created has no time yet and is the newest. */
function compareAge(a: string, b: string): number {
  if (a === b) return 0;
  if (a === "" || b === "") return a === "" ? 1 : -1;
  return compareStrings(a, b);
}
