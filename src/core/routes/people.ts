import { type KubernetesObject, labelsOf, type Route } from "../kubernetes.ts";
import { serviceParents } from "../mesh/linkerd/eligibility.ts";
import { MANAGED_BY, MANAGED_BY_LABEL, POLICY_UID_LABEL, SERVICE_KIND } from "../names.ts";
import type { World } from "../world.ts";

/** A Service that a route names as its parent. */
interface ServiceParent {
  readonly namespace: string;
  readonly name: string;
  /** Undefined: every port. */
  readonly port: number | undefined;
}

/** One route that people wrote and that is attached to a Service. */
export interface AttachedRoute {
  readonly object: KubernetesObject;
  readonly port: number | undefined;
}

/** Whether Fairlead made the object, for whatever policy. */
export function isGenerated(object: KubernetesObject): boolean {
  const labels = labelsOf(object);
  return labels[MANAGED_BY_LABEL] === MANAGED_BY && labels[POLICY_UID_LABEL] !== undefined;
}

/** The Services that a route is attached to. */
export function parentsOf(route: KubernetesObject): readonly ServiceParent[] {
  const own = route.metadata?.namespace ?? "";
  return serviceParents(route as Route).map(({ namespace = own, name, port }) => ({ namespace, name, port }));
}

type RoutesByService = ReadonlyMap<string, readonly AttachedRoute[]>;

/** Made once for each list: after a change the world hands out another one. */
const known = new WeakMap<Iterable<KubernetesObject>, RoutesByService>();

/** The routes of people in a namespace, by the name of the Service there that they are attached to. */
export function peoplesRoutes(namespace: string, world: World): RoutesByService {
  const targets = world.targetsIn(namespace);
  const before = known.get(targets);
  if (before !== undefined) return before;
  const byService = routesByService(namespace, targets);
  known.set(targets, byService);
  return byService;
}

function routesByService(namespace: string, targets: Iterable<KubernetesObject>): RoutesByService {
  const byService = new Map<string, AttachedRoute[]>();
  for (const object of targets) {
    if (object.kind === SERVICE_KIND.kind || isGenerated(object) || object.metadata?.deletionTimestamp) continue;
    for (const parent of parentsOf(object)) {
      if (parent.namespace !== namespace) continue;
      const routes = byService.get(parent.name) ?? [];
      routes.push({ object, port: parent.port });
      byService.set(parent.name, routes);
    }
  }
  return byService;
}
