import * as fc from "fast-check";
import { Histogram, Registry } from "prom-client";
import { describe, expect, test } from "vitest";
import { createLog, logRecord } from "../../src/observe/log.ts";
import { testMetrics } from "./support.ts";

describe("logRecord()", () => {
  function lines(fields: Record<string, unknown>): readonly Record<string, unknown>[] {
    const out: string[] = [];
    const { log } = createLog({ level: "info", destination: { write: (line) => void out.push(line) } });
    logRecord(log, "info", fields);
    log.info(fields);
    logRecord(log, "debug", fields);
    expect(out.every((line) => line.endsWith("}\n"))).toBe(true);
    return out.map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  const values = fc.oneof(
    fc.constantFrom(
      "",
      "user-service",
      "gateway.networking.k8s.io",
      "-----BEGIN PRIVATE KEY-----",
      '"',
      "\n",
      "é",
      "\\",
    ),
    fc.string(),
    fc.double(),
    fc.constantFrom(undefined, null, true, ["FL101"], { metadata: { name: "hidden" } }),
  );
  const names = fc.constantFrom("uid", "name", "namespace", "decision", "durationMs", "patch", "token", "msg");

  test("writes what pino writes, of whatever fields, in the same order", () => {
    fc.assert(
      fc.property(fc.dictionary(names, values), (fields) => {
        const [ours, pinos, ...others] = lines(fields).map((line) => ({ ...line, time: "" }));
        expect(others).toEqual([]);
        expect(ours).toEqual(pinos);
        expect(Object.keys(ours ?? {})).toEqual(Object.keys(pinos ?? {}));
      }),
    );
  });

  test.each([
    ["a PEM block", { name: "-----BEGIN PRIVATE KEY-----hidden" }],
    ["a secret by its name", { token: "hidden" }],
    ["an object", { found: { metadata: { name: "hidden" } } }],
  ])("hides %s", (_name, fields) => {
    expect(JSON.stringify(lines({ uid: "1", ...fields }))).not.toContain("hidden");
  });

  test("takes a logger that is not of createLog()", () => {
    const { log } = createLog({ level: "info", destination: { write: () => undefined } });
    expect(() => logRecord(log.child({}), "info", { uid: "1" })).not.toThrow();
  });
});

describe("createMetrics()", () => {
  const OBSERVATION = { kind: { group: "", kind: "Service" }, mode: "enforce" } as const;
  const observations = fc.array(
    fc.record({
      door: fc.constantFrom("mutate", "validate"),
      operation: fc.constantFrom("CREATE", "UPDATE"),
      decision: fc.constantFrom("patched" as const, "allowed" as const),
      durationSeconds: fc.double({ min: 0, max: 6, noNaN: true }),
    }),
    { maxLength: 700 },
  );

  test("tells every review and duration, whenever it is scraped", async () => {
    await fc.assert(
      fc.asyncProperty(observations, observations, async (before, after) => {
        const metrics = testMetrics();
        const registry = new Registry();
        const { name, help, ...shape } = await durationShape();
        const reference = new Histogram({ name, help, ...shape, registers: [registry] });
        for (const batch of [before, after]) {
          for (const observation of batch) {
            metrics.review({ ...OBSERVATION, ...observation });
            reference.observe({ door: observation.door }, observation.durationSeconds);
          }
          const text = await metrics.registry.getSingleMetricAsString(name);
          expect(sorted(text)).toEqual(sorted(await registry.getSingleMetricAsString(name)));
        }
        const all = [...before, ...after];
        const counted = await metrics.registry.getSingleMetric("fairlead_admission_reviews_total")?.get();
        for (const { labels, value } of counted?.values ?? []) {
          const { door, operation, decision } = labels;
          const same = all.filter((o) => o.door === door && o.operation === operation && o.decision === decision);
          expect(value).toBe(same.length);
        }
        expect(counted?.values.reduce((sum, { value }) => sum + value, 0)).toBe(all.length);
      }),
      { numRuns: 30 },
    );
  });

  /** Name, help and buckets as the metrics show them. */
  async function durationShape() {
    const metrics = testMetrics();
    metrics.review({ ...OBSERVATION, door: "mutate", operation: "CREATE", decision: "patched", durationSeconds: 1 });
    const name = "fairlead_admission_duration_seconds";
    const metric = await metrics.registry.getSingleMetric(name)?.get();
    const bounds = new Set((metric?.values ?? []).map(({ labels }) => Number(labels["le"])));
    const buckets = [...bounds].filter(Number.isFinite);
    return { name, help: metric?.help ?? "", buckets, labelNames: ["door"] as const };
  }

  /** Doors come in the order in which they were first seen, which is no promise. Sums differ by rounding. */
  function sorted(text: string): readonly string[] {
    return text.split("\n").sort();
  }
});
