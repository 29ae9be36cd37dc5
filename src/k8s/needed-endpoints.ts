import { modeOf } from "../core/admission/mode.ts";
import type { CompiledPolicy } from "../core/intent/policy.ts";
import { type KubernetesObject, recordsIn, type Service } from "../core/kubernetes.ts";
import { meshOf, meshOfPolicy } from "../core/mesh/all.ts";
import { dependsOnEndpoints } from "../core/mesh/istio/ejection.ts";
import { POD_SECTIONS } from "../core/mesh/pods.ts";
import type { World } from "../core/world.ts";
import { type EndpointFact, Endpoints } from "./endpoints.ts";
import type { ResourceWatch } from "./watch.ts";
import type { WatchHandler } from "./watch-options.ts";

export interface NeededEndpointsOptions {
  readonly world: World;
  readonly watch: (handler: WatchHandler) => ResourceWatch;
  /** Called where something is different, or known for the first time, and a policy of the namespace depends on it. */
  readonly changed: (namespace: string, fact: EndpointFact) => void;
}

/** What policies in force depend on of the endpoints of Services, watched for as long as one does. */
export class NeededEndpoints {
  readonly #options: NeededEndpointsOptions;
  /** What each policy depends on, by namespace and name; neither a map nor a list is empty. */
  readonly #needing = new Map<string, Map<string, readonly EndpointFact[]>>();
  /** The Services with a `targetPort` by name, by namespace; no set is empty. */
  readonly #naming = new Map<string, Set<string>>();
  #endpoints: Endpoints | undefined;
  #stopped = false;

  constructor(options: NeededEndpointsOptions) {
    this.#options = options;
  }

  /** A policy, or its namespace, is another one; undefined: nothing of it is in force. */
  weigh(namespace: string, name: string, policy: CompiledPolicy | undefined): void {
    const ofNamespace = this.#needing.get(namespace) ?? new Map<string, readonly EndpointFact[]>();
    const needed = policy === undefined ? [] : this.#neededBy(policy);
    if (needed.length > 0) ofNamespace.set(name, needed);
    else ofNamespace.delete(name);
    if (ofNamespace.size === 0) this.#needing.delete(namespace);
    else this.#needing.set(namespace, ofNamespace);
    if (this.#needing.size === 0) void this.#stopWatching();
    else if (!this.#stopped) this.#endpoints ??= this.#startWatching();
  }

  /** A Service is another one; undefined: it is gone. Where none has a port by name, no policy depends on numbers of ports. */
  weighService(namespace: string, name: string, service: KubernetesObject | undefined): void {
    const ofNamespace = this.#naming.get(namespace) ?? new Set<string>();
    const wasNamed = ofNamespace.size > 0;
    if (service !== undefined && namesPort(service)) ofNamespace.add(name);
    else ofNamespace.delete(name);
    if (ofNamespace.size === 0) this.#naming.delete(namespace);
    else this.#naming.set(namespace, ofNamespace);
    if (wasNamed === this.#naming.has(namespace)) return;
    for (const policy of this.#options.world.policiesIn(namespace)) this.weigh(namespace, policy.name, policy);
  }

  /** How many are ready; undefined where it is not known. */
  readyOf(service: string, namespace: string): number | undefined {
    return this.#endpoints?.readyOf(service, namespace);
  }

  /** The numbers of a port of the Service on its Pods; undefined where no Pod is known. */
  portsOf(service: string, namespace: string, port: string): readonly number[] | undefined {
    return this.#endpoints?.portsOf(service, namespace, port);
  }

  /** The watch, while there is one. */
  watches(): readonly ResourceWatch[] {
    return this.#endpoints?.watches() ?? [];
  }

  /** Final. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#stopWatching();
  }

  #startWatching(): Endpoints {
    const endpoints = new Endpoints(this.#options.watch, {
      changed: (namespace, facts) => this.#tell(namespace, facts),
      known: () => [...this.#needing.keys()].forEach((namespace) => this.#tell(namespace, ["count", "ports"])),
    });
    endpoints.start();
    return endpoints;
  }

  #tell(namespace: string, facts: readonly EndpointFact[]): void {
    const needed = new Set([...(this.#needing.get(namespace)?.values() ?? [])].flat());
    for (const fact of facts) if (needed.has(fact)) this.#options.changed(namespace, fact);
  }

  async #stopWatching(): Promise<void> {
    const watches = this.watches();
    this.#endpoints = undefined;
    await Promise.all(watches.map((watch) => watch.stop()));
  }

  /** Only Istio's objects depend on them, and a policy of a namespace that has not opted in is in force nowhere. */
  #neededBy({ namespace, spec, intent }: CompiledPolicy): readonly EndpointFact[] {
    const { world } = this.#options;
    const isAtPods = POD_SECTIONS.some((section) => intent[section] !== undefined);
    const needed: readonly EndpointFact[] = [
      ...(dependsOnEndpoints(intent) ? ["count" as const] : []),
      ...(isAtPods && this.#naming.has(namespace) ? ["ports" as const] : []),
    ];
    if (needed.length === 0 || modeOf(namespace, world).mode === undefined) return [];
    return meshOfPolicy(spec, meshOf(world.namespace(namespace), world.defaults)).name === "Istio" ? needed : [];
  }
}

function namesPort(service: KubernetesObject): boolean {
  return recordsIn((service as Service).spec?.ports).some(({ targetPort }) => typeof targetPort === "string");
}
