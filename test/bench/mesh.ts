import { join } from "node:path";
import type { Workspace } from "../../src/dev/control-plane/workspace.ts";
import { NAMESPACE_LAUNCHER } from "../dataplane/prerequisites.ts";
import { provisionMesh } from "../dataplane/tools.ts";
import { Child } from "./child.ts";
import type { MeshAnswer } from "./mesh-child.ts";
import type { MeshOrder } from "./mesh-order.ts";
import type { MeshReport } from "./report-mesh.ts";

type MeshSetup = Pick<MeshOrder, "plan" | "dist" | "nodeFlags" | "stopSignal"> & { readonly workspace: Workspace };

/** Measures these parts in a network namespace; on a machine that cannot make one, says why they were not measured. */
export async function measureMesh(setup: MeshSetup, parts: MeshOrder["parts"]): Promise<MeshReport> {
  const { workspace, plan, dist, nodeFlags, stopSignal } = setup;
  const provision = await provisionMesh();
  if (provision.state === "skipped") return { notMeasured: "MESH=skip was set." };
  if (provision.state === "missing") return { notMeasured: provision.obstacle };
  const child = new Child({
    program: NAMESPACE_LAUNCHER,
    args: [join(import.meta.dirname, "mesh-child.ts")],
    env: { NAMESPACE_NODE: process.execPath },
    logPath: workspace.file("mesh.log"),
  });
  try {
    const answer = child.receive<MeshAnswer>();
    child.send({ tools: provision.tools, plan, parts, dist, nodeFlags, stopSignal } satisfies MeshOrder);
    const heard = await answer;
    if ("failure" in heard) throw new Error(`Cannot measure with a mesh: ${heard.failure}`);
    return heard.results;
  } finally {
    await child.stop("SIGTERM");
  }
}
