import { planTarget, type TargetPlan } from "../core/admission/plan.ts";
import type { CompiledPolicy } from "../core/intent/policy.ts";
import type { KubernetesObject } from "../core/kubernetes.ts";
import type { ControlPlane } from "../core/mesh/control-plane.ts";
import type { NamespaceInfo, TargetKey, World } from "../core/world.ts";

/** A plan, and all that it was made from beside the object itself; the store hands out other values after a change. */
interface Planned {
  readonly policies: readonly CompiledPolicy[];
  readonly namespace: NamespaceInfo | undefined;
  readonly controlPlanes: readonly ControlPlane[];
  readonly plan: TargetPlan | undefined;
}

const planned = new WeakMap<KubernetesObject, Planned>();

/**
 * {@link planTarget}, made once for an object as long as neither it nor the policies and the labels of its namespace nor
 * the control planes change: status asks for thousands of targets once a second, of which few have changed since.
 */
export function planOnce(live: KubernetesObject, key: TargetKey, world: World): TargetPlan | undefined {
  const policies = world.policiesIn(key.namespace);
  const namespace = world.namespace(key.namespace);
  const controlPlanes = world.controlPlanes();
  // Most objects of a cluster are in namespaces without policies: they are not to take memory here.
  if (policies.length === 0) return planTarget(live, key, world);
  const before = planned.get(live);
  if (before?.policies === policies && before.namespace === namespace && before.controlPlanes === controlPlanes)
    return before.plan;
  const plan = planTarget(live, key, world);
  planned.set(live, { policies, namespace, controlPlanes, plan });
  return plan;
}
