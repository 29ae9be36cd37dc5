import { isRecord, own } from "../../api/problem.ts";
import type { ResourceName, RuleKind } from "./kinds.ts";
import { readShape } from "./schema-shape.ts";

/** A kind that the API server serves, and its fields. */
export type ServedKind = RuleKind & ResourceName;

/** `/apis/apps/v1/namespaces/{namespace}/deployments`, and without namespace for what belongs to none. */
const COLLECTION = /^\/(?:api|apis\/([^/]+))\/([^/]+)\/(namespaces\/\{namespace\}\/)?([^/{}]+)$/;
const KIND = "x-kubernetes-group-version-kind";

/** The kinds that can be created, from one OpenAPI v3 document of the API server (`/openapi/v3/apis/apps/v1`). */
export function readKinds(document: unknown): readonly ServedKind[] {
  const paths = own(document, "paths");
  const schemas = own(own(document, "components"), "schemas");
  if (!isRecord(paths) || !isRecord(schemas)) return [];
  const byKind = schemasByKind(schemas);
  return Object.entries(paths).flatMap(([path, item]) => {
    const [, group = "", version = "", scope, resource = ""] = COLLECTION.exec(path) ?? [];
    const kind = own(own(own(item, "post"), KIND), "kind");
    if (resource === "" || typeof kind !== "string") return [];
    const schema = byKind.get(keyOf({ group, version, kind }));
    const namespaced = scope !== undefined;
    // Nothing is asked about the fields of what no rule may match.
    const shape = schema === undefined || !namespaced ? "dyn" : readShape(schema, schemas);
    return [{ group, version, resource, kind, namespaced, shape }];
  });
}

function schemasByKind(schemas: Readonly<Record<string, unknown>>): ReadonlyMap<string, unknown> {
  const found = new Map<string, unknown>();
  for (const schema of Object.values(schemas)) {
    const kinds = own(schema, KIND);
    // DeleteOptions and the like are of every group, and no objects.
    if (Array.isArray(kinds) && kinds.length === 1) found.set(keyOf(kinds[0]), schema);
  }
  return found;
}

function keyOf(of: unknown): string {
  return [own(of, "group"), own(of, "version"), own(of, "kind")].join("/");
}
