import type { KubernetesObject } from "../kubernetes.ts";
import { isRecord } from "../../api/problem.ts";

/** One line for `kubectl describe`, when a condition changed. */
export interface StatusNews {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
}

interface Told {
  readonly status: string;
  readonly message: string;
}

/** Which change of which condition is news. */
const NEWS = [
  { condition: "Accepted", to: "False", type: "Warning", reason: "Refused" },
  { condition: "Ready", to: "True", type: "Normal", reason: "Applied" },
  { condition: "Conflicted", to: "True", type: "Warning", reason: "Conflicted" },
  { condition: "Failed", to: "True", type: "Warning", reason: "WriteFailed" },
] as const;

/** What people who watch Events are told about a status that was just written. */
export function statusNews(before: KubernetesObject, after: KubernetesObject): readonly StatusNews[] {
  const [old, now] = [conditionsOf(before), conditionsOf(after)];
  const revisionIsNew = revisionOf(before) !== revisionOf(after);
  return NEWS.flatMap(({ condition, to, type, reason }) => {
    const told = now.get(condition);
    if (told?.status !== to) return [];
    // A policy that is ready before its new revision is noticed stays Ready: the revision is the news.
    const isNew = old.get(condition)?.status !== to || (reason === "Applied" && revisionIsNew);
    return isNew ? [{ type, reason, message: told.message }] : [];
  });
}

/** The end of a deletion that waited for the targets. */
export function cleanUpNews(gaveUp: boolean): StatusNews {
  if (!gaveUp) {
    const message = "Every target is without the settings of this policy";
    return { type: "Normal", reason: "Cleaned", message };
  }
  return {
    type: "Warning",
    reason: "CleanUpGivenUp",
    message:
      "Some targets still carry settings of this policy and could not be written; they are cleaned when they " +
      "can be, see the log or kubectl get services -l fairlead.dev/revision",
  };
}

function statusOf(object: KubernetesObject): Readonly<Record<string, unknown>> {
  const { status } = object as KubernetesObject & { readonly status?: unknown };
  return isRecord(status) ? status : {};
}

function revisionOf(object: KubernetesObject): unknown {
  return statusOf(object)["currentRevision"];
}

function conditionsOf(object: KubernetesObject): ReadonlyMap<string, Told> {
  const { conditions } = statusOf(object);
  const found = new Map<string, Told>();
  for (const condition of Array.isArray(conditions) ? conditions : []) {
    if (!isRecord(condition)) continue;
    const { type, status, message } = condition;
    if (typeof type !== "string" || typeof status !== "string") continue;
    found.set(type, { status, message: typeof message === "string" ? message : "" });
  }
  return found;
}
