import { modeOf } from "../admission/mode.ts";
import type { CompiledPolicy } from "../intent/policy.ts";
import { MODE_LABEL } from "../names.ts";
import { changedWorld } from "../policy/world-with-policy.ts";
import type { World } from "../world.ts";

/**
 * The world with the policies that are in force, and no others: none where the namespace has not opted in, and where it
 * audits those that were in force before, because auditing leaves everything as it is. `before`: the world in force
 * before a change, undefined where there was none.
 */
export function worldInForce(world: World, before: World | undefined): World {
  const policiesIn = (namespace: string): readonly CompiledPolicy[] => {
    const { mode } = modeOf(namespace, world);
    if (mode === undefined) return [];
    return mode === "audit" ? (before?.policiesIn(namespace) ?? []) : world.policiesIn(namespace);
  };
  return changedWorld(world, {
    policiesIn,
    // In audit mode a target is looked at as if it were injected (docs/policy.md); here it is taken as it is.
    namespace: (name) => {
      const known = world.namespace(name);
      if (known === undefined || modeOf(name, world).mode !== "audit") return known;
      const { [MODE_LABEL]: _, ...labels } = known.labels;
      return { ...known, labels };
    },
  });
}
