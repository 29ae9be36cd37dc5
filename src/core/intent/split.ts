import type { BackendIntent, Intent, RouteIntent } from "./intent.ts";
import { canonicalRoutes } from "./routes.ts";

/** Stands for the requests that a split with matches divides. No entry can be called so: their names have no dot. */
const SPLIT_ENTRY = "fairlead.split";

/** Requests that are told apart, with the Services that they go to. */
export interface DirectedEntry extends RouteIntent {
  /** Empty: the Service that is asked. */
  readonly backends: readonly BackendIntent[];
}

export interface Directions {
  readonly entries: readonly DirectedEntry[];
  /** Where the requests go that fit no entry. Empty: to the Service that is asked. */
  readonly rest: readonly BackendIntent[];
}

/**
 * Where requests go. A split with matches is one entry more beside those of `routes`; one without divides the requests of
 * every entry and the rest. The result does not depend on the order in the spec.
 */
export function directionsOf({ routes = [], trafficSplit }: Pick<Intent, "routes" | "trafficSplit">): Directions {
  const entries = canonicalRoutes(routes);
  if (trafficSplit === undefined) return { entries: entries.map((entry) => ({ ...entry, backends: [] })), rest: [] };
  const { backends, matches } = trafficSplit;
  if (matches.length === 0) return { entries: entries.map((entry) => ({ ...entry, backends })), rest: backends };
  const split = canonicalRoutes([{ name: SPLIT_ENTRY, matches }]);
  return {
    entries: [
      ...entries.map((entry) => ({ ...entry, backends: [] })),
      ...split.map((entry) => ({ ...entry, backends })),
    ],
    rest: [],
  };
}
