import type { CompiledPolicy } from "../core/intent/policy.ts";
import type { KubernetesObject } from "../core/kubernetes.ts";
import type { ControlPlane } from "../core/mesh/control-plane.ts";
import { versionsTaken } from "../core/mesh/discovery.ts";
import {
  type CompanionKind,
  CORE_GROUP,
  FAIRLEAD_GROUP,
  GATEWAY_HTTP_ROUTE,
  KINDS_BESIDE,
  MANAGED_BY,
  MANAGED_BY_LABEL,
  SERVICE_KIND,
  TARGET_KINDS,
  type TargetKind,
} from "../core/names.ts";
import type { ResourceName, RuleKind } from "../core/rules/kinds.ts";
import type { CompiledException, CompiledRule } from "../core/rules/rule.ts";
import type { NamespaceInfo, ServiceProfileInfo, TargetKey, World, WorldDefaults } from "../core/world.ts";
import { type ResourceRef, resourcePath } from "./client.ts";
import type { Change } from "./change.ts";
import { companionHandler, CompanionIndex } from "./companion-index.ts";
import { ControlPlanes } from "./control-planes.ts";
import { NamespacedMap, TargetIndex, targetKeyOf } from "./namespaced.ts";
import { NamespaceIndex } from "./namespaces.ts";
import { NeededEndpoints } from "./needed-endpoints.ts";
import { compileSafely, PolicyIndex, type PolicyNews } from "./policies.ts";
import { describeError, systemClock } from "./ports.ts";
import { profileHandler, ProfileIndex } from "./profiles.ts";
import { reduce, slim } from "./reduce.ts";
import { Refill } from "./refill.ts";
import { revisionHandler } from "./revisions.ts";
import { RuleStore } from "./rule-store.ts";
import type { StoreOptions, WatchState } from "./store-options.ts";
import { ResourceWatch } from "./watch.ts";
import { WATCH_TUNING, type WatchedPart, type WatchHandler } from "./watch-options.ts";

const NAMESPACES: ResourceRef = { group: CORE_GROUP, resource: "namespaces" };
const POLICIES: ResourceRef = { group: FAIRLEAD_GROUP, resource: "resiliencepolicies" };
const CONTROLLER_REVISIONS: ResourceRef = { group: "apps", resource: "controllerrevisions" };
const ENDPOINT_SLICES: ResourceRef = { group: "discovery.k8s.io", resource: "endpointslices" };
const SERVICE_PROFILES: ResourceRef = { group: "linkerd.io", resource: "serviceprofiles" };

