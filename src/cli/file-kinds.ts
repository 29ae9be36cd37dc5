import { isRecord, own } from "../api/problem.ts";
import { groupOf, type KubernetesObject } from "../core/kubernetes.ts";
import type { ResourceName, RuleKind } from "../core/rules/kinds.ts";
import { readShape, type Shape } from "../core/rules/schema-shape.ts";
import { OBJECT_META } from "../core/rules/schemas/object-meta.ts";

/** What the CustomResourceDefinitions among some objects say of a kind, so that rules about it are checked. */
export function kindIn(objects: readonly KubernetesObject[], name: ResourceName): RuleKind | undefined {
  const definition = objects.find(({ apiVersion = "", kind, spec }) => {
    const isDefinition = kind === "CustomResourceDefinition" && groupOf(apiVersion) === "apiextensions.k8s.io";
    return isDefinition && own(spec, "group") === name.group && own(own(spec, "names"), "plural") === name.resource;
  })?.spec;
  const kind = own(own(definition, "names"), "kind");
  const versions = own(definition, "versions");
  if (typeof kind !== "string" || !Array.isArray(versions)) return undefined;
  const version: unknown = versions.find((item) => name.version === "*" || own(item, "name") === name.version);
  const shape = readShape(own(own(version, "schema"), "openAPIV3Schema"));
  return { kind, namespaced: own(definition, "scope") !== "Cluster", shape: withMetadata(shape) };
}

/** The API server checks these itself, whatever the schema says. */
function withMetadata(shape: Shape): Shape {
  if (!isRecord(shape)) return shape;
  return { ...(shape as Readonly<Record<string, Shape>>), apiVersion: "string", kind: "string", metadata: OBJECT_META };
}
