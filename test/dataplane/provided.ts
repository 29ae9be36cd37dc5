import { inject } from "vitest";
import { Mesh } from "./mesh.ts";

/** A mesh of the tools that the set-up has found. Fails with a hint where the machine cannot run proxies. */
export async function startMesh(crdPaths: readonly string[] = []): Promise<Mesh> {
  const provision = inject("mesh");
  if (provision.state === "ready") return Mesh.start(provision.tools, { crdPaths });
  throw new Error(provision.state === "missing" ? provision.obstacle : "The data-plane tests are skipped");
}
