import type { CompiledPolicy } from "../intent/policy.ts";
import type { TargetKey } from "../world.ts";

/**
 * The state of the policy that a target is to have: today the current one, for every target. This is the single place
 * where a staged rollout will decide, from the status of the policy and the identity of the target alone. The label
 * `fairlead.dev/revision` of the target is never read, so writing it by hand changes nothing.
 */
export function revisionFor(policy: CompiledPolicy, _target: TargetKey): CompiledPolicy {
  return policy;
}
