import { type Document, isAlias, isMap, isNode, isScalar, isSeq, type Node } from "yaml";

export type Segment = string | number;

/** Where a field stands. */
export interface Place {
  /** Offset of its key, or of its item, in the text. */
  readonly offset: number;
  /** Undefined where the field has no value. */
  readonly value: Node | undefined;
}

/**
 * The place of a field, by a path as findings have it (`spec.ports[0].name`); of the nearest one around it where the field
 * is not there. `below` is where in the document the object starts.
 */
export function placeOf(document: Document.Parsed, below: readonly Segment[], path: string): Place {
  const root = resolved(document.contents ?? undefined, document);
  let place: Place = { offset: offsetOf(root) ?? 0, value: root };
  for (const segment of [...below, ...segmentsOf(path)]) {
    const next = childOf(place.value, segment, document);
    if (next === undefined) return place;
    place = next;
  }
  return place;
}

/** `spec.ports[0]["a.b"]` -> `["spec", "ports", 0, "a.b"]`; as far as it can be read. */
export function segmentsOf(path: string): readonly Segment[] {
  const parts = path.matchAll(/\.?([^.[\]]+)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]/gy);
  return [...parts].map(([, name, index, quoted]) => {
    if (index !== undefined) return Number(index);
    return name ?? (JSON.parse(quoted ?? '""') as string);
  });
}

function childOf(node: Node | undefined, segment: Segment, document: Document.Parsed): Place | undefined {
  if (isSeq(node) && typeof segment === "number") {
    const item = node.items[segment];
    if (!isNode(item)) return undefined;
    return { offset: offsetOf(item) ?? 0, value: resolved(item, document) };
  }
  if (!isMap(node)) return undefined;
  const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(segment));
  const offset = isNode(pair?.key) ? offsetOf(pair.key) : undefined;
  if (pair === undefined || offset === undefined) return undefined;
  return { offset, value: isNode(pair.value) ? resolved(pair.value, document) : undefined };
}

function resolved(node: Node | undefined, document: Document.Parsed): Node | undefined {
  return isAlias(node) ? node.resolve(document) : node;
}

function offsetOf(node: Node | undefined): number | undefined {
  return node?.range?.[0];
}
