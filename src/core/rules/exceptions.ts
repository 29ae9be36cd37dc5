import type { KubernetesObject } from "../kubernetes.ts";
import type { AdmissionRequest } from "../admission/review.ts";
import type { World } from "../world.ts";
import { selectsObject } from "./match.ts";
import type { CompiledException, CompiledRule } from "./rule.ts";

/** The exception that exempts an object from a rule and lasts longest; undefined where none does at the time of the request. */
export function exceptionFor(
  rule: CompiledRule,
  {
    request,
    object,
    world,
  }: { readonly request: AdmissionRequest; readonly object: KubernetesObject; readonly world: World },
): CompiledException | undefined {
  if (!rule.exceptionsAllowed) return undefined;
  return world
    .exceptionsIn(request.namespace)
    .filter(({ rules, expiresAtMs }) => rules.includes(rule.name) && request.nowMs < expiresAtMs)
    .filter(({ objectNames, selector }) =>
      selector === undefined ? objectNames.includes(request.name) : selectsObject(selector, object),
    )
    .reduce<CompiledException | undefined>((longest, one) => later(longest, one), undefined);
}

function later(longest: CompiledException | undefined, one: CompiledException): CompiledException {
  return longest === undefined || one.expiresAtMs > longest.expiresAtMs ? one : longest;
}
