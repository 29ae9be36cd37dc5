import type * as z from "zod";
import { ADMISSION_RULE_KIND, admissionRuleSpec, admissionRuleStatus } from "../api/v1alpha1/admission-rule.ts";
import { RESILIENCE_POLICY_KIND, resiliencePolicySpec } from "../api/v1alpha1/resilience-policy.ts";
import { resiliencePolicyStatus } from "../api/v1alpha1/resilience-policy-status.ts";
import { RULE_EXCEPTION_KIND, ruleExceptionSpec } from "../api/v1alpha1/rule-exception.ts";
import { FAIRLEAD_GROUP } from "../core/names.ts";
import { chartTemplate } from "./chart.ts";
import { structuralSchema } from "./structural.ts";
import { toYaml } from "./yaml.ts";

interface PrintColumn {
  readonly name: string;
  readonly type: "string" | "integer" | "date";
  readonly jsonPath: string;
  readonly description?: string;
  /** 1: with `kubectl get -o wide` only. */
  readonly priority?: number;
}

/** A kind of ours, as its CRD needs it. */
export interface CustomKind {
  readonly kind: string;
  readonly plural: string;
  readonly shortName: string;
  readonly scope: "Namespaced" | "Cluster";
  readonly description: string;
  readonly spec: z.ZodType;
  /** Absent: the kind has no status. */
  readonly status?: z.ZodType;
  readonly columns: readonly PrintColumn[];
}

const AGE: PrintColumn = { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" };

/** Why it is ready, or what is missing and what to do: for `-o wide`. */
const WHY_READY: readonly PrintColumn[] = [
  wide(column("Reason", condition("Ready", "reason"), "Why it is ready or not, in one word.")),
  wide(column("Message", condition("Ready", "message"), "The same with the objects and what to do.")),
];

/** Every kind of ours, in the order of their names. */
export const CUSTOM_KINDS: readonly CustomKind[] = [
  {
    kind: ADMISSION_RULE_KIND,
    plural: "admissionrules",
    shortName: "arule",
    scope: "Cluster",
    description:
      "AdmissionRule says what must hold for objects when they are written, in CEL, like a ValidatingAdmissionPolicy. Beside " +
      "the object it sees the settings that will be in force in the mesh after the write.",
    spec: admissionRuleSpec,
    status: admissionRuleStatus,
    columns: [
      column("Actions", ".spec.actions", "What a violation does; nothing here means Deny."),
      column("Failure policy", ".spec.failurePolicy", "What an error does; nothing here means Fail."),
      column("Accepted", condition("Accepted"), "Whether the rule compiles."),
      column("Ready", condition("Ready"), "Whether the API server asks about the writes that match."),
      AGE,
      ...WHY_READY,
    ],
  },
  {
    kind: RESILIENCE_POLICY_KIND,
    plural: "resiliencepolicies",
    shortName: "rp",
    scope: "Namespaced",
    description:
      "ResiliencePolicy is the wanted resilience of Services and routes of its namespace, in words that do not depend on " +
      "the mesh. Fairlead checks it when it is written and puts the settings of the mesh on its targets.",
    spec: resiliencePolicySpec,
    status: resiliencePolicyStatus,
    columns: [
      column("Targets", ".status.targets", "What the policy acts on."),
      column("Mesh", ".status.mesh", "The mesh whose settings the targets get."),
      column("Ready", condition("Ready"), "Whether every target has the current revision."),
      column("Revision", ".status.currentRevision", "The revision in force."),
      AGE,
      wide({
        ...column("Applied", ".status.appliedCount", "How many targets have the new revision."),
        type: "integer",
      }),
      wide(column("Update", ".status.updateRevision", "The revision that targets are moving to.")),
      ...WHY_READY,
    ],
  },
  {
    kind: RULE_EXCEPTION_KIND,
    plural: "ruleexceptions",
    shortName: "rex",
    scope: "Namespaced",
    description:
      "RuleException exempts objects of its namespace from AdmissionRules that allow it, until a day that is at most 90 days " +
      "ahead. To write one, the verb exempt on each of the rules is needed.",
    spec: ruleExceptionSpec,
    columns: [
      column("Rules", ".spec.rules", "The rules that do not hold."),
      column("Owner", ".spec.owner", "Who answers for it."),
      column("Expires", ".spec.expiresAt", "When the rules hold again."),
      AGE,
    ],
  },
];

function column(name: string, jsonPath: string, description: string): PrintColumn {
  return { name, type: "string", jsonPath, description };
}

/** Shown with `-o wide` only. */
function wide(shown: PrintColumn): PrintColumn {
  return { ...shown, priority: 1 };
}

function condition(type: string, field = "status"): string {
  return `.status.conditions[?(@.type=="${type}")].${field}`;
}

function crd(custom: CustomKind, annotations?: Readonly<Record<string, string>>): object {
  const { kind, plural, shortName, scope, status, columns } = custom;
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${FAIRLEAD_GROUP}`, ...(annotations === undefined ? {} : { annotations }) },
    spec: {
      group: FAIRLEAD_GROUP,
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        shortNames: [shortName],
        categories: ["fairlead"],
      },
      scope,
      versions: [
        {
          name: "v1alpha1",
          served: true,
          storage: true,
          ...(status === undefined ? {} : { subresources: { status: {} } }),
          additionalPrinterColumns: columns,
          schema: { openAPIV3Schema: rootSchema(custom) },
        },
      ],
    },
  };
}

/** Every CRD, for those who install with kubectl. */
export function renderCrds(): string {
  return toYaml(CUSTOM_KINDS.map((custom) => crd(custom)));
}

/**
 * A CRD as a template of the chart. Helm never updates its crds/ folder, hence a template, and the annotation keeps
 * `helm uninstall` from deleting every object of the kind with it.
 */
export function renderChartCrd(custom: CustomKind): string {
  return chartTemplate(toYaml([crd(custom, { "helm.sh/resource-policy": "keep" })]));
}

function rootSchema({ kind, description, spec, status }: CustomKind): object {
  return {
    type: "object",
    description,
    required: ["spec"],
    properties: {
      apiVersion: { type: "string", description: "Version of this form of the object: fairlead.dev/v1alpha1." },
      kind: { type: "string", description: `Kind of the object: ${kind}.` },
      metadata: { type: "object" },
      spec: structuralSchema(spec, "spec"),
      ...(status === undefined ? {} : { status: structuralSchema(status, "status") }),
    },
  };
}
