import { resiliencePolicySpec } from "../api/v1alpha1/resilience-policy.ts";
import { resiliencePolicyStatus } from "../api/v1alpha1/resilience-policy-status.ts";
import { FAIRLEAD_GROUP } from "../core/names.ts";
import { chartTemplate } from "./chart.ts";
import { structuralSchema } from "./structural.ts";
import { toYaml } from "./yaml.ts";

const KIND = "ResiliencePolicy";
const PLURAL = "resiliencepolicies";

function resiliencePolicyCrd(annotations?: Readonly<Record<string, string>>): object {
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${PLURAL}.${FAIRLEAD_GROUP}`, ...(annotations === undefined ? {} : { annotations }) },
    spec: {
      group: FAIRLEAD_GROUP,
      names: {
        kind: KIND,
        listKind: `${KIND}List`,
        plural: PLURAL,
        singular: KIND.toLowerCase(),
        shortNames: ["rp"],
        categories: ["fairlead"],
      },
      scope: "Namespaced",
      versions: [
        {
          name: "v1alpha1",
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: printColumns(),
          schema: { openAPIV3Schema: rootSchema() },
        },
      ],
    },
  };
}

/** Every CRD, for those who install with kubectl. */
export function renderCrds(): string {
  return toYaml([resiliencePolicyCrd()]);
}

/**
 * The same CRD as a template of the chart. Helm never updates its crds/ folder, hence a template, and the annotation
 * keeps `helm uninstall` from deleting every policy of the cluster with it.
 */
export function renderChartCrd(): string {
  return chartTemplate(toYaml([resiliencePolicyCrd({ "helm.sh/resource-policy": "keep" })]));
}

function printColumns(): readonly object[] {
  return [
    { name: "Targets", type: "string", jsonPath: ".status.targets", description: "What the policy acts on." },
    { name: "Mesh", type: "string", jsonPath: ".spec.mesh", description: "The mesh that was asked for." },
    {
      name: "Ready",
      type: "string",
      jsonPath: '.status.conditions[?(@.type=="Ready")].status',
      description: "Whether every target has the current revision.",
    },
    { name: "Revision", type: "string", jsonPath: ".status.currentRevision", description: "The revision in force." },
    { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
  ];
}

function rootSchema(): object {
  return {
    type: "object",
    description:
      "ResiliencePolicy is the wanted resilience of Services and routes of its namespace, in words that do not depend on " +
      "the mesh. Fairlead checks it when it is written and puts the settings of the mesh on its targets.",
    required: ["spec"],
    properties: {
      apiVersion: { type: "string", description: "Version of this form of the object: fairlead.dev/v1alpha1." },
      kind: { type: "string", description: `Kind of the object: ${KIND}.` },
      metadata: { type: "object" },
      spec: structuralSchema(resiliencePolicySpec, "spec"),
      status: structuralSchema(resiliencePolicyStatus, "status"),
    },
  };
}
