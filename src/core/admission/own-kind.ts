import { type Finding, sortFindings } from "../finding.ts";
import type { KubernetesObject } from "../kubernetes.ts";
import type { World } from "../world.ts";
import { modeOf } from "./mode.ts";
import type { AdmissionRequest, Verdict } from "./review.ts";
import { denialText, warningTexts } from "./text.ts";

/**
 * The verdict on a write of a kind of ours, in every namespace and every mode. There is no tolerance for what the old
 * object had wrong as well: what cannot be compiled would be stored and do nothing.
 */
export function judgeOwn(request: AdmissionRequest, found: readonly Finding[], world: World): Verdict {
  const findings = sortFindings(found);
  const denied = findings.some((item) => item.severity === "deny");
  const mode = request.namespace === "" ? undefined : modeOf(request.namespace, world).mode;
  return {
    allowed: !denied,
    patch: [],
    findings,
    warnings: mode === "audit" ? [] : warningTexts(findings, undefined),
    message: denied ? denialText(subjectOf(request), findings) : "",
    mode,
  };
}

/** `ResiliencePolicy shop/cart`, `AdmissionRule timeout-required`. */
function subjectOf({ kind, namespace, name, object }: AdmissionRequest): string {
  const shown = name || `${object?.metadata?.generateName ?? ""}*`;
  return `${kind.kind} ${namespace === "" ? "" : `${namespace}/`}${shown}`;
}

/** The namespace of an object is that of its request; in a manifest it may be missing. */
export function withNamespace(object: KubernetesObject, namespace: string): KubernetesObject {
  return object.metadata?.namespace === undefined ? { ...object, metadata: { ...object.metadata, namespace } } : object;
}
