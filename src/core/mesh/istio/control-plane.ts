import { type KubernetesObject, labelsOf } from "../../kubernetes.ts";
import type { NamespaceInfo } from "../../world.ts";
import { type ControlPlane, sourceOf } from "../control-plane.ts";

/** Where Istio's documentation and CLI install it; who writes Services elsewhere must not tell versions. */
const NAMESPACE = "istio-system";
const REVISION = "istio.io/rev";
const TAG = "istio.io/tag";
/** On every object of the istiod chart since 1.24; before, only the image of the Deployment tells. */
const VERSION = "app.kubernetes.io/version";
/** What an istiod without a revision is called, and the tag that `istio-injection: enabled` stands for. */
const DEFAULT_REVISION = "default";

/** One for each revision, and one more for each of its tags (istio-discovery, service.yaml and revision-tags-svc.yaml). */
export function istioControlPlane(service: KubernetesObject): ControlPlane | undefined {
  const labels = labelsOf(service);
  if (service.metadata?.namespace !== NAMESPACE || labels["app"] !== "istiod") return undefined;
  const revision = labels[TAG] ?? labels[REVISION] ?? DEFAULT_REVISION;
  return { mesh: "Istio", source: sourceOf(service), revision, version: labels[VERSION] ?? "" };
}

/** The revision or tag that injects the pods of a namespace; `istio-injection` goes before `istio.io/rev`. */
export function istioRevision(namespace: NamespaceInfo | undefined): string {
  const { labels = {} } = namespace ?? {};
  return labels["istio-injection"] === undefined ? (labels[REVISION] ?? DEFAULT_REVISION) : DEFAULT_REVISION;
}
