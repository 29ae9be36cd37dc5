import type { MeshTools } from "../dataplane/tools.ts";
import type { Part, Plan } from "./limits.ts";

/** What the process with the mesh is told. */
export interface MeshOrder {
  readonly tools: MeshTools;
  readonly plan: Plan;
  readonly parts: readonly Part[];
  /** From compile(). */
  readonly dist: string;
  readonly nodeFlags: readonly string[];
  readonly stopSignal: "SIGTERM" | "SIGKILL";
}
