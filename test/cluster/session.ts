import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import type { ServeConfig } from "../../src/config.ts";
import type { PatchOperation } from "../../src/core/admission/review.ts";
import { compilePolicy } from "../../src/core/intent/policy.ts";
import { annotationsOf, type KubernetesObject, labelsOf, type StringMap } from "../../src/core/kubernetes.ts";
import { FAIRLEAD_GROUP, RECORD_ANNOTATION, REVISION_LABEL, TARGET_KINDS } from "../../src/core/names.ts";
import type { CommandResult } from "../../src/dev/control-plane/command.ts";
import {
  type ControlPlane,
  type ControlPlaneOptions,
  startControlPlane,
} from "../../src/dev/control-plane/control-plane.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { ApiError } from "../../src/k8s/api-error.ts";
import { isNotFound } from "../../src/k8s/apply.ts";
import { KubernetesClient, resourcePath } from "../../src/k8s/client.ts";
import { loadCluster } from "../../src/k8s/config.ts";
import { targetKeyOf } from "../../src/k8s/namespaced.ts";
import type { Fairlead } from "../../src/main.ts";
import { startClusterWithCrds, startInProcess } from "./support.ts";

const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";
const IN_LINKERD: StringMap = { "linkerd.io/inject": "enabled" };
const NAMESPACES = resourcePath({ group: "", version: "v1", resource: "namespaces" });
const PROBE = "probe";
const SERVICES_TO_PROBE = resourcePath({ group: "", version: "v1", resource: "services", namespace: PROBE });
const POLICIES = { group: FAIRLEAD_GROUP, version: "v1alpha1", resource: "resiliencepolicies" };
const POLICIES_TO_PROBE = resourcePath({ ...POLICIES, namespace: PROBE });
/** A warning as kubectl shows it. */
export const WARNING = /^Warning: (.*)\n/gm;

/** The API server writes the patches of webhooks into its audit log from level Request on. */
const AUDIT_POLICY = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Request
  verbs: [create, update, patch]
  resources:
  - {group: "", resources: [services]}
  - {group: gateway.networking.k8s.io, resources: [httproutes, grpcroutes]}
  - {group: policy.linkerd.io, resources: [httproutes]}
