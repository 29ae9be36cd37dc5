import type { CompiledPolicy } from "../intent/policy.ts";
import { type KubernetesObject, labelsOf } from "../kubernetes.ts";

/** Policies of one namespace by what they name or select, so that a review looks at a few of them and not at all. */
interface PolicyIndex {
  /** By the names in targetRefs, of whatever kind. */
  readonly naming: ReadonlyMap<string, readonly CompiledPolicy[]>;
  /** By the first label of the selector, and its value. */
  readonly selecting: ReadonlyMap<string, ReadonlyMap<string, readonly CompiledPolicy[]>>;
  readonly others: readonly CompiledPolicy[];
}

/** Made once for each list: after a change the world hands out another one. */
const indexes = new WeakMap<readonly CompiledPolicy[], PolicyIndex>();

/** Fewer policies are looked at one by one sooner than an index is made. */
const INDEXED_MIN = 8;

/** The policies that may be aimed at a target, each once; `isAimedAt` has the last word. */
export function candidates(
  policies: readonly CompiledPolicy[],
  name: string,
  object: KubernetesObject,
): readonly CompiledPolicy[] {
  if (policies.length < INDEXED_MIN) return policies;
  let index = indexes.get(policies);
  if (index === undefined) indexes.set(policies, (index = indexOf(policies)));
  const found = [...index.others, ...(index.naming.get(name) ?? [])];
  const labels = labelsOf(object);
  for (const label in labels) {
    const selecting = index.selecting.get(label)?.get(labels[label] as string);
    if (selecting !== undefined) found.push(...selecting);
  }
  return found;
}

function indexOf(policies: readonly CompiledPolicy[]): PolicyIndex {
  const naming = new Map<string, CompiledPolicy[]>();
  const selecting = new Map<string, Map<string, CompiledPolicy[]>>();
  const others: CompiledPolicy[] = [];
  for (const policy of policies) {
    const { targetRefs, targetSelector } = policy.spec;
    const [label] = Object.entries(targetSelector?.matchLabels ?? {});
    if (targetRefs !== undefined) {
      for (const name of new Set(targetRefs.map((ref) => ref.name))) listIn(naming, name).push(policy);
    } else if (label !== undefined) {
      const [key, value] = label;
      const byValue = selecting.get(key) ?? new Map<string, CompiledPolicy[]>();
      selecting.set(key, byValue);
      listIn(byValue, value).push(policy);
    } else {
      others.push(policy);
    }
  }
  return { naming, selecting, others };
}

function listIn(map: Map<string, CompiledPolicy[]>, key: string): CompiledPolicy[] {
  const list = map.get(key) ?? [];
  map.set(key, list);
  return list;
}
