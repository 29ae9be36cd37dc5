/** What is measured with a mesh, in a process of its own, because a mesh wants a network namespace. */
import type { MeshOrder } from "./mesh-order.ts";
import { type MeshScaleResult, measureMeshScale } from "./mesh-scale.ts";
import { startMeshStage } from "./mesh-stage.ts";
import { measureProxy, type ProxyResult } from "./proxy.ts";

/** Of each part that was measured. */
export interface MeshResults {
  readonly proxy?: ProxyResult;
  readonly mesh?: MeshScaleResult;
}

/** The parent sends an order and hears the results. */
export type MeshAnswer = { readonly results: MeshResults } | { readonly failure: string };

async function measure(order: MeshOrder): Promise<MeshResults> {
  const { plan, parts } = order;
  const stage = await startMeshStage(order);
  try {
    return {
      ...(parts.includes("proxy") && { proxy: await measureProxy(stage, plan) }),
      ...(parts.includes("mesh") && { mesh: await measureMeshScale(stage, plan) }),
    };
  } finally {
    await stage.mesh.stop();
  }
}

process.on("message", (order: MeshOrder) => {
  measure(order).then(
    (results) => process.send?.({ results } satisfies MeshAnswer),
    (error: unknown) => process.send?.({ failure: String((error as Error).stack) } satisfies MeshAnswer),
  );
});
process.on("disconnect", () => process.exit());
