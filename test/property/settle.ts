import type { Action } from "../../src/core/action.ts";
import { planTarget } from "../../src/core/admission/plan.ts";
import { planFinalizer } from "../../src/core/policy/finalizer.ts";
import { type ControllerRevisionObject, planRevisions } from "../../src/core/policy/revisions.ts";
import { planStatus } from "../../src/core/policy/status.ts";
import { isConflict, isNotFound } from "../../src/k8s/apply.ts";
import { keyOf } from "../core/worlds.ts";
import type { ModelCluster } from "./model-cluster.ts";

export interface SettleOptions {
  /** How long a policy that is being deleted has been so, in milliseconds. */
  readonly deletingForMs?: number;
  /** Called after each action that was carried out. */
  readonly after?: (action: Action) => void;
  readonly roundsMax?: number;
}

/** More than any sequence of the planners needs: targets, then policies, then what was in conflict. */
const ROUNDS_MAX = 20;

/** Plays the controller until nothing is planned. Throws when it does not come to rest. */
export function settle(cluster: ModelCluster, options: SettleOptions = {}): void {
  for (let round = 0; round < (options.roundsMax ?? ROUNDS_MAX); round += 1) {
    // Another time in each round: a status that follows the clock would never come to rest.
    cluster.now = new Date(Date.parse(cluster.now) + 1_000).toISOString();
    cluster.collectGarbage();
    if (!reconcile(cluster, options)) return;
  }
  throw new Error(`Does not come to rest; the last writes: ${cluster.writes.slice(-5).join(", ")}`);
}

/** One look at every target and policy. True when something was planned. */
function reconcile(cluster: ModelCluster, options: SettleOptions): boolean {
  let planned = false;
  const run = (action: Action | undefined): ReturnType<ModelCluster["execute"]> | undefined => {
    if (action === undefined) return undefined;
    planned = true;
    try {
      const answer = cluster.execute(action);
      options.after?.(action);
      return answer;
    } catch (error) {
      if (isConflict(error) || isNotFound(error)) return undefined;
      throw error;
    }
  };
  // Policies first: a finalizer that does not wait for the targets shows.
  for (const action of policyActions(cluster, options)) run(action());
  for (const live of cluster.targets) {
    const plan = planTarget(live, keyOf(live), cluster.world);
    const answer = run(plan?.first);
    if (answer !== undefined) run(plan?.verify(answer));
  }
  return planned;
}

type Step = () => Action | undefined;

/** Each planned from what is stored when its turn comes. */
function policyActions(cluster: ModelCluster, { deletingForMs = 0 }: SettleOptions): readonly Step[] {
  return cluster.all("ResiliencePolicy").flatMap(({ metadata }): readonly Step[] => {
    const name = metadata?.name;
    const read = () => cluster.all("ResiliencePolicy").find((object) => object.metadata?.name === name);
    return [
      () => {
        const policy = read();
        return policy && planFinalizer({ policy, world: cluster.world, deletingForMs }).action;
      },
      ...[0, 1].map(
        (): Step => () => {
          const policy = read();
          if (policy === undefined || policy.metadata?.deletionTimestamp) return undefined;
          const compiled = cluster.world.policiesIn(metadata?.namespace ?? "").find((it) => it.name === name);
          if (compiled === undefined) return undefined;
          const stored = cluster.all("ControllerRevision") as readonly ControllerRevisionObject[];
          return planRevisions({ policy, compiled, stored, keep: new Set() }).actions[0];
        },
      ),
      () => {
        const policy = read();
        return policy && planStatus({ policy, world: cluster.world, failures: new Map(), nowText: cluster.now });
      },
    ];
  });
}
