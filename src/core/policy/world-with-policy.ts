import type { CompiledPolicy } from "../intent/policy.ts";
import type { World } from "../world.ts";

/** The world once a policy is as given, whatever it still has under its name. */
export function worldWithPolicy(world: World, policy: CompiledPolicy): World {
  const others = world.policiesIn(policy.namespace).filter(({ name }) => name !== policy.name);
  const changed = [...others, policy];
  return {
    defaults: world.defaults,
    namespace: (name) => world.namespace(name),
    policiesIn: (namespace) => (namespace === policy.namespace ? changed : world.policiesIn(namespace)),
    target: (key) => world.target(key),
    targetsIn: (namespace) => world.targetsIn(namespace),
    serviceProfilesFor: (service, namespace) => world.serviceProfilesFor(service, namespace),
    hostObjects: (service, namespace) => world.hostObjects(service, namespace),
    rules: () => world.rules(),
    ruleKind: (resource) => world.ruleKind(resource),
    exceptionsIn: (namespace) => world.exceptionsIn(namespace),
    paramsConfigMap: (name) => world.paramsConfigMap(name),
    namespaceObject: (name) => world.namespaceObject(name),
  };
}
