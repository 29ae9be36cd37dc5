import { MODE_LABEL, INJECT_LABEL } from "../names.ts";
import { count, type Judgement, nameTargets, oneLine } from "./condition-text.ts";
import { AWAITED, type PolicyFacts } from "./facts.ts";
import type { TargetFact, TargetState } from "./target-facts.ts";

/** In the order in which they are looked for: the first that applies is told. */
export const READY_REASONS = [
  "NotAccepted",
  "NamespaceExcluded",
  "NamespaceNotOptedIn",
  "AuditMode",
  "NoTargets",
  "TargetsUpdating",
  "TargetsNotEligible",
  "TargetsMissing",
  "ObjectsRefused",
  "PortsUnknown",
  "ObjectsUpdating",
  "AnotherPolicyFirst",
  "InjectionDisabled",
  "AllTargetsUpdated",
] as const;

type Ready = Judgement<(typeof READY_REASONS)[number]>;

/** Every target that is to have the policy has it, in the revision of now. */
export function ready(facts: PolicyFacts): Ready {
  return notInForce(facts) ?? targetsInTheWay(facts) ?? objectsInTheWay(facts) ?? allInStep(facts);
}

function no(reason: Ready["reason"], message: string): Ready {
  return { holds: false, reason, message };
}

/** Why the policy acts on nothing at all. */
function notInForce({ namespace, accepted, excluded, mode }: PolicyFacts): Ready | undefined {
  if (!accepted) return no("NotAccepted", "The policy is not accepted; correct what the condition Accepted says");
  if (excluded) {
    const fix = "put the policy beside its Services, in a namespace of your own";
    return no("NamespaceExcluded", `Namespace ${namespace} is never touched; ${fix}`);
  }
  if (mode === undefined) {
    const fix = `kubectl label namespace ${namespace} ${MODE_LABEL}=enforce`;
    return no("NamespaceNotOptedIn", `Namespace ${namespace} is not opted in, so nothing is injected: ${fix}`);
  }
  if (mode === "audit") {
    const fix = `kubectl label namespace ${namespace} --overwrite ${MODE_LABEL}=enforce`;
    return no("AuditMode", `Namespace ${namespace} is in audit mode, so nothing is injected: ${fix}`);
  }
  return undefined;
}

function targetsInTheWay(facts: PolicyFacts): Ready | undefined {
  const { targets, failures, readable } = facts;
  const missing = inState(targets, "missing");
  if (missing.length === targets.length) {
    return no(
      "NoTargets",
      readable?.spec.targetRefs === undefined
        ? `No Service in namespace ${facts.namespace} has the labels of spec.targetSelector; the policy applies as soon as one has them`
        : `No target exists yet: ${nameTargets(missing)}; the policy applies as soon as one is created`,
    );
  }
  const updating = inState(targets, "updating");
  if (updating.length > 0) {
    const why = failures.length > 0 ? "; writing fails, see the condition Failed" : "";
    return no("TargetsUpdating", `${progress(facts)}; still to be written: ${nameTargets(updating)}${why}`);
  }
  const [first] = targets.filter(({ state }) => state === "ineligible");
  if (first !== undefined) {
    const message = `${progress(facts)}; not possible on ${nameTargets(inState(targets, "ineligible"))}`;
    const how = `${first.key.kind} ${first.key.name}: ${first.obstacle}, or label it ${INJECT_LABEL}: disabled`;
    return no("TargetsNotEligible", oneLine(`${message}. ${how}`));
  }
  if (missing.length > 0) {
    return no("TargetsMissing", `${progress(facts)}; ${nameTargets(missing)} ${doNot(missing.length)} exist yet`);
  }
  return undefined;
}

function objectsInTheWay({ owned }: PolicyFacts): Ready | undefined {
  const refused = owned.findings.filter((item) => item.severity === "deny");
  const [first] = refused;
  if (first !== undefined) {
    const more = refused.length > 1 ? `; ${refused.length - 1} more` : "";
    return no("ObjectsRefused", oneLine(`${first.path}: ${first.message}; ${first.fix}${more}`));
  }
  const waiting = owned.findings.find(({ code }) => AWAITED.has(code));
  if (waiting !== undefined) return no("PortsUnknown", oneLine(`${waiting.path}: ${waiting.message}; ${waiting.fix}`));
  const pending = owned.pending ?? 0;
  return pending > 0 ? no("ObjectsUpdating", `${count(pending, "generated object")} still to be written`) : undefined;
}

/** Nothing is left to do; but somebody may have decided that no target gets anything from this policy. */
function allInStep(facts: PolicyFacts): Ready {
  const elsewhere = inState(facts.targets, "elsewhere");
  const disabled = inState(facts.targets, "disabled");
  if (inState(facts.targets, "current").length > 0) {
    return { holds: true, reason: "AllTargetsUpdated", message: [progress(facts), ...exceptions(facts)].join("; ") };
  }
  if (elsewhere.length > 0) {
    const message = `Other policies decide every section on ${nameTargets(elsewhere)}; see the condition Conflicted`;
    return no("AnotherPolicyFirst", message);
  }
  const fix = `remove the label ${INJECT_LABEL}: disabled there`;
  return no("InjectionDisabled", `Injection is switched off on ${nameTargets(disabled)}; ${fix}`);
}

/** `3 of 5 targets have revision 0123456789ab`. */
function progress({ targets, readable }: PolicyFacts): string {
  const current = inState(targets, "current").length;
  const verb = targets.length === 1 ? "has" : "have";
  return `${current} of ${count(targets.length, "target")} ${verb} revision ${readable?.revision}`;
}

function exceptions({ targets }: PolicyFacts): readonly string[] {
  const elsewhere = inState(targets, "elsewhere").length;
  const disabled = inState(targets, "disabled").length;
  return [
    ...(elsewhere > 0 ? [`${elsewhere} ${take(elsewhere)} every section from other policies`] : []),
    ...(disabled > 0 ? [`${disabled} ${disabled === 1 ? "is" : "are"} opted out by ${INJECT_LABEL}: disabled`] : []),
  ];
}

function inState(targets: readonly TargetFact[], state: TargetState): readonly TargetFact["key"][] {
  return targets.filter((target) => target.state === state).map(({ key }) => key);
}

function doNot(number: number): string {
  return number === 1 ? "does not" : "do not";
}

function take(number: number): string {
  return number === 1 ? "takes" : "take";
}
