import { FAIRLEAD_GROUP, targetKindOf } from "../names.ts";
import type { World } from "../world.ts";
import { decidePolicy } from "./decide-policy.ts";
import { decideTarget } from "./decide-target.ts";
import { ALLOWED, type AdmissionRequest, type Verdict } from "./review.ts";

/**
 * The one evaluator: webhook, controller, CLI and tests call it. Pure and synchronous; it reads the world, changes
 * nothing, and cannot fail on input: what is wrong with an object becomes findings.
 */
export function decide(request: AdmissionRequest, world: World): Verdict {
  const { operation, object, kind } = request;
  if (object === undefined || (operation !== "CREATE" && operation !== "UPDATE")) return ALLOWED;
  // An object on its way out is left alone: refusing would only keep its finalizers from going.
  if (object.metadata?.deletionTimestamp) return ALLOWED;
  if (kind.group === FAIRLEAD_GROUP && kind.kind === "ResiliencePolicy") return decidePolicy(request, object, world);
  const target = targetKindOf(kind.group, kind.kind);
  return target === undefined ? ALLOWED : decideTarget({ request, object, kind: target }, world);
}
