import { namesResource, type Resource } from "./match.ts";
import type { CompiledRule, FailurePolicy } from "./rule.ts";

/** Rules by the resource that they name, so that a request looks at a few of them and not at all. */
type RuleIndex = Map<string, readonly CompiledRule[]>;

/** Made for each list: after a change the world hands out another one. */
const indexes = new WeakMap<readonly CompiledRule[], RuleIndex>();

/** So many resources are kept; whoever can reach the port could ask for any number. */
const RESOURCES_MAX = 1_000;

/** The rules with this failure policy that may apply to a resource, in the order of the world. */
export function rulesFor(
  rules: readonly CompiledRule[],
  resource: Resource,
  failurePolicy: FailurePolicy,
): readonly CompiledRule[] {
  let index = indexes.get(rules);
  if (index === undefined) indexes.set(rules, (index = new Map()));
  const key = `${failurePolicy} ${resource.group}/${resource.resource}`;
  let found = index.get(key);
  if (found === undefined) {
    found = rules.filter(
      (rule) => rule.failurePolicy === failurePolicy && namesResource(rule.match.resourceRules, resource),
    );
    if (index.size >= RESOURCES_MAX) index.clear();
    index.set(key, found);
  }
  return found;
}
