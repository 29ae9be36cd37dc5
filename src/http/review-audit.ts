import type { AdmissionRequest, PatchOperation, Verdict } from "../core/admission/review.ts";
import { annotationsOf, type KubernetesObject, type StringMap } from "../core/kubernetes.ts";
import { FAIRLEAD_GROUP, RECORD_ANNOTATION } from "../core/names.ts";
import { recordedIn } from "../core/policy/recorded.ts";

/** What an audit line says of why, and the trace that the review belongs to. */
export interface Why {
  readonly policy?: string | undefined;
  readonly revision?: string | undefined;
  readonly traceId?: string | undefined;
}

export interface PolicyTraces {
  policyTrace(uid: string, generation: number): string;
  /** Of a policy by name; undefined where there is none. */
  traceOf(namespace: string, name: string): string | undefined;
}

/** Reads the record, so ask only for reviews that are told. */
export function whyOf(request: AdmissionRequest, verdict: Verdict | undefined, traces: PolicyTraces): Why {
  const { metadata } = request.object ?? {};
  if (request.kind.group === FAIRLEAD_GROUP) {
    const { uid, generation } = metadata ?? {};
    return { policy: request.name, traceId: uid ? traces.policyTrace(uid, generation ?? 0) : undefined };
  }
  const text = recordText(request.object ?? {}, verdict?.patch ?? []);
  const recorded = text === undefined || text.length > RECORD_LENGTH_MAX ? undefined : recordedIn(text);
  const policy = recorded?.policies.join(",");
  const first = recorded?.policies[0];
  return {
    policy,
    revision: recorded?.revision,
    traceId: first === undefined ? undefined : traces.traceOf(request.namespace, first),
  };
}

/** Ours are a few hundred characters; whoever may write an object may forge a longer one. */
const RECORD_LENGTH_MAX = 4_096;
const ANNOTATIONS_PATH = "/metadata/annotations";
const RECORD_PATH = `${ANNOTATIONS_PATH}/${RECORD_ANNOTATION.replace("/", "~1")}`;

/** A record that is being taken off still says whose it was. */
function recordText(object: KubernetesObject, patch: readonly PatchOperation[]): string | undefined {
  for (const operation of patch) {
    if (operation.op === "remove") continue;
    if (operation.path === RECORD_PATH) return String(operation.value);
    if (operation.path === ANNOTATIONS_PATH) return (operation.value as StringMap)[RECORD_ANNOTATION];
  }
  return annotationsOf(object)[RECORD_ANNOTATION];
}
