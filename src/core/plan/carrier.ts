import { annotationsOf, groupOf, type KubernetesObject } from "../kubernetes.ts";
import { GATEWAY_GROUP, GENERATED_ANNOTATION, POD_PORTS_ANNOTATION } from "../names.ts";
import type { Json } from "../rules/shown-settings.ts";
import type { TargetKey } from "../world.ts";

/** An object that carries settings of a target, by identity; the version is left out, as the controller finds it out. */
export type CarrierKey = TargetKey;

/** One object with what it carries. */
export interface Carrier {
  readonly key: CarrierKey;
  /** Annotations, spec or both, without what Fairlead keeps its books by. */
  readonly content: Json;
}

/** What an object that Fairlead makes carries. */
export function carrierOf(object: KubernetesObject): Carrier {
  const { apiVersion, kind = "", metadata, spec } = object;
  const { [GENERATED_ANNOTATION]: _, [POD_PORTS_ANNOTATION]: __, ...annotations } = annotationsOf(object);
  return {
    // A generated route has no version yet, and is of the Gateway API.
    key: {
      group: apiVersion === undefined ? GATEWAY_GROUP : groupOf(apiVersion),
      kind,
      namespace: metadata?.namespace ?? "default",
      name: metadata?.name ?? "",
    },
    content: { ...(Object.keys(annotations).length > 0 && { annotations }), spec },
  };
}
