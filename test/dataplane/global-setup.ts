import type { TestProject } from "vitest/node";
import { resolveAllBinaries } from "../../src/dev/control-plane/binaries.ts";
import { gatewayApiCrdPaths } from "../../src/dev/control-plane/crds.ts";
import { resolveEnvoy } from "../../src/dev/mesh/envoy-package.ts";
import { istioCrdPath, resolveIstiod } from "../../src/dev/mesh/istio-module.ts";
import { isMeshSkipped, namespaceObstacle, toolObstacle } from "./prerequisites.ts";

/** What the tests need that has to be fetched or built, which a network namespace has no network for. */
export interface MeshTools {
  readonly istiod: string;
  readonly envoy: string;
  readonly crdPaths: readonly string[];
}

/** The tools, or why there are none. */
export type MeshProvision =
  | { readonly state: "ready"; readonly tools: MeshTools }
  | { readonly state: "skipped" }
  | { readonly state: "missing"; readonly obstacle: string };

declare module "vitest" {
  interface ProvidedContext {
    readonly mesh: MeshProvision;
  }
}

/** Runs before all tests, outside any namespace. A tool that cannot be had fails the tests that need it and no others. */
export default async function setup(project: TestProject): Promise<void> {
  project.provide("mesh", await provision());
}

async function provision(): Promise<MeshProvision> {
  if (isMeshSkipped()) return { state: "skipped" };
  const obstacle = namespaceObstacle();
  if (obstacle !== undefined) return { state: "missing", obstacle };
  try {
    const envoy = await resolveEnvoy();
    await resolveAllBinaries();
    const crdPaths = [await istioCrdPath(), ...(await gatewayApiCrdPaths())];
    return { state: "ready", tools: { istiod: await resolveIstiod(), envoy, crdPaths } };
  } catch (error) {
    return { state: "missing", obstacle: toolObstacle(error) };
  }
}
