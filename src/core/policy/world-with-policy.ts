import type { CompiledPolicy } from "../intent/policy.ts";
import type { World } from "../world.ts";

/** The world once a policy is as given, whatever it still has under its name. */
export function worldWithPolicy(world: World, policy: CompiledPolicy): World {
  return withPolicies(world, policy.namespace, [...others(world, policy), policy]);
}

/** The world before a policy of this name was written. */
export function worldWithoutPolicy(world: World, policy: Pick<CompiledPolicy, "namespace" | "name">): World {
  return withPolicies(world, policy.namespace, others(world, policy));
}

function others(
  world: World,
  { namespace, name }: Pick<CompiledPolicy, "namespace" | "name">,
): readonly CompiledPolicy[] {
  return world.policiesIn(namespace).filter((policy) => policy.name !== name);
}

function withPolicies(world: World, ofNamespace: string, policies: readonly CompiledPolicy[]): World {
  return changedWorld(world, {
    policiesIn: (namespace) => (namespace === ofNamespace ? policies : world.policiesIn(namespace)),
  });
}

/** A world of which some answers are others. Worlds are classes as well, so that no spread would do. */
export function changedWorld(world: World, changes: Partial<World>): World {
  return {
    defaults: world.defaults,
    namespace: (name) => world.namespace(name),
    policiesIn: (namespace) => world.policiesIn(namespace),
    controlPlanes: () => world.controlPlanes(),
    endpointsOf: (service, namespace) => world.endpointsOf(service, namespace),
    podPortsOf: (service, namespace, port) => world.podPortsOf(service, namespace, port),
    target: (key) => world.target(key),
    targetsIn: (namespace) => world.targetsIn(namespace),
    serviceProfilesFor: (service, namespace) => world.serviceProfilesFor(service, namespace),
    hostObjects: (service, namespace) => world.hostObjects(service, namespace),
    workloadObjects: (namespace, kind) => world.workloadObjects(namespace, kind),
    rules: () => world.rules(),
    ruleKind: (name) => world.ruleKind(name),
    exceptionsIn: (namespace) => world.exceptionsIn(namespace),
    paramsConfigMap: (name) => world.paramsConfigMap(name),
    namespaceObject: (name) => world.namespaceObject(name),
    ...changes,
  };
}
