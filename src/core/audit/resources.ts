import { compareStrings } from "../finding.ts";
import { FAIRLEAD_GROUP, TARGET_KINDS } from "../names.ts";
import { whyForbidden } from "../rules/kinds.ts";
import type { Resource } from "../rules/match.ts";
import type { CompiledRule } from "../rules/rule.ts";

/** What the world holds anyway: it is not listed once more. */
const IN_WORLD: readonly Resource[] = [...TARGET_KINDS, { group: FAIRLEAD_GROUP, resource: "resiliencepolicies" }];

export interface AuditedResources {
  /** To be listed, page by page. Sorted. */
  readonly listed: readonly Resource[];
  /** `apps/*`: which resources that are is not known, so nobody lists them. Sorted. */
  readonly wildcards: readonly Resource[];
}

/** The resources beyond the world that rules match. */
export function auditedResources(rules: readonly CompiledRule[]): AuditedResources {
  const all = new Map<string, Resource>();
  for (const { match } of rules)
    for (const { apiGroups, resources } of match.resourceRules)
      for (const group of apiGroups)
        for (const resource of resources) {
          const isInWorld = IN_WORLD.some((known) => known.group === group && known.resource === resource);
          const isRefused = whyForbidden({ group, resource }) !== undefined;
          if (!isInWorld && !isRefused) all.set(resourceText({ group, resource }), { group, resource });
        }
  const sorted = [...all].sort(([a], [b]) => compareStrings(a, b)).map(([, resource]) => resource);
  const isWildcard = ({ group, resource }: Resource): boolean => group === "*" || resource === "*";
  return { listed: sorted.filter((each) => !isWildcard(each)), wildcards: sorted.filter(isWildcard) };
}

/** `deployments.apps`, `pods`. */
export function resourceText({ group, resource }: Resource): string {
  return group === "" ? resource : `${resource}.${group}`;
}
