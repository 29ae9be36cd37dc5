import { resolveAllBinaries } from "../../src/dev/control-plane/binaries.ts";
import { gatewayApiCrdPaths } from "../../src/dev/control-plane/crds.ts";
import { resolveEnvoy } from "../../src/dev/mesh/envoy-package.ts";
import { istioCrdPath, resolveIstiod } from "../../src/dev/mesh/istio-module.ts";
import { isMeshSkipped, namespaceObstacle, toolObstacle } from "./prerequisites.ts";

/** What a mesh needs that has to be fetched or built, which a network namespace has no network for. */
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

/** Finds or makes the tools, outside any namespace. One that cannot be had is told, with the way around it. */
export async function provisionMesh(): Promise<MeshProvision> {
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
