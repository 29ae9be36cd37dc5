import { afterAll, beforeAll, describe, inject } from "vitest";
import { clientSide } from "./client-side.ts";
import { istiodOracle } from "./istiod-oracle.ts";
import { samePod } from "./same-pod.ts";
import { serverSide } from "./server-side.ts";
import { type Stage, startStage } from "./stage.ts";

describe.skipIf(inject("mesh").state === "skipped")("a policy", () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await startStage();
  });

  afterAll(async () => {
    await stage?.mesh.stop();
  });

  describe("at the proxy of a client", () => clientSide(() => stage));
  describe("at the proxy of a server", () => serverSide(() => stage));
  describe("at one of several ports of a server", () => samePod(() => stage));
  describe("as istiod sees it", () => istiodOracle(() => stage));
});
