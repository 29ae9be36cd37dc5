import { ADMISSION_RULE_KIND } from "../../api/v1alpha1/admission-rule.ts";
import { RESILIENCE_POLICY_KIND } from "../../api/v1alpha1/resilience-policy.ts";
import { RULE_EXCEPTION_KIND } from "../../api/v1alpha1/rule-exception.ts";
import type { KubernetesObject } from "../kubernetes.ts";
import { FAIRLEAD_GROUP, targetKindOf } from "../names.ts";
import type { World } from "../world.ts";
import { decidePolicy } from "./decide-policy.ts";
import { decideException, decideRule } from "./decide-rule.ts";
import { decideRules } from "./decide-rules.ts";
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
  if (request.phase === "rules-fail" || request.phase === "rules-ignore") return decideRules(request, object, world);
  const own = kind.group === FAIRLEAD_GROUP ? OWN_KINDS.get(kind.kind) : undefined;
  if (own !== undefined) return request.phase === "validate" ? own(request, object, world) : ALLOWED;
  const target = targetKindOf(kind.group, kind.kind);
  return target === undefined ? ALLOWED : decideTarget({ request, object, kind: target }, world);
}

type Decision = (request: AdmissionRequest, object: KubernetesObject, world: World) => Verdict;

/** What is written for Fairlead is only judged: nothing is put into it. */
const OWN_KINDS: ReadonlyMap<string, Decision> = new Map([
  [RESILIENCE_POLICY_KIND, decidePolicy],
  [ADMISSION_RULE_KIND, decideRule],
  [RULE_EXCEPTION_KIND, decideException],
]);
