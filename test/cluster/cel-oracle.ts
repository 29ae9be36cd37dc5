import { setTimeout as delay } from "node:timers/promises";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import type { ControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { ApiError } from "../../src/k8s/api-error.ts";
import { type ApiRequest, KubernetesClient, resourcePath } from "../../src/k8s/client.ts";
import { loadCluster } from "../../src/k8s/config.ts";
import {
  type Inputs,
  messageExpressionOf,
  type Outcome,
  PANIC,
  validationExpressionOf,
} from "../rules/library-corpus.ts";

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

/** A real kube-apiserver that says what it makes of expressions. */
export class CelOracle {
  readonly #client: KubernetesClient;
  readonly #write: ApiRequest;
  #bundles = 0;

  private constructor(client: KubernetesClient, write: ApiRequest) {
    this.#client = client;
    this.#write = write;
  }

  /** Whose expressions see these objects. One a control plane. */
  static async start(
    controlPlane: Pick<ControlPlane, "kubeconfigPath">,
    { object, oldObject }: Inputs,
  ): Promise<CelOracle> {
    const client = new KubernetesClient(await loadCluster({ kubeconfig: controlPlane.kubeconfigPath }));
    await client.create(CRDS, PROBE_CRD);
    if (oldObject === undefined) return new CelOracle(client, { method: "POST", path: PROBES, body: object });
    const { metadata } = await untilServed(() => client.create(PROBES, oldObject));
    const body = { ...object, metadata: { ...object.metadata, resourceVersion: metadata?.resourceVersion } };
    return new CelOracle(client, { method: "PUT", path: `${PROBES}/${metadata?.name}`, body });
  }

  /**
   * What becomes of each expression. Each is a validation of a ValidatingAdmissionPolicy that fails always, and only for
   * the dry run of its own field manager, so that every answer is about one expression.
   */
  async ask(expressions: readonly string[]): Promise<Map<string, Outcome>> {
    const bundles: (readonly string[])[] = [];
    for (let at = 0; at < expressions.length; at += BUNDLE_SIZE) bundles.push(expressions.slice(at, at + BUNDLE_SIZE));
    const published: Published = { names: [], probes: [], outcomes: new Map() };
    await inParallel(bundles, (bundle) => this.#publish(bundle, published));
    const { names, probes, outcomes } = published;
    await inParallel(probes, async (probe) => outcomes.set(probe.expression, await this.#probe(probe)));
    await inParallel(names, async (name) => {
      await this.#client.delete(`${BINDINGS}/${name}`);
      await this.#client.delete(`${POLICIES}/${name}`);
    });
    return new Map(expressions.map((expression) => [expression, outcomes.get(expression) ?? { refused: "not asked" }]));
  }

  /** Makes a policy of a bundle, of several where one of its expressions makes the API server panic. */
  async #publish(bundle: readonly string[], published: Published): Promise<void> {
    const name = `bundle-${this.#bundles++}`;
    try {
      const { refused, accepted } = await createPolicy(this.#client, name, bundle);
      if (accepted.length > 0) published.names.push(name);
      for (const [expression, text] of refused) published.outcomes.set(expression, { refused: text });
      for (const [probe, expression] of accepted) published.probes.push({ name: probe, expression });
    } catch (error) {
      if (!wasCutOff(error)) throw error;
      if (bundle.length === 1) published.outcomes.set(bundle[0] ?? "", { refused: PANIC });
      const half = Math.ceil(bundle.length / 2);
      for (const part of bundle.length === 1 ? [] : [bundle.slice(0, half), bundle.slice(half)]) {
        await this.#publish(part, published);
      }
    }
  }

  async #probe({ name, expression }: Probe): Promise<Outcome> {
    const request = { ...this.#write, query: { dryRun: "All", fieldManager: name } };
    const deadlineMs = performance.now() + READY_TIMEOUT_MS;
    while (performance.now() < deadlineMs) {
      try {
        await untilServed(() => this.#client.request(request));
      } catch (error) {
        const outcome = error instanceof ApiError ? outcomeIn(error.message) : undefined;
        if (outcome === undefined) throw error;
        return outcome;
      }
      await delay(25);
    }
    throw new Error(`Gave up waiting for the policy with ${expression} to count: ${READY_TIMEOUT_MS} ms have passed`);
  }
}

/** What became of the bundles so far. */
interface Published {
  /** Of the policies. */
  readonly names: string[];
  readonly probes: Probe[];
  readonly outcomes: Map<string, Outcome>;
}

interface Probe {
  /** Its field manager. */
  readonly name: string;
  readonly expression: string;
}

/** A new kind is not there at once: 404. */
async function untilServed<T>(send: () => Promise<T>): Promise<T> {
  const deadlineMs = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    try {
      return await send();
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404 || performance.now() > deadlineMs) throw error;
    }
    await delay(25);
  }
}

/** A handler that panics ends the connection. */
function wasCutOff(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return ("code" in error && error.code === "ECONNRESET") || wasCutOff(error.cause);
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
        resourceRules: [
          {
            apiGroups: [PROBE.group],
            apiVersions: ["v1"],
            operations: ["CREATE", "UPDATE"],
            resources: [PROBE.resource],
          },
        ],
      },
      matchConditions: [{ name: "asked", expression: `request.options.fieldManager.startsWith("${name}-")` }],
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
