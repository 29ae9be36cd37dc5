import { isRecord } from "../../api/problem.ts";
import type { ResiliencePolicyStatus } from "../../api/v1alpha1/resilience-policy.ts";
import { resiliencePolicyStatus } from "../../api/v1alpha1/resilience-policy-status.ts";
import type { MergeAction } from "../action.ts";
import type { Finding } from "../finding.ts";
import { canonicalJson } from "../intent/revision.ts";
import { APPLIED_SERVICES_MAX } from "../limits.ts";
import type { KubernetesObject } from "../kubernetes.ts";
import { FAIRLEAD_GROUP } from "../names.ts";
import { list } from "../text.ts";
import { toConditions, count } from "./condition-text.ts";
import { CONDITIONS, type ConditionType } from "./conditions.ts";
import { AWAITED, factsOf, type PolicyFacts, type StatusInput } from "./facts.ts";

/**
 * The status that a policy is to have. The same facts give the same status, the times included: those of the stored
 * status stay until something changes.
 */
export function policyStatus(input: StatusInput): ResiliencePolicyStatus {
  const before = statusBefore(input.policy);
  const status = statusWithoutTime(input, before);
  const { lastUpdateTime, ...rest } = before;
  const unchanged = lastUpdateTime !== undefined && canonicalJson(rest) === canonicalJson(status);
  return { ...status, lastUpdateTime: unchanged ? lastUpdateTime : input.nowText };
}

/** Undefined when the stored status says it all already, and while the policy is being deleted: nobody waits for it. */
export function planStatus(input: StatusInput): MergeAction | undefined {
  const { namespace = "default", name = "", resourceVersion = "", deletionTimestamp } = input.policy.metadata ?? {};
  if (deletionTimestamp) return undefined;
  const stored = storedStatus(input.policy);
  const status = policyStatus(input);
  if (canonicalJson(stored) === canonicalJson(status)) return undefined;
  // In a merge patch a field goes only when it is named.
  const gone = Object.fromEntries(Object.keys(stored).map((field) => [field, null]));
  return {
    kind: "merge",
    ref: { group: FAIRLEAD_GROUP, resource: "resiliencepolicies", namespace, name },
    subresource: "status",
    resourceVersion,
    body: { status: { ...gone, ...status } },
  };
}

function storedStatus(policy: KubernetesObject): Readonly<Record<string, unknown>> {
  const { status } = policy as KubernetesObject & { readonly status?: unknown };
  return isRecord(status) ? status : {};
}

/** As far as it can be read: what others wrote there is not taken over. */
function statusBefore(policy: KubernetesObject): ResiliencePolicyStatus {
  const parsed = resiliencePolicyStatus.safeParse(storedStatus(policy));
  return parsed.success ? parsed.data : {};
}

function statusWithoutTime(input: StatusInput, before: ResiliencePolicyStatus): ResiliencePolicyStatus {
  const facts = factsOf(input);
  const { generation } = input.policy.metadata ?? {};
  const judgements = (Object.keys(CONDITIONS) as ConditionType[]).map(
    (type) => [type, CONDITIONS[type](facts)] as const,
  );
  const conditions = toConditions(judgements, { before: before.conditions, generation, nowText: input.nowText });
  return {
    ...(generation !== undefined && { observedGeneration: generation }),
    conditions,
    ...(facts.mesh !== undefined && { mesh: facts.mesh }),
    ...targetFields(facts),
    ...revisionFields(facts, before),
  };
}

function targetFields(facts: PolicyFacts): ResiliencePolicyStatus {
  const { targets, targetsKnown, readable, owned } = facts;
  if (!targetsKnown) return {};
  const isMissing = ({ severity, code }: Finding): boolean => severity === "deny" || AWAITED.has(code);
  const isWritten = (owned.pending ?? 0) === 0 && !owned.findings.some(isMissing);
  const besides = isWritten ? readable?.revision : undefined;
  return {
    targets: shortText(facts),
    targetCount: targets.length,
    appliedCount: targets.filter(({ state }) => state === "current").length,
    appliedToServices: targets
      .flatMap(({ key, beside, revision = beside && besides }) =>
        revision === undefined ? [] : [{ name: key.name, revision }],
      )
      .slice(0, APPLIED_SERVICES_MAX),
  };
}

/** A new revision is in force once no target is on its way to it; an unaccepted policy keeps what was last good. */
function revisionFields({ accepted, readable, mode, ...facts }: PolicyFacts, before: ResiliencePolicyStatus) {
  const update = accepted ? readable?.revision : before.updateRevision;
  const injects = mode === "enforce" || mode === "warn";
  const settled =
    facts.targets.some(({ state }) => state === "current") &&
    facts.targets.every(({ state }) => state !== "updating") &&
    (facts.owned.pending ?? 0) === 0;
  const current = accepted && injects && settled ? update : before.currentRevision;
  return {
    ...(current !== undefined && { currentRevision: current }),
    ...(update !== undefined && { updateRevision: update }),
  };
}

/** More names do not fit into a column. */
const NAMES_IN_COLUMN = 3;

/** `user-service`, `user-service, cart and 3 more`, `12 Services`. */
function shortText({ readable, targets }: PolicyFacts): string {
  if (readable?.spec.targetRefs === undefined) return count(targets.length, "Service");
  const names = targets.map(({ key }) => key.name);
  if (names.length <= NAMES_IN_COLUMN) return list(names);
  const shown = names.slice(0, NAMES_IN_COLUMN - 1);
  return `${shown.join(", ")} and ${names.length - shown.length} more`;
}
