import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { CompiledException, CompiledRule, RuleAction } from "../../src/core/rules/rule.ts";
import { exception, judgedBy, rule, ruledWorld, type RuleText } from "../core/rule-support.ts";
import { namespace, NOW_MS, service } from "../core/worlds.ts";

/** What holds, what does not, what cannot be evaluated, what costs too much. */
const EXPRESSIONS = [
  "true",
  "false",
  "object.nothing == 1",
  "object.spec.ports.all(a, object.spec.ports.all(b, object.spec.ports.all(c, a.port + b.port + c.port >= 0)))",
  "has(effective.timeout)",
  "variables.v",
] as const;
const FAILING = new Set<string>(["object.nothing == 1", EXPRESSIONS[3]]);
const EXPRESSION = fc.constantFrom(...EXPRESSIONS);

const RULE: fc.Arbitrary<RuleText> = fc.record({
  conditions: fc.array(EXPRESSION, { maxLength: 2 }),
  variables: EXPRESSION.filter((text) => text !== "variables.v").map((v) => ({ v })),
  validations: fc.array(EXPRESSION, { minLength: 1, maxLength: 3 }),
  actions: fc.constantFrom<readonly RuleAction[]>(["Deny"], ["Warn"], ["Audit"], ["Deny", "Audit"]),
  exceptionsAllowed: fc.boolean(),
});

const RULES: fc.Arbitrary<readonly CompiledRule[]> = fc
  .array(RULE, { minLength: 1, maxLength: 6 })
  .map((texts) => texts.map((text, index) => rule({ ...text, name: `rule-${index}` })));

const SUBJECT = {
  ...service(),
  spec: { ports: Array.from({ length: 60 }, (_, index) => ({ port: index + 1 })) },
};
/** Enough for each rule by itself but those that loop. */
const LIMITS = { expression: 10_000, rule: 10_000, request: Number.POSITIVE_INFINITY };

function verdictOf(rules: readonly CompiledRule[], exceptions: readonly CompiledException[] = []) {
  const defaults = { ruleLimits: LIMITS };
  return judgedBy(ruledWorld([namespace("enforce")], { rules, exceptions, defaults }), SUBJECT);
}

describe("rules", () => {
  test("say the same in any order", () => {
    fc.assert(
      fc.property(
        RULES.chain((rules) =>
          fc.tuple(fc.constant(rules), fc.shuffledSubarray([...rules], { minLength: rules.length })),
        ),
        ([rules, shuffled]) => {
          const [one, other] = [verdictOf(rules), verdictOf(shuffled)];
          expect([other.allowed, other.findings, other.auditAnnotations]).toEqual([
            one.allowed,
            one.findings,
            one.auditAnnotations,
          ]);
          const byName = (results: typeof one.rules) => new Map(results?.map((result) => [result.rule, result]));
          expect(byName(other.rules)).toEqual(byName(one.rules));
        },
      ),
    );
  });

  test("of which one cannot be evaluated are never taken for passed, nor for no match", () => {
    fc.assert(
      fc.property(RULE, (text) => {
        const { conditions = [], variables = {}, validations } = text;
        const fails = (expression: unknown): boolean =>
          FAILING.has(expression === "variables.v" ? String(variables["v"]) : String(expression));
        const holds = (expression: string): boolean =>
          (expression === "variables.v" ? variables["v"] : expression) === "true";
        const [result] = verdictOf([rule(text)]).rules ?? [];
        const isUnmatched = conditions.some((one) => !fails(one) && !holds(one));
        if (isUnmatched) return;
        const cannotBeTold = conditions.some(fails) || validations.some((one) => fails(one));
        expect(result?.outcome === "error").toBe(cannotBeTold);
      }),
      { numRuns: 300 },
    );
  });

  test("let an exception end exactly when it says", () => {
    fc.assert(
      fc.property(fc.integer({ min: -2, max: 2 }), (fromNowMs) => {
        const denies = rule({ validations: ["false"], exceptionsAllowed: true });
        const { allowed } = verdictOf([denies], [exception({ expiresAtMs: NOW_MS + fromNowMs })]);
        expect(allowed).toBe(fromNowMs > 0);
      }),
    );
  });
});
