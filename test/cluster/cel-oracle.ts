import { setTimeout as delay } from "node:timers/promises";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import type { ControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { ApiError } from "../../src/k8s/api-error.ts";
import { KubernetesClient, resourcePath } from "../../src/k8s/client.ts";
import { loadCluster } from "../../src/k8s/config.ts";
import { messageExpressionOf, type Outcome, validationExpressionOf } from "../rules/library-corpus.ts";

const ADMISSION = { group: "admissionregistration.k8s.io", version: "v1" } as const;
const POLICIES = resourcePath({ ...ADMISSION, resource: "validatingadmissionpolicies" });
const BINDINGS = resourcePath({ ...ADMISSION, resource: "validatingadmissionpolicybindings" });
const CRDS = resourcePath({ group: "apiextensions.k8s.io", version: "v1", resource: "customresourcedefinitions" });
const PROBE = { group: "fairlead.example", version: "v1", resource: "probes" } as const;
const PROBES = resourcePath({ ...PROBE, namespace: "default" });
/** Expressions in one policy: the API server then compiles and answers each policy in some 10 ms. */
const BUNDLE_SIZE = 25;
/** Requests at the same time; the API server has two cores in CI. */
const PARALLEL = 8;
const READY_TIMEOUT_MS = 30_000;

/**
 * What a real kube-apiserver makes of each expression. Each is a validation of a ValidatingAdmissionPolicy that fails
 * always, and only for the object of its own name, so that every answer is about one expression.
 */
export async function askApiServer(
  controlPlane: ControlPlane,
  expressions: readonly string[],
  object: string,
): Promise<Map<string, Outcome>> {
  const client = new KubernetesClient(await loadCluster({ kubeconfig: controlPlane.kubeconfigPath }));
  await client.create(CRDS, PROBE_CRD);
  const bundles: string[][] = [];
  for (let at = 0; at < expressions.length; at += BUNDLE_SIZE) bundles.push(expressions.slice(at, at + BUNDLE_SIZE));
  const outcomes = new Map<string, Outcome>();
  const probes: Probe[] = [];
  await inParallel([...bundles.entries()], async ([index, bundle]) => {
    const { refused, accepted } = await createPolicy(client, `bundle-${index}`, bundle);
    for (const [expression, text] of refused) outcomes.set(expression, { refused: text });
    for (const [name, expression] of accepted) probes.push({ bundle: `bundle-${index}`, name, expression });
  });
  await inParallel(probes, async (probe) => outcomes.set(probe.expression, await probeOne(client, probe, object)));
  return new Map(expressions.map((expression) => [expression, outcomes.get(expression) ?? { refused: "not asked" }]));
}

interface Probe {
  readonly bundle: string;
  readonly name: string;
  readonly expression: string;
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
}

/** The policy without the expressions that do not compile. */
async function createPolicy(client: KubernetesClient, name: string, bundle: readonly string[]) {
  const refused = new Map<string, string>();
  for (;;) {
    const left = bundle.filter((expression) => !refused.has(expression));
    const accepted = left.map((expression, at) => [`${name}-${at}`, expression] as const);
    if (left.length === 0) return { refused, accepted };
    const before = refused.size;
    try {
      await client.create(POLICIES, policy(name, accepted));
      await client.create(BINDINGS, binding(name));
      return { refused, accepted };
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 422) throw error;
      for (const [at, text] of compileErrorsIn(error.message)) refused.set(left[at] ?? "", text);
      if (refused.size === before) throw error;
    }
  }
}

/** By the index of the validation; the first error of each. */
function compileErrorsIn(message: string): Map<number, string> {
  const errors = new Map<number, string>();
  for (const part of message.split(/(?=spec\.validations\[\d+\]\.)/)) {
    const [, index = "", text = ""] = /^spec\.validations\[(\d+)\]\.expression: (.*)$/s.exec(part) ?? [];
    if (index === "" || errors.has(Number(index))) continue;
    const [, , reason] = /ERROR: <input>:(\d+:\d+): ([^\n]*)/.exec(text) ?? [];
    errors.set(Number(index), reason ?? text.replace(/^.*?": /s, "").replace(/[,\]\s]*$/, ""));
  }
  return errors;
}

async function probeOne(client: KubernetesClient, probe: Probe, object: string): Promise<Outcome> {
  const body = JSON.parse(object) as KubernetesObject & { metadata: { labels: Record<string, string> } };
  const metadata = { ...body.metadata, name: probe.name, labels: { ...body.metadata.labels, bundle: probe.bundle } };
  const deadlineMs = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadlineMs) {
    try {
      await client.create(PROBES, { ...body, metadata }, { query: { dryRun: "All" } });
    } catch (error) {
      // 404 and "no kind matches" until the new kind is served.
      if (!(error instanceof ApiError)) throw error;
      const outcome = outcomeIn(error.message);
      if (outcome !== undefined) return outcome;
      if (error.status !== 404) throw error;
    }
    await delay(25);
  }
  throw new Error(`Gave up waiting for policy ${probe.bundle} to count: ${READY_TIMEOUT_MS} ms have passed`);
}

function outcomeIn(message: string): Outcome | undefined {
  const [, text] = /denied request: (.*)$/s.exec(message) ?? [];
  if (text === undefined) return undefined;
  const [, error] = /^expression '.*' resulted in error: (.*)$/s.exec(text) ?? [];
  if (error !== undefined) return { error };
  return { value: text.startsWith("failed expression: ") ? "(no text)" : text };
}

function policy(name: string, expressions: readonly (readonly [string, string])[]): KubernetesObject {
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicy",
    metadata: { name },
    spec: {
      failurePolicy: "Fail",
      matchConstraints: {
        objectSelector: { matchLabels: { bundle: name } },
        resourceRules: [
          { apiGroups: [PROBE.group], apiVersions: ["v1"], operations: ["CREATE"], resources: [PROBE.resource] },
        ],
      },
      validations: expressions.map(([probe, expression]) => ({
        expression: validationExpressionOf(probe, expression),
        messageExpression: messageExpressionOf(probe, expression),
      })),
    },
  };
}

function binding(name: string): KubernetesObject {
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicyBinding",
    metadata: { name },
    spec: { policyName: name, validationActions: ["Deny"] },
  };
}

/** A kind that keeps every field as written, nulls included. */
const PROBE_CRD = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "probes.fairlead.example" },
  spec: {
    group: PROBE.group,
    scope: "Namespaced",
    names: { plural: "probes", singular: "probe", kind: "Probe", listKind: "ProbeList" },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
      },
    ],
  },
} as KubernetesObject;
