import { setTimeout as delay } from "node:timers/promises";
import type { KubernetesObject } from "../core/kubernetes.ts";
import type { MeshVersion } from "../core/mesh/version.ts";
import { FAIRLEAD_GROUP, MODE_LABEL } from "../core/names.ts";
import { LEASE_NAME, planUninstall, SEARCHED_KINDS, type SearchedKind, type UninstallStep } from "../core/uninstall.ts";
import type { Remaining, Signs } from "../core/uninstall-advice.ts";
import { ApiError } from "./api-error.ts";
import { ClusterWriter, isConflict, isNotFound } from "./apply.ts";
import { type KubernetesClient, type ListOptions, resourcePath } from "./client.ts";
import { describeError } from "./ports.ts";

export interface UninstallOptions {
  readonly client: KubernetesClient;
  /** Fairlead's own namespace. */
  readonly namespace: string;
  /** Of the mesh that Fairlead was told to compile for: records are read with it. */
  readonly meshVersion: MeshVersion;
  /** Of plan and of run: nothing new is begun after this time. */
  readonly timeoutMs: number;
}

/** What became of one object, or of one kind that could not be read (name `*`). */
export interface UninstallResult extends Omit<UninstallStep, "source" | "effect" | "note" | "write"> {
  /** `gone`: somebody else removed it meanwhile. `kept`: another tool's. `left`: to be sorted out, see the message. */
  readonly result: "planned" | "deleted" | "changed" | "gone" | "kept" | "left";
  readonly message: string;
}

/** The kinds of ours. */
const OWN_RESOURCES = ["admissionrules", "resiliencepolicies", "ruleexceptions"];
/** Enough for an object that something else writes several times a second. */
const ATTEMPTS_MAX = 6;
/** Doubled after each attempt; 1.5 s in all, unless the API server names a longer time. */
const BACKOFF_MS = 50;
/**
 * The first pass does the work. What was injected after it had read, before the API server forgot the webhooks, is
 * found by the second; the third is for what the second met in the middle of a change.
 */
const PASSES_MAX = 3;
const WRITTEN_AGAIN = "It was written again while this ran";

/** Reads what Fairlead left in a cluster and takes it back, whether or not a replica runs. */
export class Uninstall {
  readonly #options: UninstallOptions;
  readonly #client: KubernetesClient;
  readonly #writer: ClusterWriter;
  #deadlineMs = Number.POSITIVE_INFINITY;
  #policies = 0;

  constructor(options: UninstallOptions) {
    this.#options = options;
    this.#client = options.client;
    this.#writer = new ClusterWriter({ client: options.client, waitingMax: Number.POSITIVE_INFINITY });
  }

