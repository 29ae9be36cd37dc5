import type { StringMap } from "./kubernetes.ts";

interface Chooser<T> {
  readonly object: T;
  readonly wanted: Readonly<Record<string, unknown>>;
}

/**
 * Finds what may choose Pods with the labels that are given, without a look at each object: those that want another value
 * of a label are left out. Not all of them are, so `selectorRelation` has the last word. `wantedBy`: the labels that an
 * object wants; one that wants none is always found.
 */
export function labelIndex<T>(
  objects: readonly T[],
  wantedBy: (object: T) => Readonly<Record<string, unknown>>,
): (labels: StringMap) => readonly T[] {
  const choosers = objects.map((object): Chooser<T> => ({ object, wanted: wantedBy(object) }));
  const valuesOf = new Map<string, Set<unknown>>();
  for (const { wanted } of choosers) {
    for (const [label, value] of Object.entries(wanted)) {
      valuesOf.set(label, (valuesOf.get(label) ?? new Set()).add(value));
    }
  }
  const byLabel = Map.groupBy(choosers, ({ wanted }) => mostTelling(Object.keys(wanted), valuesOf));
  const finders = [...byLabel].map(([label, them]) => finderOf(label, them));
  return (labels) => finders.flatMap((find) => find(labels));
}

/** `app` has as many values as there are Services, where `tier` has three. Undefined: there is no label. */
function mostTelling(labels: readonly string[], valuesOf: ReadonlyMap<string, Set<unknown>>): string | undefined {
  const count = (label: string): number => valuesOf.get(label)?.size ?? 0;
  return labels.toSorted((a, b) => count(b) - count(a))[0];
}

/** Pods may have labels beside those that are given, so that one which is not given may have any value. */
function finderOf<T>(label: string | undefined, choosers: readonly Chooser<T>[]): (labels: StringMap) => readonly T[] {
  const all = choosers.map(({ object }) => object);
  if (label === undefined) return () => all;
  const byValue = Map.groupBy(choosers, ({ wanted }) => wanted[label]);
  const ofValue = new Map([...byValue].map(([value, them]) => [value, them.map(({ object }) => object)]));
  return (labels) => (Object.hasOwn(labels, label) ? (ofValue.get(labels[label]) ?? []) : all);
}
