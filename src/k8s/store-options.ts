import type { CompiledPolicy } from "../core/intent/policy.ts";
import type { KubernetesObject } from "../core/kubernetes.ts";
import type { WorldDefaults } from "../core/world.ts";
import type { KubernetesClient } from "./client.ts";
import type { Clock, Logger, Random } from "./ports.ts";
import type { WatchTuning } from "./watch-options.ts";

export interface StoreOptions {
  readonly client: KubernetesClient;
  readonly defaults: WorldDefaults;
  /** core/intent/policy.ts; a policy that it refuses is not part of the world. */
  readonly compilePolicy: (object: KubernetesObject) => { readonly policy: CompiledPolicy | undefined };
  readonly log: Logger;
  /** Where the ConfigMaps are that rules read as params; absent: they are not watched. */
  readonly ownNamespace?: string;
  /** Watch the stored revisions of policies too: the controller does, admission does not. */
  readonly watchRevisions?: boolean;
  readonly tuning?: Partial<WatchTuning>;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** The state of one watch, for metrics and `/readyz?verbose`. */
export interface WatchState {
  readonly group: string;
  readonly resource: string;
  readonly synced: boolean;
  /** False while its CRD is absent. */
  readonly served: boolean;
  readonly stalenessMs: number;
  readonly objects: number;
}
