import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ControlPlane, startControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { CORPUS_FILES, expressionsIn, probeObject, RECORDING, recording } from "../rules/library-corpus.ts";
import { askApiServer } from "./cel-oracle.ts";

let controlPlane: ControlPlane;
beforeAll(async () => {
  controlPlane = await startControlPlane({ controllerManager: false });
});
afterAll(() => controlPlane?.stop());

// What the recording is for: test/rules/library-oracle.test.ts holds the engine against it.
test("the recording of what Kubernetes makes of the CEL expressions is still true", async () => {
  const expressions = CORPUS_FILES.flatMap(expressionsIn);
  expect(new Set(expressions).size).toBe(expressions.length);
  const said = Object.fromEntries(await askApiServer(controlPlane, expressions, probeObject()));
  if (process.env["UPDATE"] === "1") writeFileSync(RECORDING, `${JSON.stringify(said, null, 2)}\n`);
  expect(said).toEqual(recording());
});