- level: None
`;

/** What kubectl said; never a failure. */
export interface Said {
  readonly stdout: string;
  /** Texts of the warnings, in the order in which kubectl shows them. */
  readonly warnings: readonly string[];
}

/** One write as the API server's audit log has it. */
export interface AuditedWrite {
  readonly verb: string;
  readonly userAgent: string;
  readonly code: number;
  /** By `configuration/round`: what each mutating webhook answered; undefined where it changed nothing. */
  readonly patches: Readonly<Record<string, readonly PatchOperation[] | undefined>>;
  /** What rules say for the audit log, by webhook and key. */
  readonly ruleAnnotations: StringMap;
}

export interface SessionOptions {
  readonly config?: Partial<ServeConfig>;
  readonly controlPlane?: Omit<ControlPlaneOptions, "extraApiServerArgs">;
}

/** A control plane with Fairlead inside the test process, and what these tests do with it over and over. */
export class Session {
  readonly cluster: ControlPlane;
  /** Files of the test; removed at the end. */
  readonly directory: string;
  readonly client: KubernetesClient;
  readonly #versions = new Map<string, string>();
  #fairlead: Fairlead | undefined;

  private constructor(parts: Pick<Session, "cluster" | "directory" | "client">) {
    this.cluster = parts.cluster;
    this.directory = parts.directory;
    this.client = parts.client;
  }

  static async start({ config, controlPlane }: SessionOptions = {}): Promise<Session> {
    const directory = await mkdtemp(join(tmpdir(), "fairlead-session-"));
    await writeFile(join(directory, "audit-policy.yaml"), AUDIT_POLICY);
    const extraApiServerArgs = [
      `--audit-policy-file=${join(directory, "audit-policy.yaml")}`,
      `--audit-log-path=${join(directory, "audit.log")}`,
    ];
    let session: Session | undefined;
    try {
      const options = { ...controlPlane, extraApiServerArgs };
      const cluster = await (options.crdPaths ? startControlPlane(options) : startClusterWithCrds(options));
      const client = new KubernetesClient(await loadCluster({ kubeconfig: cluster.kubeconfigPath }));
      session = new Session({ cluster, directory, client });
      for (const ref of TARGET_KINDS) session.#versions.set(ref.group, (await client.servedVersion(ref)) ?? "");
      await session.restart(config);
      return session;
    } catch (error) {
      await session?.stop();
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  get fairlead(): Fairlead {
    if (this.#fairlead === undefined) throw new Error("Fairlead is not started");
    return this.#fairlead;
  }

  /** Starts Fairlead anew, perhaps with other flags, and waits until the API server asks it. */
  async restart(config: Partial<ServeConfig> = {}): Promise<void> {
    const previous = this.#fairlead;
    this.#fairlead = undefined;
    await previous?.stop();
    this.#fairlead = await startInProcess(this.cluster, config);
    await this.#created(NAMESPACES, { metadata: { name: PROBE, labels: { "fairlead.dev/mode": "enforce" } } });
    await this.settled(PROBE);
    await waitFor("the API server to ask Fairlead", async () => (await this.#isMutated()) && this.#isValidated());
  }

  /** Ends Fairlead as a crash would leave it: registered, and not answering. {@link restart} brings it back. */
  async stopFairlead(): Promise<void> {
    await this.#fairlead?.stop();
    this.#fairlead = undefined;
  }

  /** From now on the API server injects nothing; the controller runs on. {@link restart} brings the webhook back. */
  async removeMutatingWebhook(): Promise<void> {
    await this.kubectl("delete mutatingwebhookconfiguration fairlead");
    await waitFor("the API server to ask Fairlead no longer", async () => !(await this.#isMutated()));
  }

  /** A label that only Fairlead may write is taken off again. */
  async #isMutated(): Promise<boolean> {
    const forged = service(PROBE, "probe", { labels: { [REVISION_LABEL]: "0" } });
    const created = await this.#created(`${SERVICES_TO_PROBE}?dryRun=All`, forged);
    return typeof created === "object" && labelsOf(created)[REVISION_LABEL] === undefined;
  }

  async #isValidated(): Promise<boolean> {
    const spec = { targetRefs: [{ kind: "Service", name: "probe" }], circuitBreaker: { minPenalty: "2m" } };
    const created = await this.#created(`${POLICIES_TO_PROBE}?dryRun=All`, policy(PROBE, "probe", spec));
    return typeof created === "string" && created.includes('"policies.fairlead.dev" denied the request');
  }

  /** The object, or why it was not created. */
  async #created(path: string, body: object): Promise<KubernetesObject | string> {
    try {
      return (await this.client.request({ method: "POST", path, body })).body as KubernetesObject;
    } catch (error) {
      if (error instanceof ApiError) return error.message;
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.#fairlead?.stop();
    this.client.close();
    await this.cluster.stop();
    await rm(this.directory, { recursive: true, force: true });
  }

  /** kubectl that must succeed and say nothing on stderr but warnings. */
  async kubectl(args: string | readonly string[], input?: string | object): Promise<Said> {
    const { code, stdout, stderr } = await this.run(args, input);
    const rest = stderr.replaceAll(WARNING, "");
    if (code !== 0 || rest !== "") throw new Error(`kubectl ${String(args)} ended with ${code}: ${stderr}`);
    return { stdout, warnings: [...stderr.matchAll(WARNING)].map((match) => match[1] ?? "") };
  }

  /** kubectl that must fail; returns all that it wrote to stderr. */
  async refused(args: string | readonly string[], input?: string | object): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, input);
    if (code === 0) throw new Error(`kubectl ${String(args)} was not refused: ${stdout}${stderr}`);
    return stderr;
  }

  /** Words of one string are split at blanks. */
  run(args: string | readonly string[], input?: string | object): Promise<CommandResult> {
    const words = typeof args === "string" ? args.split(" ") : args;
    const text = typeof input === "object" ? JSON.stringify(input) : input;
    return this.cluster.kubectl(words, text === undefined ? {} : { input: text });
  }

  /** A write of kubectl, with the object that the API server answered. */
  async write(args: string, input?: string | object): Promise<Said & { readonly object: KubernetesObject }> {
    const said = await this.kubectl(`${args} -o json --show-managed-fields`, input);
    return { ...said, object: JSON.parse(said.stdout) as KubernetesObject };
  }

  /** In Linkerd, unless other annotations are given. */
  async namespace(name: string, mode?: string, annotations: StringMap = IN_LINKERD): Promise<void> {
    const labels = mode === undefined ? {} : { "fairlead.dev/mode": mode };
    const metadata = { name, labels, annotations };
    await this.client.create(NAMESPACES, { apiVersion: "v1", kind: "Namespace", metadata });
    await this.settled(name);
  }

  /** Sets or removes (null) the mode of a namespace and waits until everything in it has followed. */
  async mode(namespace: string, mode: string | null): Promise<void> {
    await this.kubectl(`label namespace ${namespace} --overwrite fairlead.dev/mode${mode === null ? "-" : `=${mode}`}`);
    await this.settled(namespace);
  }

  /** Applies a policy and waits until every target has followed; returns the warnings. */
  async policy(namespace: string, name: string, spec: object): Promise<readonly string[]> {
    const { warnings } = await this.kubectl("apply -f -", policy(namespace, name, spec));
    await this.settled(namespace);
    return warnings;
  }

  async deletePolicy(namespace: string, name: string): Promise<void> {
    await this.kubectl(`delete rp ${name} -n ${namespace}`);
    await this.settled(namespace);
  }

  live(resource: string, namespace: string, name: string): Promise<KubernetesObject> {
    const [plural = "", ...group] = resource.split(".");
    const version = this.#versions.get(group.join(".")) ?? "";
    return this.client.get(resourcePath({ group: group.join("."), resource: plural, version, namespace, name }));
  }

  service(namespace: string, name: string): Promise<KubernetesObject> {
    return this.live("services", namespace, name);
  }

  /** Waits until Fairlead has seen all that the API server holds of a namespace, and has nothing left to do there. */
  async settled(namespace: string): Promise<void> {
    await waitFor(`Fairlead to be in step with namespace ${namespace}`, async () => {
      const { store, work } = this.fairlead;
      const quiet = (): boolean => work.current?.dirtyTargets === 0 && !store.isFilling(namespace);
      return quiet() && (await this.#storeIsInStep(namespace)) && quiet();
    });
  }

  async #storeIsInStep(namespace: string): Promise<boolean> {
    const { store } = this.fairlead;
    const { metadata } = await this.client.get(`${NAMESPACES}/${namespace}`);
    const known = store.namespace(namespace)?.labels["fairlead.dev/mode"];
    if (!store.namespace(namespace) || known !== metadata?.labels?.["fairlead.dev/mode"]) return false;
    const policies = await this.#list({ ...POLICIES, namespace });
    const accepted = policies.map((object) => compilePolicy(object).policy?.revision).filter((it) => it !== undefined);
    const stored = store.policiesIn(namespace).map((item) => item.revision);
    if (accepted.sort().join() !== stored.sort().join()) return false;
    const targets: KubernetesObject[] = [];
    for (const { group, resource } of TARGET_KINDS)
      targets.push(...(await this.#list({ group, version: this.#versions.get(group) ?? "", resource, namespace })));
    if (targets.length !== [...store.targetsIn(namespace)].length) return false;
    return targets.every(
      (target) => store.target(targetKeyOf(target))?.metadata?.resourceVersion === target.metadata?.resourceVersion,
    );
  }

  async #list(ref: Parameters<typeof resourcePath>[0]): Promise<readonly KubernetesObject[]> {
    const objects: KubernetesObject[] = [];
    try {
      await this.client.list(resourcePath(ref), { onPage: (items) => objects.push(...items) });
    } catch (error) {
      // A kind whose CRD is gone has no objects.
      if (!isNotFound(error)) throw error;
    }
    return objects;
  }

  /** The writes of one object so far; `count` of them are waited for, because the log is written after the answer. */
  async audited(namespace: string, name: string, count = 1): Promise<readonly AuditedWrite[]> {
    let found: readonly AuditedWrite[] = [];
    await waitFor(`${count} audited writes of ${namespace}/${name}`, async () => {
      const lines = (await readFile(join(this.directory, "audit.log"), "utf8")).split("\n").slice(0, -1);
      const events = lines.map((line) => JSON.parse(line) as AuditEvent);
      found = events.filter((it) => it.objectRef.namespace === namespace && nameIn(it) === name).map(auditedWrite);
      return found.length >= count;
    });
    return found;
  }
}

interface AuditEvent {
  readonly verb: string;
  readonly userAgent: string;
  readonly objectRef: { readonly namespace?: string; readonly name?: string };
  readonly requestObject?: KubernetesObject;
  readonly responseStatus: { readonly code: number };
  readonly annotations?: StringMap;
}

/** A create has no name in its path. */
function nameIn(event: AuditEvent): string | undefined {
  return event.objectRef.name ?? event.requestObject?.metadata?.name;
}

function auditedWrite({ verb, userAgent, responseStatus, annotations = {} }: AuditEvent): AuditedWrite {
  const patches: Record<string, readonly PatchOperation[] | undefined> = {};
  for (const [key, text] of Object.entries(annotations)) {
    const round = /^(?:mutation|patch)\.webhook\.admission\.k8s\.io\/round_(\d)_/.exec(key)?.[1];
    if (round === undefined) continue;
    const said = JSON.parse(text) as { configuration: string; patch?: readonly PatchOperation[] };
    patches[`${said.configuration}/${round}`] ??= said.patch;
  }
  const ofRules = Object.entries(annotations).filter(([key]) => /^rules-(?:fail|ignore)\.fairlead\.dev\//.test(key));
  return { verb, userAgent, code: responseStatus.code, patches, ruleAnnotations: Object.fromEntries(ofRules) };
}

export function policy(namespace: string, name: string, spec: object): object {
  return { apiVersion: "fairlead.dev/v1alpha1", kind: "ResiliencePolicy", metadata: { name, namespace }, spec };
}

export function service(namespace: string, name: string, metadata: object = {}): object {
  const spec = { ports: [{ name: "http", port: 80 }] };
  return { apiVersion: "v1", kind: "Service", metadata: { name, namespace, ...metadata }, spec };
}

/** Annotations without kubectl's copy of the manifest and without Fairlead's record. */
export function ownAnnotations(object: KubernetesObject): StringMap {
  const { [LAST_APPLIED]: _manifest, [RECORD_ANNOTATION]: _record, ...rest } = annotationsOf(object);
  return rest;
}

interface Carried {
  readonly policy: string;
  /** What Fairlead injected. */
  readonly keys: StringMap;
  /** What people wrote and is still there. */
  readonly people?: StringMap;
  readonly replaced?: StringMap;
}

/** Asserts the annotations, the record and the label to the letter. */
export function expectCarries(object: KubernetesObject, { policy, keys, people = {}, replaced }: Carried): void {
  expect(ownAnnotations(object)).toEqual({ ...people, ...keys });
  const revision = labelsOf(object)[REVISION_LABEL];
  expect(revision).toMatch(/^[0-9a-f]{12}$/);
  const record: unknown = JSON.parse(annotationsOf(object)[RECORD_ANNOTATION] ?? "null");
  expect(record).toEqual({ policy, revision, keys, ...(replaced && { replaced }) });
}

/** Asserts that nothing of ours is on an object, and what else is. */
export function expectClean(object: KubernetesObject, people: StringMap = {}): void {
  expect(ownAnnotations(object)).toEqual(people);
  expect(annotationsOf(object)).not.toHaveProperty([RECORD_ANNOTATION]);
  expect(labelsOf(object)).not.toHaveProperty([REVISION_LABEL]);
}

/** Which manager owns each label and annotation, as managedFields say. */
export function managersOf(object: KubernetesObject): Readonly<Record<string, readonly string[]>> {
  const { managedFields = [] } = (object.metadata ?? {}) as { managedFields?: readonly ManagedFields[] };
  const managers: Record<string, string[]> = {};
  for (const { manager, fieldsV1 } of managedFields) {
    const fields = fieldsV1["f:metadata"] ?? {};
    for (const map of [fields["f:annotations"], fields["f:labels"]]) {
      for (const key of Object.keys(map ?? {})) if (key !== ".") (managers[key.slice(2)] ??= []).push(manager);
    }
  }
  return managers;
}

interface ManagedFields {
  readonly manager: string;
  readonly fieldsV1: { readonly "f:metadata"?: Readonly<Record<string, Readonly<Record<string, object>>>> };
}
