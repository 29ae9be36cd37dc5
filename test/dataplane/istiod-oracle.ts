import { expect, test } from "vitest";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import type { CommandResult } from "../../src/dev/control-plane/command.ts";
import { companionGoldens, listOf } from "../golden/companions.ts";
import { applyObject } from "./api.ts";
import { virtualService } from "./istio-objects.ts";
import { hostOf } from "./objects.ts";
import type { Stage } from "./stage.ts";

/** istiod says so of every EnvoyFilter, whatever is in it. */
const OF_EVERY_FILTER = /^Warning: EnvoyFilter exposes internal implementation details .*\n/gm;

/** What istiod itself says of objects, which it is asked before they are stored. */
export function istiodOracle(stage: () => Stage): void {
  test("what istiod refuses is refused when it is written", async () => {
    const negative = virtualService("user", [{ retries: { attempts: -1 }, route: routeTo("user") }]);
    await expect(stage().mesh.apply([negative])).rejects.toThrow(/attempts cannot be negative/);
    const misspelt = virtualService("user", [{ timeuot: "1s", route: routeTo("user") }]);
    await expect(stage().mesh.apply([misspelt])).rejects.toThrow(/http\[0\].timeuot: field not declared in schema/);
  });

  test("istiod takes every golden object of every band, and warns of nothing in them", async () => {
    await applyObject(stage().mesh.client, { apiVersion: "v1", kind: "Namespace", metadata: { name: "iam" } });
    const goldens = companionGoldens("istio").map(({ object }) => object);
    const { stdout, stderr } = await dryRun(goldens);
    expect(stderr.replaceAll(OF_EVERY_FILTER, "")).toBe("");
    expect(stdout.trim().split("\n")).toHaveLength(goldens.length);
    // Dry runs are asked of istiod too.
    const negative = virtualService("user", [{ retries: { attempts: -1 }, route: routeTo("user") }]);
    expect((await dryRun([negative])).stderr).toMatch(/attempts cannot be negative/);
  });

  /** Asks the API server, and it asks istiod, about objects that are not kept then. */
  function dryRun(objects: readonly KubernetesObject[]): Promise<CommandResult> {
    const create = ["create", "--dry-run=server", "--output=name", "--filename=-"];
    return stage().mesh.cluster.kubectl(create, { input: JSON.stringify(listOf(objects)) });
  }
}

function routeTo(service: string): readonly object[] {
  return [{ destination: { host: hostOf(service) } }];
}
