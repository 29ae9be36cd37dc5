import { describe, expect, test } from "vitest";
import { FileWorld } from "../../src/cli/file-world.ts";
import { decide } from "../../src/core/admission/decide.ts";
import type { AdmissionRequest, Verdict } from "../../src/core/admission/review.ts";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import type { CompiledRule } from "../../src/core/rules/rule.ts";
import type { World } from "../../src/core/world.ts";
import { compileOne, ruleObject } from "../rules/rule-objects.ts";
import { DEFAULTS, NOW_MS } from "./worlds.ts";

const DAY_MS = 24 * 60 * 60 * 1_000;

function compiled(name: string, spec: object): CompiledRule {
  const { rule } = compileOne("true", spec);
  if (rule === undefined) throw new Error("Cannot compile the rule of a test");
  return { ...rule, name };
}

class RuledWorld extends FileWorld implements World {
  override rules(): readonly CompiledRule[] {
    return [compiled("ports-named", {}), compiled("timeout-required", { exceptionsAllowed: true })];
  }
}

function write(
  object: object,
  request: Partial<AdmissionRequest> = {},
  world: World = new RuledWorld([], DEFAULTS),
): Verdict {
  const { kind = "", metadata } = object as KubernetesObject;
  return decide(
    {
      phase: "validate",
      nowMs: NOW_MS,
      uid: "1",
      kind: { group: "fairlead.dev", kind },
      operation: "CREATE",
      namespace: metadata?.namespace ?? "",
      name: metadata?.name ?? "",
      object,
      oldObject: undefined,
      ...request,
    },
    world,
  );
}

function exception(rules: readonly string[], days: number): object {
  return {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "RuleException",
    metadata: { name: "billing", namespace: "shop" },
    spec: {
      rules,
      objectNames: ["billing"],
      owner: "team-billing",
      reason: "Migration",
      expiresAt: new Date(NOW_MS + days * DAY_MS).toISOString(),
    },
  };
}

describe("a rule", () => {
  const broken = ruleObject({ validations: [{ expression: "object.spec.prots.size() > 0" }] });

  test("that compiles is admitted", () => {
    expect(write(ruleObject({ validations: [{ expression: "true" }] }))).toMatchObject({
      allowed: true,
      findings: [],
      mode: undefined,
    });
  });

  test("that does not is refused, with the line and a caret", () => {
    expect(write(broken).message).toBe(
      [
        "AdmissionRule timeout-required cannot be accepted, 1 problem:",
        "- spec.validations[0].expression: Line 1, column 12: undefined field 'prots' (FL702)",
        "   | object.spec.prots.size() > 0",
        "   | ...........^",
        "  fix: did you mean ports?",
      ].join("\n"),
    );
  });

  test("that was wrong before is refused all the same", () => {
    expect(write(broken, { operation: "UPDATE", oldObject: broken }).allowed).toBe(false);
  });

  test("that may cost more than this serve gives a rule is refused", () => {
    const object = ruleObject({ validations: [{ expression: "object.spec.ports.all(port, port.port > 0)" }] });
    const refusedBelow = (rule: number): readonly string[] => {
      const defaults = { ...DEFAULTS, ruleLimits: { expression: rule, rule, request: rule } };
      return write(object, {}, new RuledWorld([], defaults)).findings.map(({ message }) => message);
    };
    expect(refusedBelow(1_000)).toEqual([]);
    expect(refusedBelow(100)).toEqual(["Found expressions that may cost up to 604 units together, wanted at most 100"]);
  });

  test("that is being deleted is left alone, so that finalizers can go", () => {
    const metadata = { name: "a", deletionTimestamp: "2026-01-01T00:00:00Z" };
    expect(write({ ...broken, metadata }).allowed).toBe(true);
  });

  test("is not touched by the mutating webhook", () => {
    expect(write(broken, { phase: "mutate" })).toMatchObject({ allowed: true, patch: [] });
  });

  test("whose ConfigMap does not exist is admitted with a warning", () => {
    const object = ruleObject({ paramRef: { name: "limits" }, validations: [{ expression: "'a' in params.data" }] });
    expect(write(object).warnings).toEqual([
      "FL708 spec.paramRef.name: ConfigMap limits does not exist in the namespace of Fairlead; " +
        "create it there, not in the namespaces of the objects",
    ]);
  });
});

describe("an exception", () => {
  test("from a rule that allows it is admitted", () => {
    expect(write(exception(["timeout-required"], 30))).toMatchObject({ allowed: true, findings: [] });
  });

  test.each<readonly [string, readonly string[], number, string]>([
    [
      "from a rule that does not allow it",
      ["ports-named"],
      30,
      "- spec.rules[0]: AdmissionRule ports-named allows no exceptions (FL710)\n" +
        "  fix: keep the rule, or ask its owner to set exceptionsAllowed: true",
    ],
    [
      "that has ended",
      ["timeout-required"],
      0,
      "- spec.expiresAt: Found 2026-11-26T12:00:00Z, which is past, wanted a time within the next 90 days (FL712)\n" +
        "  fix: write a time until 2027-02-24T12:00:00Z",
    ],
    [
      "that ends later than in 90 days",
      ["timeout-required"],
      90.01,
      "- spec.expiresAt: Found 2027-02-24T12:14:24Z, wanted a time within the next 90 days (FL712)\n" +
        "  fix: write a time until 2027-02-24T12:00:00Z, and renew the exception if it is still needed then",
    ],
  ])("%s is refused", (...[, rules, days, text]) => {
    expect(write(exception(rules, days)).message).toBe(
      `RuleException shop/billing cannot be accepted, 1 problem:\n${text}`,
    );
  });

  test.each<readonly [string, readonly string[], number, string]>([
    [
      "from a rule that does not exist",
      ["timeout-requird"],
      30,
      "FL711 spec.rules[0]: There is no AdmissionRule timeout-requird that could be excepted from; " +
        "did you mean timeout-required?",
    ],
    [
      "that ends within a week",
      ["timeout-required"],
      7,
      "FL713 spec.expiresAt: The exception ends at 2026-12-03T12:00:00Z, within seven days; " +
        "keep the rules by then, or write a later time",
    ],
  ])("%s is admitted with a warning", (...[, rules, days, text]) => {
    expect(write(exception(rules, days))).toMatchObject({ allowed: true, warnings: [text] });
  });

  test("of exactly 90 days is admitted, and so is one of eight without a warning", () => {
    expect([90, 8].map((days) => write(exception(["timeout-required"], days)).findings)).toEqual([[], []]);
  });

  test("tells every problem at once", () => {
    const { findings } = write(exception(["ports-named", "nothing"], -1));
    expect(findings.map(({ code }) => code)).toEqual(["FL712", "FL710", "FL711"]);
  });
});