  /** Throws where the API server cannot be reached. */
  async signs(): Promise<Signs> {
    const namespace = this.#options.namespace;
    const deployments: KubernetesObject[] = [];
    const path = resourcePath({ group: "apps", version: "v1", resource: "deployments", namespace });
    await this.#client.list(path, { onPage: (items) => deployments.push(...items) });
    const lease = await this.#find(
      resourcePath({ group: "coordination.k8s.io", version: "v1", resource: "leases", namespace, name: LEASE_NAME }),
    );
    return { deployments, leader: holderOf(lease) };
  }

  /** What would be done; nothing is written. */
  async plan(): Promise<readonly UninstallResult[]> {
    this.#setDeadline();
    const { steps, unread } = await this.#survey();
    return [...steps.map((step) => resultOf(step, "planned")), ...unread];
  }

  /** Does it, again and again while something new is found; what could not be done is `left`. */
  async run(): Promise<readonly UninstallResult[]> {
    this.#setDeadline();
    const results = new Map<string, UninstallResult>();
    let failed = 0;
    for (let pass = 1; ; pass += 1) {
      const { steps, unread } = await this.#survey();
      const open = steps.filter((step) => step.write !== undefined);
      const isHopeless = pass > PASSES_MAX || this.#isLate() || (pass > 1 && failed >= open.length);
      if (open.length === 0 || isHopeless) return concluded(results, { steps, unread });
      const ofPass = await this.#carryOut(open);
      for (const result of ofPass) results.set(identity(result), result);
      failed = ofPass.filter(({ result }) => result === "left").length;
    }
  }

  async remaining(): Promise<Remaining> {
    const labelled: string[] = [];
    await this.#client.list(resourcePath({ group: "", version: "v1", resource: "namespaces" }), {
      query: { labelSelector: MODE_LABEL },
      onPage: (items) => labelled.push(...items.map(({ metadata }) => metadata?.name ?? "")),
    });
    const own = resourcePath({ group: "", version: "v1", resource: "namespaces", name: this.#options.namespace });
    return {
      namespace: (await this.#find(own))?.metadata?.name,
      deployments: (await this.signs()).deployments,
      labelledNamespaces: labelled,
      policies: this.#policies,
      crds: await this.#served(OWN_RESOURCES),
    };
  }

  async #served(resources: readonly string[]): Promise<readonly string[]> {
    const versions = await Promise.all(
      resources.map((resource) => this.#client.servedVersion({ group: FAIRLEAD_GROUP, resource })),
    );
    return resources.filter((_, index) => versions[index] !== undefined);
  }

  async #survey(): Promise<Survey> {
    const steps: UninstallStep[] = [];
    const unread: UninstallResult[] = [];
    this.#policies = 0;
    for (const source of SEARCHED_KINDS) {
      try {
        if (this.#isLate()) throw this.#late();
        let ofKind: UninstallStep[] = [];
        let count = 0;
        await this.#read(source, (objects, first) => {
          if (first) [ofKind, count] = [[], 0];
          count += objects.length;
          // Page by page: of ten thousand Services only those with something of ours stay in memory.
          ofKind.push(...planUninstall({ source, objects }, this.#options.meshVersion));
        });
        steps.push(...ofKind);
        if (source.kind === "ResiliencePolicy") this.#policies = count;
      } catch (error) {
        if (!isNotFound(error)) unread.push(unreadable(source, error));
      }
    }
    return { steps, unread };
  }

  async #read(source: SearchedKind, onPage: ListOptions["onPage"]): Promise<void> {
    const { group, resource, names, labelSelector } = source;
    const version = await this.#client.servedVersion({ group, resource });
    if (version === undefined) return;
    const scope = source.where === "own namespace" ? { namespace: this.#options.namespace } : {};
    const ref = { group, version, resource, ...scope };
    if (names === undefined) {
      await this.#client.list(resourcePath(ref), { query: { labelSelector }, onPage });
      return;
    }
    const found = await Promise.all(names.map((name) => this.#find(resourcePath({ ...ref, name }))));
    await onPage(
      found.filter((object) => object !== undefined),
      true,
    );
  }

  /**
   * Kind by kind in the order of the plan, the objects of one kind side by side. Routes that take the rest go last, and
   * stay while another one is left: a request that fits no route is answered with 404.
   */
  async #carryOut(steps: readonly UninstallStep[]): Promise<readonly UninstallResult[]> {
    const results: UninstallResult[] = [];
    for (const source of SEARCHED_KINDS) {
      const ofKind = steps.filter((step) => step.source === source);
      const last = ofKind.filter((step) => step.effect === "delete" && takesTheRest(step.name));
      const first = ofKind.filter((step) => !last.includes(step));
      const done = await Promise.all(first.map((step) => this.#attempt(step)));
      const isLeft = done.some((result) => result.result === "left");
      results.push(
        ...done,
        ...(isLeft
          ? last.map((step) => resultOf(step, "left", HELD_BACK))
          : await Promise.all(last.map((step) => this.#attempt(step)))),
      );
    }
    return results;
  }

  async #attempt(first: UninstallStep): Promise<UninstallResult> {
    let step = first;
    for (let attempt = 1; ; attempt += 1) {
      try {
        if (this.#isLate()) throw this.#late();
        await this.#write(step);
        return resultOf(step, step.effect === "delete" ? "deleted" : "changed");
      } catch (error) {
        if (isNotFound(error)) return resultOf(step, "gone");
        if (!isPassing(error) || attempt === ATTEMPTS_MAX) return resultOf(step, "left", describeError(error));
        await delay(((error as ApiError).retryAfterSeconds ?? 0) * 1000 || BACKOFF_MS * 2 ** (attempt - 1));
      }
      const again = await this.#planAgain(step);
      if (again === undefined) return resultOf(step, "gone");
      step = again;
    }
  }

  /** The step from the object as it is now; as it was where that cannot be read. */
  async #planAgain(step: UninstallStep): Promise<UninstallStep | undefined> {
    try {
      const object = await this.#find(pathOf(step));
      const objects = object === undefined ? [] : [object];
      return planUninstall({ source: step.source, objects }, this.#options.meshVersion).at(0);
    } catch {
      return step;
    }
  }

  async #write(step: UninstallStep): Promise<void> {
    const { write } = step;
    if (write === undefined) return;
    if (write.kind === "delete" && step.namespace === "") {
      // The writer is for namespaced objects: nothing else deletes one of the cluster.
      await this.#client.delete(pathOf(step), { uid: write.uid, resourceVersion: write.resourceVersion });
    } else await this.#writer.execute(write);
  }

  async #find(path: string): Promise<KubernetesObject | undefined> {
    try {
      return await this.#client.get(path);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  #setDeadline(): void {
    this.#deadlineMs = performance.now() + this.#options.timeoutMs;
  }

  #isLate(): boolean {
    return performance.now() > this.#deadlineMs;
  }

  #late(): Error {
    return new Error(`Not begun: the timeout of ${this.#options.timeoutMs} ms was over`);
  }
}

/** The results beside what is in the cluster at the end: only that is left. */
function concluded(results: ReadonlyMap<string, UninstallResult>, { steps, unread }: Survey): UninstallResult[] {
  const last = new Map(results);
  const found = new Map(steps.map((step) => [identity(step), step]));
  for (const [key, step] of found) {
    if (last.get(key)?.result !== "left") last.set(key, resultOf(step, "left", step.note || WRITTEN_AGAIN));
  }
  for (const [key, result] of results) {
    const isGone = result.result === "left" && !found.has(key) && unread.length === 0;
    if (isGone) last.set(key, { ...result, result: "gone", message: "" });
  }
  return [...last.values(), ...unread];
}

interface Survey {
  readonly steps: readonly UninstallStep[];
  readonly unread: readonly UninstallResult[];
}

interface Lease extends KubernetesObject {
  readonly spec?: {
    readonly holderIdentity?: string | null;
    readonly renewTime?: string | null;
    readonly leaseDurationSeconds?: number | null;
  };
}

/** Undefined where the Lease was given back or has run out. */
function holderOf(lease: KubernetesObject | undefined): string | undefined {
  const { holderIdentity, renewTime, leaseDurationSeconds } = (lease as Lease | undefined)?.spec ?? {};
  const isHeld = Date.parse(renewTime ?? "") + (leaseDurationSeconds ?? 0) * 1000 > Date.now();
  return isHeld ? holderIdentity || undefined : undefined;
}

/** Worth another try: somebody else wrote the object meanwhile, or the API server is busy. */
function isPassing(error: unknown): boolean {
  return isConflict(error) || (error instanceof ApiError && [429, 503].includes(error.status));
}

function identity({ apiVersion, kind, namespace, name }: UninstallResult | UninstallStep): string {
  return [apiVersion, kind, namespace, name].join(" ");
}

function pathOf({ source: { group, resource }, apiVersion, namespace, name }: UninstallStep): string {
  const version = apiVersion.slice(apiVersion.indexOf("/") + 1);
  return resourcePath({ group, version, resource, ...(namespace !== "" && { namespace }), name });
}

/** Where nothing can be written, the effect is the result. */
const HELD_BACK = "stays until the other generated routes are gone: without it their Services answer with 404";

/** By its name: a route that takes what fits no entry of the policy. */
function takesTheRest(name: string): boolean {
  return name.includes("-fairlead-rest");
}

function resultOf(step: UninstallStep, result: UninstallResult["result"], message = step.note): UninstallResult {
  const { apiVersion, kind, namespace, name, removed, restored, kept, effect } = step;
  const told = effect === "keep" ? "kept" : effect === "refuse" ? "left" : result;
  return { apiVersion, kind, namespace, name, removed, restored, kept, result: told, message };
}

function unreadable({ group, kind }: SearchedKind, error: unknown): UninstallResult {
  const message = `Cannot be read: ${describeError(error)}`;
  return {
    apiVersion: group,
    kind,
    namespace: "",
    name: "*",
    removed: [],
    restored: {},
    kept: [],
    result: "left",
    message,
  };
}
