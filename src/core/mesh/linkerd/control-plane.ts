import { annotationsOf, type KubernetesObject } from "../../kubernetes.ts";
import { type ControlPlane, sourceOf } from "../control-plane.ts";

/** Where Linkerd's documentation and CLI install it; who writes Services elsewhere must not tell versions. */
const NAMESPACE = "linkerd";
/** Of several Services of the control plane the one that every proxy asks for policy; there since 2.10. */
const DESTINATION = "linkerd-dst";
/** `linkerd/helm stable-2.14.10`, `linkerd/cli edge-26.8.3` (linkerd2 charts/partials, created-by). */
const CREATED_BY = "linkerd.io/created-by";

export function linkerdControlPlane(service: KubernetesObject): ControlPlane | undefined {
  const { namespace, name } = service.metadata ?? {};
  if (namespace !== NAMESPACE || name !== DESTINATION) return undefined;
  const [, version = ""] = (annotationsOf(service)[CREATED_BY] ?? "").split(" ", 2);
  return { mesh: "Linkerd", source: sourceOf(service), revision: "", version };
}
