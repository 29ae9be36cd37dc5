import { annotationsOf, type KubernetesObject } from "../../kubernetes.ts";

/** On an AuthorizationPolicy: Istio tells what it would refuse, and refuses nothing. */
export const DRY_RUN_ANNOTATION = "istio.io/dry-run";

/** What Go's `strconv.ParseBool` takes as true; Istio enforces a policy with any other value. */
const TRUE: ReadonlySet<string | undefined> = new Set(["1", "t", "T", "true", "True", "TRUE"]);

export function isDryRun(object: KubernetesObject): boolean {
  return TRUE.has(annotationsOf(object)[DRY_RUN_ANNOTATION]);
}
