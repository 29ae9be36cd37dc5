import type { KubernetesClient } from "../../src/k8s/client.ts";
import { ResourceWatch } from "../../src/k8s/watch.ts";
import type { ControllerWrite } from "./roles.ts";

interface ServiceChange {
  readonly name: string;
  /** The revision at which etcd took the change. */
  readonly resourceVersion: string;
}

/**
 * Every change of the Services of one namespace, in the order in which etcd took them. What the audit log says is not
 * the same: a write whose sender died before the answer is logged as 504, whether it was carried out or not.
 */
export class ServiceChanges {
  readonly #watch: ResourceWatch;
  #all: ServiceChange[] = [];

  private constructor(client: KubernetesClient, namespace: string) {
    this.#watch = new ResourceWatch({
      client,
      resource: { group: "", resource: "services" },
      handler: {
        set: ({ metadata: { namespace: place, name = "", resourceVersion = "" } = {} }) => {
          if (place === namespace) this.#all.push({ name, resourceVersion });
        },
        delete: () => {},
      },
      log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    });
  }

  static async start(client: KubernetesClient, namespace: string): Promise<ServiceChanges> {
    const changes = new ServiceChanges(client, namespace);
    changes.#watch.start();
    await changes.#watch.whenSynced();
    return changes;
  }

  /** Since the last {@link forget}. */
  get all(): readonly ServiceChange[] {
    return this.#all;
  }

  /** By name, how often each Service has changed. */
  get counts(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { name } of this.#all) counts[name] = (counts[name] ?? 0) + 1;
    return counts;
  }

  forget(): void {
    this.#all = [];
  }

  stop(): Promise<void> {
    return this.#watch.stop();
  }
}

/** The answered writes that made these changes, or that came later and changed nothing. */
export function answeredWrites(
  changes: readonly ServiceChange[],
  writes: readonly ControllerWrite[],
): readonly ControllerWrite[] {
  const versions = new Set(changes.map(({ resourceVersion }) => resourceVersion));
  return writes.filter(
    (write) => write.resource === "services" && write.code < 300 && versions.has(write.resourceVersion),
  );
}

/** Who made each change; undefined where nobody lived to hear the answer, and as long as the log lags behind. */
export function writersOf(
  changes: readonly ServiceChange[],
  writes: readonly ControllerWrite[],
): readonly (string | undefined)[] {
  const users = new Map(answeredWrites(changes, writes).map((write) => [write.resourceVersion, write.user]));
  return changes.map(({ resourceVersion }) => users.get(resourceVersion));
}
