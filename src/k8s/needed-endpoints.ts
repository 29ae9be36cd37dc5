import { modeOf } from "../core/admission/mode.ts";
import type { CompiledPolicy } from "../core/intent/policy.ts";
import { meshOf, meshOfPolicy } from "../core/mesh/all.ts";
import { dependsOnEndpoints } from "../core/mesh/istio/ejection.ts";
import type { World } from "../core/world.ts";
import { EndpointCounts } from "./endpoints.ts";
import type { ResourceWatch } from "./watch.ts";
import type { WatchHandler } from "./watch-options.ts";

export interface NeededEndpointsOptions {
  readonly world: World;
  readonly watch: (handler: WatchHandler) => ResourceWatch;
  /** Called where a count is another one, or known for the first time, and a policy of the namespace depends on it. */
  readonly changed: (namespace: string) => void;
}

/** How many endpoints Services have, watched for as long as a policy in force depends on it. */
export class NeededEndpoints {
  readonly #options: NeededEndpointsOptions;
  /** The names of the policies that depend on it, by namespace; none of the sets is empty. */
  readonly #needing = new Map<string, Set<string>>();
  #counts: EndpointCounts | undefined;
  #stopped = false;

  constructor(options: NeededEndpointsOptions) {
    this.#options = options;
  }

  /** A policy, or its namespace, is another one; undefined: nothing of it is in force. */
  weigh(namespace: string, name: string, policy: CompiledPolicy | undefined): void {
    const names = this.#needing.get(namespace) ?? new Set();
    if (policy !== undefined && needsEndpoints(policy, this.#options.world)) names.add(name);
    else names.delete(name);
    if (names.size === 0) this.#needing.delete(namespace);
    else this.#needing.set(namespace, names);
    if (this.#needing.size === 0) void this.#stopCounting();
    else if (!this.#stopped) this.#counts ??= this.#startCounting();
  }

  /** Undefined where it is not known. */
  of(service: string, namespace: string): number | undefined {
    return this.#counts?.of(service, namespace);
  }

  /** The watch, while there is one. */
  watches(): readonly ResourceWatch[] {
    return this.#counts?.watches() ?? [];
  }

  /** Final. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#stopCounting();
  }

  #startCounting(): EndpointCounts {
    const { watch, changed } = this.#options;
    const counts = new EndpointCounts(watch, {
      changed: (namespace) => {
        if (this.#needing.has(namespace)) changed(namespace);
      },
      counted: () => [...this.#needing.keys()].forEach(changed),
    });
    counts.start();
    return counts;
  }

  async #stopCounting(): Promise<void> {
    const watches = this.watches();
    this.#counts = undefined;
    await Promise.all(watches.map((watch) => watch.stop()));
  }
}

/** Only Istio's breaker has the limit, and a policy of a namespace that has not opted in is in force nowhere. */
function needsEndpoints({ namespace, spec, intent }: CompiledPolicy, world: World): boolean {
  if (!dependsOnEndpoints(intent) || modeOf(namespace, world).mode === undefined) return false;
  return meshOfPolicy(spec, meshOf(world.namespace(namespace), world.defaults)).name === "Istio";
}