/** The world in memory, fed by one cluster-wide watch a kind. Everything read from it is immutable. */
export class ClusterStore implements World {
  readonly defaults: WorldDefaults;
  readonly #options: StoreOptions;
  readonly #namespaces: NamespaceIndex;
  readonly #policies = new PolicyIndex();
  readonly #revisions = new NamespacedMap<KubernetesObject>();
  readonly #targets = new TargetIndex();
  readonly #controlPlanes = new ControlPlanes();
  readonly #endpoints: NeededEndpoints;
  readonly #profiles = new ProfileIndex();
  readonly #companions = new CompanionIndex();
  readonly #rules: RuleStore;
  readonly #listeners = new Set<(change: Change) => void>();
  readonly #refill: Refill;
  readonly #namespaceWatch: ResourceWatch;
  readonly #targetWatches: ReadonlyMap<TargetKind, ResourceWatch>;
  readonly #companionWatches: ReadonlyMap<CompanionKind, ResourceWatch>;
  readonly #otherWatches: readonly ResourceWatch[];
  #stopped = false;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.defaults = options.defaults;
    this.#namespaces = new NamespaceIndex(options.defaults.excludedNamespaces);
    const emit = (change: Change): void => this.#emit(change);
    this.#rules = new RuleStore({ ...options, excludedNamespaces: options.defaults.excludedNamespaces, emit });
    this.#refill = new Refill({
      fill: (namespace, signal) => this.#fill(namespace, signal),
      filled: (namespace) => this.#emit({ type: "namespace", namespace }),
      clock: options.clock ?? systemClock,
      random: options.random ?? Math.random,
      log: options.log,
      backoff: options.tuning?.backoff ?? WATCH_TUNING.backoff,
    });
    this.#namespaceWatch = this.#watch(NAMESPACES, {
      set: (object) => this.#setNamespace(object),
      delete: (_, name) => this.#deleteNamespace(name),
    });
    this.#targetWatches = new Map(
      TARGET_KINDS.map((kind) => [
        kind,
        this.#watch({ group: kind.group, resource: kind.resource }, this.#targetHandler(kind)),
      ]),
    );
    const { clusterDomain } = options.defaults;
    const listener = { emit, optedIn: () => this.#optedIn(), clusterDomain };
    this.#companionWatches = new Map(
      KINDS_BESIDE.map((kind) => [
        kind,
        this.#watch({ group: kind.group, resource: kind.resource }, companionHandler(kind, this.#companions, listener)),
      ]),
    );
    this.#endpoints = new NeededEndpoints({
      world: this,
      watch: (handler) => this.#watch(ENDPOINT_SLICES, handler),
      changed: (namespace, fact) => emit({ type: fact === "count" ? "endpoints" : "podPorts", namespace }),
    });
    this.#otherWatches = [
      ...this.#companionWatches.values(),
      ...this.#rules.watches((resource, handler, only) => this.#watch(resource, handler, only)),
      this.#watch(POLICIES, {
        set: (object) => this.#setPolicy(object),
        delete: (namespace, name) => this.#deletePolicy(namespace, name),
      }),
      ...(options.watchRevisions ? [this.#watchRevisions()] : []),
      this.#watch(SERVICE_PROFILES, profileHandler(this.#profiles, emit)),
    ];
  }

  /** Services and routes are listed after the namespaces, so that each is stored in full or reduced the first time. */
  start(): void {
    this.#namespaceWatch.start();
    for (const watch of this.#otherWatches) watch.start();
    void this.#startTargets();
  }

  /** Final; after it no listener is called. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#listeners.clear();
    const others = [this.#refill.stop(), this.#rules.kinds.stop(), this.#endpoints.stop()];
    await Promise.all([...others, ...this.#watches().map((watch) => watch.stop())]);
  }

  /** True once every kind was listed or found absent. It stays true. */
  get synced(): boolean {
    return this.#watches().every((watch) => watch.synced);
  }

  async whenSynced(): Promise<void> {
    await Promise.all(this.#watches().map((watch) => watch.whenSynced()));
  }

  watchStates(): readonly WatchState[] {
    return [...this.#watches(), ...this.#endpoints.watches()].map((watch) => ({
      ...watch.resource,
      synced: watch.synced,
      served: watch.version !== undefined,
      stalenessMs: watch.stalenessMs,
      objects: watch.size,
    }));
  }

  /** Returns the function that ends it. Listeners are called after the store has changed. */
  onChange(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  namespace(name: string): NamespaceInfo | undefined {
    return this.#namespaces.get(name);
  }

  namespaces(): Iterable<NamespaceInfo> {
    return this.#namespaces.all();
  }

  controlPlanes(): readonly ControlPlane[] {
    return this.#controlPlanes.all();
  }

  /** Undefined as long as no policy in force depends on it: then nothing is watched. */
  endpointsOf(service: string, namespace: string): number | undefined {
    return this.#endpoints.readyOf(service, namespace);
  }

  /** Undefined as long as no policy in force depends on it, as well. */
  podPortsOf(service: string, namespace: string, port: string): readonly number[] | undefined {
    return this.#endpoints.portsOf(service, namespace, port);
  }

  policiesIn(namespace: string): readonly CompiledPolicy[] {
    return this.#policies.compiledIn(namespace);
  }

  /** What of a policy is in force; undefined while it is refused or being deleted. */
  compiledPolicy(namespace: string, name: string): CompiledPolicy | undefined {
    return this.#policies.compiled(namespace, name);
  }

  /** A policy as it is stored, with its status, also when it is refused or being deleted. */
  policyObject(namespace: string, name: string): KubernetesObject | undefined {
    return this.#policies.object(namespace, name);
  }

  policyObjectsIn(namespace: string): readonly KubernetesObject[] {
    return this.#policies.objectsIn(namespace);
  }

  policyObjects(): Iterable<KubernetesObject> {
    return this.#policies.objects();
  }

  /** The HTTPRoutes of a namespace, and more; undefined where the API server serves none. */
  routesIn(namespace: string): readonly KubernetesObject[] | undefined {
    const isServed = this.#targetWatches.get(GATEWAY_HTTP_ROUTE)?.version !== undefined;
    return isServed ? this.#targets.in(namespace) : undefined;
  }

  /** Stored revisions of the policies of a namespace; empty unless they are watched. */
  revisionsIn(namespace: string): readonly KubernetesObject[] {
    return this.#revisions.list(namespace);
  }

  target(key: TargetKey): KubernetesObject | undefined {
    return this.#targets.get(key);
  }

  targetsIn(namespace: string): readonly KubernetesObject[] {
    return this.#targets.in(namespace);
  }

  rules(): readonly CompiledRule[] {
    return this.#rules.rules();
  }

  /** The rules as they are stored, with their status, also those that are refused. */
  ruleObjects(): readonly KubernetesObject[] {
    return this.#rules.objects();
  }

  /** What is wrong with a rule as it is stored; empty where it is accepted. */
  ruleProblems(name: string): readonly string[] {
    return this.#rules.problems(name);
  }

  ruleKind(name: ResourceName): RuleKind | undefined {
    return this.#rules.kinds.kind(name);
  }

  exceptionsIn(namespace: string): readonly CompiledException[] {
    return this.#rules.exceptionsIn(namespace);
  }

  paramsConfigMap(name: string): KubernetesObject | undefined {
    return this.#rules.configMap(name);
  }

  namespaceObject(name: string): KubernetesObject | undefined {
    return this.#namespaces.object(name);
  }

  serviceProfilesFor(service: string, namespace: string): readonly ServiceProfileInfo[] {
    return this.#profiles.for(service, namespace);
  }

  hostObjects(service: string, namespace: string): readonly KubernetesObject[] {
    return this.#companions.for(service, namespace);
  }

  workloadObjects(namespace: string, kind: CompanionKind): readonly KubernetesObject[] {
    return this.#companions.of(kind, namespace);
  }

  /** Objects of the kinds of companions in a namespace, whoever made them. */
  companionsIn(namespace: string): readonly KubernetesObject[] {
    return this.#companions.in(namespace);
  }

  /** False while its CRD is absent. */
  serves(kind: CompanionKind): boolean {
    return this.#companionWatches.get(kind)?.version !== undefined;
  }

  allTargets(): Iterable<KubernetesObject> {
    return this.#targets.all();
  }

  /** True from the moment a namespace opts in until its objects are stored in full; a `namespace` change tells the end. */
  isFilling(namespace: string): boolean {
    return this.#refill.has(namespace);
  }

  async #startTargets(): Promise<void> {
    await this.#namespaceWatch.whenSynced();
    if (!this.#stopped) for (const watch of this.#targetWatches.values()) watch.start();
    await this.whenSynced();
    if (!this.#stopped) this.#rules.kinds.start();
  }

  #watches(): readonly ResourceWatch[] {
    return [this.#namespaceWatch, ...this.#targetWatches.values(), ...this.#otherWatches];
  }

  #watch(resource: ResourceRef, handler: WatchHandler, only: WatchedPart = {}): ResourceWatch {
    const { client, log, tuning, clock, random } = this.#options;
    return new ResourceWatch({ client, resource, handler, log, tuning, clock, random, ...only });
  }

  #watchRevisions(): ResourceWatch {
    const handler = revisionHandler(this.#revisions, (change) => this.#emit(change));
    return this.#watch(CONTROLLER_REVISIONS, handler, { labelSelector: `${MANAGED_BY_LABEL}=${MANAGED_BY}` });
  }

  #setNamespace(object: KubernetesObject): void {
    const name = object.metadata?.name ?? "";
    const wasIn = this.#namespaces.optedIn(name);
    if (this.#namespaces.set(object)) this.#afterNamespace(name, wasIn);
  }

  #deleteNamespace(name: string): void {
    const wasIn = this.#namespaces.optedIn(name);
    this.#namespaces.delete(name);
    this.#afterNamespace(name, wasIn);
  }

  #afterNamespace(name: string, wasIn: boolean): void {
    const isIn = this.#namespaces.optedIn(name);
    for (const policy of this.#policies.compiledIn(name)) this.#endpoints.weigh(name, policy.name, policy);
    if (wasIn && !isIn) {
      this.#refill.cancel(name);
      this.#targets.reduceAll(name, reduce);
    }
    if (isIn && this.#targets.reducedKinds(name).length > 0) this.#refill.request(name);
    else this.#emit({ type: "namespace", namespace: name });
  }

  /**
   * Only objects that are stored, and still reduced, are replaced: what the watch has brought since is newer, and
   * what it has deleted must not come back.
   */
  async #fill(namespace: string, signal: AbortSignal): Promise<void> {
    for (const kind of this.#targets.reducedKinds(namespace)) {
      const version = this.#targetWatches.get(kind)?.version;
      if (version === undefined) continue;
      await this.#options.client.list(resourcePath({ ...kind, version, namespace }), {
        signal,
        onPage: (items) => {
          if (!this.#namespaces.optedIn(namespace)) return;
          for (const item of items) {
            if (this.#targets.isReduced(kind, namespace, item.metadata?.name ?? ""))
              this.#targets.set(kind, slim(item), true);
          }
        },
      });
    }
  }

  #targetHandler(kind: TargetKind): WatchHandler {
    return {
      set: (object) => {
        const namespace = object.metadata?.namespace ?? "";
        const full = this.#namespaces.optedIn(namespace);
        if (kind === SERVICE_KIND && this.#controlPlanes.set(object)) this.#afterControlPlanes();
        const stored = full ? slim(object) : reduce(object);
        this.#targets.set(kind, stored, full);
        if (kind === SERVICE_KIND) this.#endpoints.weighService(namespace, object.metadata?.name ?? "", object);
        this.#emit({ type: "target", namespace, key: targetKeyOf(stored) });
      },
      delete: (namespace, name) => {
        this.#targets.delete(kind, namespace, name);
        if (kind === SERVICE_KIND) this.#endpoints.weighService(namespace, name, undefined);
        if (kind === SERVICE_KIND && this.#controlPlanes.delete(namespace, name)) this.#afterControlPlanes();
        this.#emit({ type: "target", namespace, key: { group: kind.group, kind: kind.kind, namespace, name } });
      },
    };
  }

  /** Everything may be compiled for another version now. */
  #afterControlPlanes(): void {
    for (const taken of versionsTaken(this)) this.#options.log.info({ ...taken }, "settings are for this version");
    for (const namespace of this.#optedIn()) this.#emit({ type: "namespace", namespace });
  }

  #optedIn(): readonly string[] {
    return [...this.#namespaces.all()].map(({ name }) => name).filter((name) => this.#namespaces.optedIn(name));
  }

  #setPolicy(object: KubernetesObject): void {
    const { namespace = "", name = "" } = object.metadata ?? {};
    const policy = compileSafely(slim(object), this.#options);
    this.#tellPolicy(this.#policies.set(object, policy), namespace, name);
  }

  #deletePolicy(namespace: string, name: string): void {
    this.#tellPolicy(this.#policies.delete(namespace, name), namespace, name);
  }

  #tellPolicy(news: PolicyNews, namespace: string, name: string): void {
    this.#endpoints.weigh(namespace, name, this.#policies.compiled(namespace, name));
    if (news === "compiled") this.#emit({ type: "policy", namespace });
    this.#emit({ type: "policyObject", namespace, name });
  }

  #emit(change: Change): void {
    for (const listener of this.#listeners) {
      try {
        listener(change);
      } catch (error) {
        this.#options.log.error({ ...change, error: describeError(error) }, "change listener failed");
      }
    }
  }
}
