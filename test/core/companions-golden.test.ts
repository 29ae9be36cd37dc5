import { globSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { readInput } from "../../src/cli/input.ts";
import { isPolicy } from "../../src/cli/file-world.ts";
import { companionsOf } from "../../src/core/companions/wanted.ts";
import { resolvePrecedence } from "../../src/core/intent/precedence.ts";
import { yamlDocuments } from "../../src/gen/yaml.ts";
import type { GoldenMesh } from "../golden/companions.ts";
import { checkGolden } from "./golden-file.ts";
import { keyOf, meshVersion, worldOf } from "./worlds.ts";

/**
 * A case is a folder: input.yaml, and for each band of versions the objects that the mesh gets for the Services in it.
 * `UPDATE=1` rewrites them: read the difference.
 */
const ROOT = join(import.meta.dirname, "../golden");

/** First and last version of each band: what is written differs between bands, and within one nowhere. */
const BANDS: Readonly<Record<GoldenMesh, readonly (readonly [first: string, last: string])[]>> = {
  istio: [
    ["1.20", "1.21"],
    ["1.22", "1.24"],
    ["1.25", "1.31"],
  ],
  linkerd: [
    ["2.14", "2.15"],
    ["2.16", "2.16"],
    ["2.17", "2.17"],
    ["2.18", "2.20"],
  ],
};
const CASES = (["istio", "linkerd"] as const).flatMap((mesh) =>
  globSync("*/input.yaml", { cwd: join(ROOT, mesh) })
    .map((path) => ({ mesh, name: join(mesh, dirname(path)) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1)),
);

function objectsFor(name: string, version: string): string {
  const input = readInput({ filenames: [join(ROOT, name, "input.yaml")], recursive: false, baseDirectory: ROOT });
  const objects = input.map(({ object }) => object);
  const world = worldOf(objects, { meshVersion: meshVersion(version) });
  const services = objects.filter(({ kind }) => kind === "Service");
  const companions = services.flatMap((object) => {
    const key = keyOf(object);
    return companionsOf({ key, object }, resolvePrecedence(world.policiesIn(key.namespace), key, object), world).wanted;
  });
  return yamlDocuments(companions.map(({ object }) => object));
}

describe.each(CASES)("$name", ({ mesh, name }) => {
  test.each(BANDS[mesh])("from version %s on", (version) => {
    checkGolden(join(ROOT, name, `expected-${version}.yaml`), objectsFor(name, version));
  });

  test("the bands have no gaps", () => {
    for (const [first, last] of BANDS[mesh]) expect(objectsFor(name, last)).toBe(objectsFor(name, first));
  });
});

test("every case has a policy", () => {
  for (const { name } of CASES) {
    const input = readInput({ filenames: [join(ROOT, name)], recursive: false, baseDirectory: ROOT });
    expect(input.some(({ object }) => isPolicy(object))).toBe(true);
  }
});
