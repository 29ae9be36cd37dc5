import { compareStandings, type PlannedTarget } from "../core/plan/compare.ts";
import { worldInForce } from "../core/plan/in-force-world.ts";
import { type Standing, standingsOf } from "../core/plan/standing.ts";
import type { KubernetesObject } from "../core/kubernetes.ts";
import type { World } from "../core/world.ts";
import { type PlanSettings, type PlanWorld, keyIfTarget, worldAfterPlan, worldBeforePlan } from "./plan-world.ts";
import type { Review } from "./review.ts";

export interface PlanInput extends PlanSettings {
  /** The cluster before. */
  readonly before: readonly KubernetesObject[];
  /** What is written. */
  readonly written: readonly KubernetesObject[];
  /** Whether objects go that are not written. */
  readonly prune: boolean;
}

export interface Plan {
  /** Every Service and route of either side, by namespace, kind and name. */
  readonly targets: readonly PlannedTarget[];
  readonly reviews: readonly Review[];
}

/** What becomes of the settings in force when objects are written to a cluster; nothing is written. */
export function planObjects({ before, written, prune, defaults, nowMs }: PlanInput): Plan {
  const old = worldBeforePlan(before, { defaults, nowMs });
  const next = worldAfterPlan({ before: old, written, prune, defaults, nowMs });
  const inForceBefore = worldInForce(old.world, undefined);
  const inForceAfter = worldInForce(next.world, inForceBefore);
  const standing = standingsIn(old, inForceBefore, new Map());
  return {
    targets: compareStandings(standing, standingsIn(next, inForceAfter, standing)),
    reviews: next.reviews,
  };
}

type Standings = ReadonlyMap<string, Standing>;

function standingsIn({ objects }: PlanWorld, inForce: World, before: Standings): Standings {
  const ofPeople = [...objects.values()];
  return standingsOf(
    ofPeople.flatMap((object) => keyIfTarget(object) ?? []),
    inForce,
    { ofPeople, before },
  );
}
