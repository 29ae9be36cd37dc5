import { annotationPath, type Finding, finding } from "../finding.ts";
import type { StringMap } from "../kubernetes.ts";
import { acceptsValue } from "../mesh/all.ts";
import type { TargetContext } from "../mesh/mesh.ts";
import { list, quote } from "../text.ts";
import type { WantedGroup } from "./compiled.ts";

export interface MergeInput {
  readonly group: WantedGroup;
  readonly target: TargetContext;
  /** The keys of this group as people wrote them. */
  readonly people: StringMap;
  /** Values that were taken away earlier and are remembered. */
  readonly remembered: StringMap;
  /** The keys of the groups that are settled already. */
  readonly settled: StringMap;
}

export interface MergedGroup {
  /** The whole group as it shall be on the object. */
  readonly annotations: StringMap;
  /** What people wrote and the group no longer says; for exact removal. */
  readonly replaced: StringMap;
  readonly findings: readonly Finding[];
  /** Findings on values that are neither kept nor remembered. */
  readonly lost: readonly Finding[];
}

/** Brings together what a policy wants and what people wrote in one group (docs/architecture.md). */
export function mergeGroup(input: MergeInput): MergedGroup {
  const { group, people } = input;
  if (Object.keys(people).length === 0) return { annotations: group.annotations, replaced: {}, findings: [], lost: [] };
  if (group.policy.spec.conflictResolution === "Override" && !group.neverReplaces) return override(input);
  return preferExisting(input);
}

function preferExisting({ group, target, people, settled }: MergeInput): MergedGroup {
  const wanted = group.annotations;
  const name = group.policy.name;
  if (Object.keys(wanted).length === 0)
    return { annotations: people, replaced: {}, findings: [keptGroup(group, people)], lost: [] };
  const merged = { ...wanted, ...people };
  const objection = group.mesh.objection({ group: group.name, annotations: merged, settled }, target);
  if (objection !== undefined) {
    const path = annotationPath(Object.keys(people).sort()[0] ?? "");
    return {
      annotations: people,
      replaced: {},
      findings: [
        finding("FL503", path, {
          message: `The ${group.section} settings stay as written; filled up from ResiliencePolicy ${name} they would fail: ${objection}`,
          fix: "remove them from the manifest, or set conflictResolution: Override",
        }),
      ],
      lost: [],
    };
  }
  const findings = Object.entries(people).flatMap(([key, value]) => {
    const wants = wanted[key];
    if (wants === undefined || group.mesh.meansTheSame({ key, value, other: wants }, target.version)) return [];
    return [keptValue({ key, value, wants, policy: group.policy.name })];
  });
  return { annotations: merged, replaced: {}, findings, lost: [] };
}

const TO_LET_THE_POLICY_DECIDE = "remove it from the manifest, or set conflictResolution: Override";

function keptValue(found: {
  readonly key: string;
  readonly value: string;
  readonly wants: string;
  readonly policy: string;
}): Finding {
  return finding("FL502", annotationPath(found.key), {
    message: `Kept ${quote(found.value)}; ResiliencePolicy ${found.policy} wants ${quote(found.wants)}`,
    fix: TO_LET_THE_POLICY_DECIDE,
  });
}

function keptGroup(group: WantedGroup, people: StringMap): Finding {
  const keys = Object.keys(people).sort();
  return finding("FL502", annotationPath(keys[0] ?? ""), {
    message: `Kept ${list(keys)}; ResiliencePolicy ${group.policy.name} wants no ${group.section}`,
    fix: group.neverReplaces ? "remove it from the manifest" : TO_LET_THE_POLICY_DECIDE,
  });
}

/** The policy's group stands alone; values that people could have back are remembered, unless the mesh drops them. */
function override({ group, target, people, remembered }: MergeInput): MergedGroup {
  const wanted = group.annotations;
  const replaced: Record<string, string> = {};
  const findings: Finding[] = [];
  const lost: Finding[] = [];
  for (const [key, value] of Object.entries(people)) {
    if (wanted[key] === value) continue;
    const by = wanted[key] === undefined ? "removed it" : `wrote ${quote(wanted[key])}`;
    const found = finding("FL504", annotationPath(key), {
      message: `Found ${quote(value)}; ResiliencePolicy ${group.policy.name} overrides and ${by}`,
      fix: `remove ${key} from your manifest`,
    });
    findings.push(found);
    if (acceptsValue(key, value, target.version)) replaced[key] = value;
    else {
      lost.push(found);
      if (remembered[key] !== undefined && remembered[key] !== wanted[key]) replaced[key] = remembered[key];
    }
  }
  return { annotations: wanted, replaced, findings, lost };
}
