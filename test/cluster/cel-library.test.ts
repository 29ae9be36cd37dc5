import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ControlPlane, startControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { CORPUS_FILES, corpusInputs, expressionsIn, RECORDING, recording } from "../rules/library-corpus.ts";
import { CelOracle } from "./cel-oracle.ts";

let controlPlane: ControlPlane;
beforeAll(async () => {
  controlPlane = await startControlPlane({ controllerManager: false });
});
afterAll(() => controlPlane?.stop());

// What the recording is for: test/rules/library-oracle.test.ts holds the engine against it.
test("the recording of what Kubernetes makes of the CEL expressions is still true", async () => {
  const expressions = CORPUS_FILES.flatMap(expressionsIn);
  expect(new Set(expressions).size).toBe(expressions.length);
  const oracle = await CelOracle.start(controlPlane, corpusInputs());
  const said = Object.fromEntries(await oracle.ask(expressions));
  if (process.env["UPDATE"] === "1") writeFileSync(RECORDING, `${JSON.stringify(said, null, 2)}\n`);
  expect(said).toEqual(recording());
});
