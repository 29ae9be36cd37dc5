import { warningTexts } from "../admission/text.ts";
import { ERROR_LENGTH_MAX, NAMES_SHOWN_MAX } from "../limits.ts";
import type { TargetKey } from "../world.ts";
import { bounded, count, type Judgement, nameTargets, oneLine } from "./condition-text.ts";
import { type PolicyFacts, CONFLICTS } from "./facts.ts";
import { ready, READY_REASONS } from "./ready.ts";

/** Every reason that a condition can have; docs/policy.md explains each. */
export const REASONS = {
  Accepted: ["Accepted", "AcceptedWithWarnings", "InvalidSpec", "NotSupported"],
  Ready: READY_REASONS,
  Failed: ["NoFailures", "WriteFailed"],
  TargetServiceNotFound: ["TargetsFound", "TargetsMissing", "NotAccepted"],
  Conflicted: ["NoConflicts", "AnotherPolicyFirst", "AnotherPolicyInTheWay", "ObjectInTheWay", "NotAccepted"],
} as const;

export type ConditionType = keyof typeof REASONS;
type Judge<Type extends ConditionType> = (facts: PolicyFacts) => Judgement<(typeof REASONS)[Type][number]>;

/** All of them, in the order in which they are written. */
export const CONDITIONS: { readonly [Type in ConditionType]: Judge<Type> } = {
  Accepted: accepted,
  Ready: ready,
  Failed: failed,
  TargetServiceNotFound: targetNotFound,
  Conflicted: conflicted,
};

const NOT_LOOKED_AT = {
  holds: false,
  reason: "NotAccepted",
  message: "Not looked at: the policy is not accepted",
} as const;

/** The judgement of admission, and its warnings: tools that apply manifests show them to nobody. */
function accepted({ accepted, denial, findings, owned }: PolicyFacts): ReturnType<Judge<"Accepted">> {
  if (!accepted) {
    const own = findings.some((item) => item.severity === "deny" && /^FL[12]/.test(item.code));
    return { holds: false, reason: own ? "InvalidSpec" : "NotSupported", message: denial };
  }
  const all = new Map([...findings, ...owned.findings].map((item) => [item.code + item.path + item.message, item]));
  const warnings = [...all.values()].filter((item) => item.severity === "warn");
  if (warnings.length === 0) return { holds: true, reason: "Accepted", message: "The policy can be applied" };
  const head = `The policy can be applied, with ${count(warnings.length, "warning")}:`;
  const message = [head, ...warningTexts(warnings, undefined)].join("\n");
  return { holds: true, reason: "AcceptedWithWarnings", message };
}

function failed({ failures, problem }: PolicyFacts): ReturnType<Judge<"Failed">> {
  const [first] = failures;
  if (first === undefined && problem !== undefined) {
    const error = bounded(oneLine(problem), ERROR_LENGTH_MAX);
    const message = `Writing an object of the policy failed: ${error}; it is tried again until the cause is gone`;
    return { holds: true, reason: "WriteFailed", message };
  }
  if (first === undefined) return { holds: false, reason: "NoFailures", message: "No write has failed" };
  const { kind, namespace, name } = first.key;
  const error = bounded(oneLine(first.error), ERROR_LENGTH_MAX);
  const more = failures.length > 1 ? `; ${count(failures.length - 1, "more target")} failed` : "";
  const message = `Writing ${kind} ${namespace}/${name} failed: ${error}${more}; it is tried again until the cause is gone`;
  return { holds: true, reason: "WriteFailed", message };
}

function targetNotFound({ readable, targets, namespace }: PolicyFacts): ReturnType<Judge<"TargetServiceNotFound">> {
  if (readable === undefined) return NOT_LOOKED_AT;
  if (readable.spec.targetRefs === undefined) {
    return { holds: false, reason: "TargetsFound", message: "The policy names no target, it selects them by label" };
  }
  const missing = targets.filter(({ state }) => state === "missing").map(({ key }) => key);
  if (missing.length === 0) return { holds: false, reason: "TargetsFound", message: "Every named target exists" };
  const found = `${nameTargets(missing)} ${missing.length === 1 ? "does" : "do"} not exist in namespace ${namespace}`;
  return {
    holds: true,
    reason: "TargetsMissing",
    message: `${found}; create what is missing, or correct spec.targetRefs`,
  };
}

/** Each winner and section once, with the targets on which it wins. */
function conflicted(facts: PolicyFacts): ReturnType<Judge<"Conflicted">> {
  const { readable, accepted, targets } = facts;
  if (readable === undefined || !accepted) return NOT_LOOKED_AT;
  const inTheWay = [...facts.owned.findings, ...facts.findings].find((item) => CONFLICTS.has(item.code));
  if (inTheWay !== undefined) {
    const reason = inTheWay.code === "FL325" ? "AnotherPolicyInTheWay" : "ObjectInTheWay";
    return { holds: true, reason, message: `${inTheWay.message}; ${inTheWay.fix}` };
  }
  const conflicts = new Map<string, { section: string; winner: string; keys: TargetKey[] }>();
  for (const { key, lost } of targets) {
    for (const { section, winner } of lost) {
      const id = `${winner}/${section}`;
      const conflict = conflicts.get(id) ?? { section, winner, keys: [] };
      conflict.keys.push(key);
      conflicts.set(id, conflict);
    }
  }
  if (conflicts.size === 0) {
    return { holds: false, reason: "NoConflicts", message: "No other policy goes before this one" };
  }
  const lines = [...conflicts.values()].slice(0, NAMES_SHOWN_MAX).map(({ section, winner, keys }) => {
    const verb = keys.length === 1 ? "takes" : "take";
    return `${nameTargets(keys)} ${verb} ${section} from ResiliencePolicy ${winner}, which comes first`;
  });
  const more = conflicts.size - lines.length;
  const message = [...lines, ...(more > 0 ? [`${more} more`] : [])].join("; ");
  return { holds: true, reason: "AnotherPolicyFirst", message: `${message}; remove the section from one of the two` };
}
