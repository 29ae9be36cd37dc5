import type { KubernetesObject } from "../kubernetes.ts";
import type { OwnedPlan } from "../policy/owned.ts";
import { planRoutes } from "../routes/plan-routes.ts";
import type { Steps } from "../steps.ts";
import { type CompanionsInput, planCompanions } from "./plan-companions.ts";

export interface OwnedInput extends CompanionsInput {
  /** The HTTPRoutes of the namespace, others than generated ones too; undefined: the API server serves none. */
  readonly routes: readonly KubernetesObject[] | undefined;
}

/** What brings all objects in line that carry the settings of one policy beside its targets, for whatever mesh. */
export function* planOwned(input: OwnedInput): Steps<OwnedPlan> {
  const companions = yield* planCompanions(input);
  const routes = planRoutes({ ...input, live: input.routes });
  return {
    actions: [...companions.actions, ...routes.actions],
    findings: [...companions.findings, ...routes.findings],
  };
}
