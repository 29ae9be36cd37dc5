import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";

/** The folder of a mesh beside this file. */
export type GoldenMesh = "istio" | "linkerd";

/** An object that Fairlead writes for a mesh, with the first version of the band that gets it, such as `1.22`. */
export interface CompanionGolden {
  readonly version: string;
  readonly object: KubernetesObject;
}

/** The objects of every case and band, found where they are; a new case is among them without being named. */
export function companionGoldens(mesh: GoldenMesh): readonly CompanionGolden[] {
  const root = join(import.meta.dirname, mesh);
  return globSync("*/expected-*.yaml", { cwd: root }).flatMap((path) => {
    const version = /expected-(.+)\.yaml$/.exec(path)?.[1] ?? "";
    const documents = parseAllDocuments(readFileSync(join(root, path), "utf8"));
    return documents.map((document) => ({ version, object: document.toJSON() as KubernetesObject }));
  });
}

/** Objects as one document of JSON: kubectl reads YAML of an older version, in which the text "on" is true. */
export function listOf(items: readonly KubernetesObject[]): object {
  return { apiVersion: "v1", kind: "List", items };
}
