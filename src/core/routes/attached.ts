import { type Finding, finding } from "../finding.ts";
import type { CompiledPolicy } from "../intent/policy.ts";
import { resolvePrecedence } from "../intent/precedence.ts";
import { groupOf } from "../kubernetes.ts";
import { meshOf, meshOfPolicy } from "../mesh/all.ts";
import { meshVersionIn } from "../mesh/discovery.ts";
import type { TargetContext } from "../mesh/mesh.ts";
import { SERVICE_KIND } from "../names.ts";
import type { TargetKey, World } from "../world.ts";
import { decidesRoutes, routeSection } from "./deciders.ts";
import { type AttachedRoute, isGenerated, parentsOf } from "./people.ts";

/** For whoever writes a route to a Service whose routes a policy generates. */
export function besideGenerated({ object, key, namespace, world }: TargetContext): readonly Finding[] {
  if (key.kind === SERVICE_KIND.kind || isGenerated(object)) return [];
  const policies = world.policiesIn(key.namespace).filter((policy) => routeSection(policy) !== undefined);
  if (policies.length === 0) return [];
  const own = { ...object, metadata: { ...object.metadata, namespace: key.namespace } };
  const parents = parentsOf(own).filter((parent) => parent.namespace === key.namespace);
  const mesh = meshOf(namespace, world.defaults);
  return parents.flatMap(({ name, port }) => {
    const service = { ...SERVICE_KIND, namespace: key.namespace, name };
    const policy = decidesRoutes(resolvePrecedence(policies, service, world.target(service) ?? {}).winners);
    if (policy === undefined) return [];
    const ports = meshOfPolicy(policy.spec, mesh).httpPorts(contextOf(service, world));
    return port !== undefined && !ports.includes(port) ? [] : [takenBack(policy, name)];
  });
}

/** A Service as the mesh sees it; one that does not exist has no ports. */
export function contextOf(key: TargetKey, world: World): TargetContext {
  const namespace = world.namespace(key.namespace);
  const object = world.target(key) ?? {};
  return { key, kind: SERVICE_KIND, object, namespace, version: meshVersionIn(namespace, world), world };
}

function takenBack({ name }: CompiledPolicy, service: string): Finding {
  return finding("FL316", "spec.parentRefs", {
    message: `ResiliencePolicy ${name} generates routes of Service ${service} and takes them back beside this one`,
    fix: "move its matches to spec.routes of the policy",
  });
}

/** For the policy, where somebody else's route is attached to one of its targets. */
export function foreignRoute(service: string, { object }: AttachedRoute, policy: CompiledPolicy): Finding {
  const route = `${object.kind ?? ""} ${object.metadata?.name ?? ""} (${groupOf(object.apiVersion ?? "")})`;
  return finding("FL315", `spec.${routeSection(policy)}`, {
    message: `Service ${service} has ${route}, which people wrote; generated routes would compete with it`,
    fix: "move its matches to spec.routes and delete it, or remove the Service from the targets",
  });
}
