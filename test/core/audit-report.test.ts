import { describe, expect, test } from "vitest";
import type { ApplyAction } from "../../src/core/action.ts";
import type { AuditResult } from "../../src/core/audit/audit-object.ts";
import { planReport, type ReportInput } from "../../src/core/audit/report.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";

const cart = { apiVersion: "v1", kind: "Service", namespace: "shop", name: "cart", uid: "1" };
const missing: AuditResult = {
  rule: "timeout-required",
  result: "fail",
  severity: "high",
  message: "rule timeout-required: no request timeout",
  fix: "add timeout.request to the policy",
  object: cart,
};
const broken: AuditResult = { ...missing, rule: "broken", result: "error", severity: "medium", fix: "" };

function plan(input: Partial<ReportInput>): ReturnType<typeof planReport> {
  const totals = { fail: input.results?.length ?? 0, error: 0 };
  return planReport({ namespace: "shop", results: [], totals, found: undefined, nowSeconds: 1_000, ...input });
}

/** As the API server holds it after the write. */
function stored(action: ReturnType<typeof planReport>, changes: object = {}): KubernetesObject {
  const { object } = action as ApplyAction;
  return { ...object, metadata: { ...object.metadata, uid: "u", resourceVersion: "7" }, ...changes };
}

test("what fails becomes one report of the namespace, by rule, with what to do", () => {
  expect(plan({ results: [missing, broken], totals: { fail: 1, error: 1 } })).toEqual({
    kind: "apply",
    service: "",
    ref: { group: "openreports.io", resource: "reports", namespace: "shop", name: "fairlead" },
    resourceVersion: undefined,
    object: {
      apiVersion: "openreports.io/v1alpha1",
      kind: "Report",
      metadata: { name: "fairlead", namespace: "shop", labels: { "app.kubernetes.io/managed-by": "fairlead" } },
      source: "fairlead",
      scope: { apiVersion: "v1", kind: "Namespace", name: "shop" },
      configuration: { limits: { maxResults: 500, statusFilter: ["fail", "error"] } },
      summary: { pass: 0, fail: 1, warn: 0, error: 1, skip: 0 },
      results: [
        {
          source: "fairlead",
          policy: "broken",
          result: "error",
          severity: "medium",
          message: broken.message,
          resources: [cart],
          timestamp: { seconds: 1_000, nanos: 0 },
        },
        {
          source: "fairlead",
          policy: "timeout-required",
          result: "fail",
          severity: "high",
          message: missing.message,
          properties: { fix: missing.fix },
          resources: [cart],
          timestamp: { seconds: 1_000, nanos: 0 },
        },
      ],
    },
  });
});

describe("a report that is stored", () => {
  const found = stored(plan({ results: [missing] }));

  test("is not written again while the same fails, in whatever order it was found", () => {
    expect(plan({ results: [missing], found, nowSeconds: 2_000 })).toBeUndefined();
    const both = stored(plan({ results: [broken, missing] }));
    expect(plan({ results: [missing, broken], found: both, nowSeconds: 2_000 })).toBeUndefined();
  });

  test("keeps the time of what it told before when something is added", () => {
    const next = plan({ results: [missing, broken], found, nowSeconds: 2_000 }) as ApplyAction;
    expect(next.resourceVersion).toBe("7");
    const times = (next.object as { results?: readonly { policy: string; timestamp: { seconds: number } }[] }).results;
    expect(times?.map(({ policy, timestamp }) => [policy, timestamp.seconds])).toEqual([
      ["broken", 2_000],
      ["timeout-required", 1_000],
    ]);
  });

  test("is put right when somebody changes it, and left what others add beside", () => {
    expect(plan({ results: [missing], found: { ...found, summary: { fail: 0 } } as KubernetesObject })?.kind).toBe(
      "apply",
    );
    expect(plan({ results: [missing], found: { ...found, spec: "other" } })).toBeUndefined();
  });

  test("goes when nothing fails", () => {
    expect(plan({ found })).toEqual({
      kind: "delete",
      ref: { group: "openreports.io", resource: "reports", namespace: "shop", name: "fairlead" },
      uid: "u",
      resourceVersion: "7",
    });
    expect(plan({})).toBeUndefined();
  });

  test("stays when it is another tool's", () => {
    const foreign = { ...found, metadata: { ...found.metadata, labels: {} } };
    expect(plan({ found: foreign })).toBeUndefined();
    expect(plan({ found: foreign, results: [missing] })).toBeUndefined();
  });
});

test("a report holds 500 results at most, and counts all of them", () => {
  const results = Array.from({ length: 600 }, (_, index) => ({ ...missing, object: { ...cart, name: `s${index}` } }));
  const { object } = plan({ results }) as ApplyAction;
  const report = object as { results?: readonly unknown[]; summary?: { fail: number } };
  expect([report.results?.length, report.summary?.fail]).toEqual([500, 600]);
});

test("a long message is cut, so that the report fits into etcd", () => {
  const { object } = plan({ results: [{ ...missing, message: "x".repeat(5_000) }] }) as ApplyAction;
  expect(JSON.stringify(object).length).toBeLessThan(2_000);
});
