import { own, show } from "../problem.ts";

/** A list of objects, of which no two have the same `key`, for the API server. */
export function listMap(key: string) {
  return { "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key] } as const;
}

/** The same for zod: what `withKeyword` wants beside {@link listMap}. */
export function uniqueBy(key: string, wanted: string) {
  return {
    holds: (items: readonly unknown[]) => repeated(items, key) === undefined,
    wanted,
    found: (items: readonly unknown[]) => `${show(repeated(items, key))} twice`,
    fix: "rename one of the two, or remove it",
  };
}

/** Items that are no such thing are reported by themselves. */
function repeated(items: readonly unknown[], key: string): string | undefined {
  const names = items.map((item) => own(item, key)).filter((name) => typeof name === "string");
  return names.find((name, index) => names.indexOf(name) < index);
}

/** No value twice: the rule of `x-kubernetes-list-type: set`. */
export function unique(wanted: string) {
  return {
    holds: (values: readonly string[]) => new Set(values).size === values.length,
    wanted,
    found: (values: readonly string[]) => `${show(values.find((value, index) => values.indexOf(value) < index))} twice`,
    fix: "remove the repetition",
  };
}
