import { admissionRuleStatus } from "../../api/v1alpha1/admission-rule.ts";
import type { MergeAction } from "../action.ts";
import { canonicalJson } from "../intent/revision.ts";
import type { KubernetesObject } from "../kubernetes.ts";
import { FAIRLEAD_GROUP } from "../names.ts";
import { type Judgement, oneLine, toConditions } from "../policy/condition-text.ts";

/** Whether the API server asks about what rules match. */
export type RegistrationState =
  | "registered"
  /** There is no webhook configuration. */
  | "absent"
  /** No entry of the configuration carries a CA yet. */
  | "untrusted"
  /** It could not be written. */
  | "failed";

export interface RuleStatusInput {
  /** The AdmissionRule as it is stored. */
  readonly rule: KubernetesObject;
  /** What is wrong with it; empty where it is accepted. */
  readonly problems: readonly string[];
  readonly registration: RegistrationState;
  /** RFC 3339. */
  readonly nowText: string;
}

/** Undefined when the stored status says it all already, and while the rule is being deleted. */
export function planRuleStatus({ rule, problems, registration, nowText }: RuleStatusInput): MergeAction | undefined {
  const { name = "", resourceVersion = "", generation, deletionTimestamp } = rule.metadata ?? {};
  if (deletionTimestamp) return undefined;
  const { status: stored } = rule as KubernetesObject & { readonly status?: unknown };
  const parsed = admissionRuleStatus.safeParse(stored);
  const before = parsed.success ? parsed.data.conditions : undefined;
  const judgements = [
    ["Accepted", accepted(problems)],
    ["Ready", ready(problems, registration)],
  ] as const;
  const conditions = toConditions(judgements, { before, generation, nowText });
  const status = { ...(generation !== undefined && { observedGeneration: generation }), conditions };
  if (canonicalJson(stored ?? {}) === canonicalJson(status)) return undefined;
  return {
    kind: "merge",
    ref: { group: FAIRLEAD_GROUP, resource: "admissionrules", namespace: "", name },
    subresource: "status",
    resourceVersion,
    body: { status },
  };
}

function accepted(problems: readonly string[]): Judgement {
  if (problems.length === 0) return { holds: true, reason: "Compiled", message: "The rule can be evaluated" };
  return { holds: false, reason: "NotCompiled", message: problems.map(oneLine).join("\n") };
}

function ready(problems: readonly string[], registration: RegistrationState): Judgement {
  if (problems.length > 0) {
    const message = "The rule is not accepted, so it holds nowhere; correct what the condition Accepted says";
    return { holds: false, reason: "NotAccepted", message };
  }
  return READY[registration];
}

const READY: Readonly<Record<RegistrationState, Judgement>> = {
  registered: {
    holds: true,
    reason: "Registered",
    message: "The API server asks Fairlead about what the rule matches, in namespaces that opted in",
  },
  absent: {
    holds: false,
    reason: "WebhookConfigurationMissing",
    message: "There is no ValidatingWebhookConfiguration fairlead, so nothing is asked; install the chart again",
  },
  untrusted: {
    holds: false,
    reason: "WebhookWithoutCA",
    message:
      "The ValidatingWebhookConfiguration fairlead carries no CA yet; it comes with the certificates, see the log",
  },
  failed: {
    holds: false,
    reason: "NotRegistered",
    message: "The webhook entries of rules could not be written; Fairlead tries again, see the log of the controller",
  },
};
