import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { Tally } from "../../src/observe/scraped.ts";

test("a counter has a thousand series at most; what comes later is counted together", async () => {
  const registry = new Registry();
  const tally = new Tally(registry, { name: "used", help: "used", labelNames: ["namespace", "exception"] });
  for (let index = 0; index < 1_500; index += 1) tally.count("shop", `e${index}`);
  tally.count("shop", "e7");
  const lines = (await registry.metrics()).split("\n").filter((line) => line.startsWith("used{"));
  expect(lines).toHaveLength(1_001);
  expect(lines).toContain('used{namespace="shop",exception="e7"} 2');
  expect(lines).toContain('used{namespace="other",exception="other"} 500');
});
