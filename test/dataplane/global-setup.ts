import type { TestProject } from "vitest/node";
import { type MeshProvision, provisionMesh } from "./tools.ts";

declare module "vitest" {
  interface ProvidedContext {
    readonly mesh: MeshProvision;
  }
}

/** Runs before all tests, outside any namespace. A tool that cannot be had fails the tests that need it and no others. */
export default async function setup(project: TestProject): Promise<void> {
  project.provide("mesh", await provisionMesh());
}
