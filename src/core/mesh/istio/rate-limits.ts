import { isRecord } from "../../../api/problem.ts";
import type { KubernetesObject } from "../../kubernetes.ts";

/** What every filter of Envoy that limits rates locally has in its name and in its type. */
export const LOCAL_RATE_LIMIT = "local_ratelimit";

/** Whether an EnvoyFilter has to do with local rate limits. */
export function limitsRates({ spec }: KubernetesObject): boolean {
  const patches = isRecord(spec) ? spec["configPatches"] : undefined;
  return patches !== undefined && JSON.stringify(patches).includes(LOCAL_RATE_LIMIT);
}
