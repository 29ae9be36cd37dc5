import type { WorldDefaults } from "../core/world.ts";
import { type Explanation, explainRule } from "../core/rules/explain.ts";
import { UsageError } from "../usage-error.ts";
import type { InputObject } from "./input.ts";
import { namespaceOf } from "./file-world.ts";
import { requestFor, settle } from "./review.ts";

/** What every rule says about one object of the input, and why: an element of `explain -o json`. */
export interface ExplainedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly rules: readonly Explanation[];
}

export interface ExplainOptions {
  readonly defaults: WorldDefaults;
  readonly nowMs: number;
  /** Names of the rules that are wanted; none: all. */
  readonly names: readonly string[];
}

/** Explains the rules of the input on each of its objects, as it would be stored; throws a UsageError for a rule that is not there. */
export function explainObjects(input: readonly InputObject[], options: ExplainOptions): readonly ExplainedObject[] {
  const { defaults, nowMs, names } = options;
  const { world, mutated } = settle(
    input.map(({ object }) => object),
    defaults,
    nowMs,
  );
  const all = world.rules();
  const missing = names.find((name) => all.every((rule) => rule.name !== name));
  if (missing !== undefined || all.length === 0) {
    const known = all.map(({ name }) => name).join(", ");
    const found = missing === undefined ? "Found no rule in the input" : `Found no rule ${missing} in the input`;
    throw new UsageError(
      `${found}, wanted ${known === "" ? "an AdmissionRule beside the objects" : `one of ${known}`}`,
    );
  }
  const rules = names.length === 0 ? all : all.filter(({ name }) => names.includes(name));
  return mutated.map(({ object, stored }) => {
    const request = requestFor({ object: stored, oldObject: undefined, nowMs }, "rules-fail");
    const subject = { request, object: stored, oldObject: undefined, world };
    return {
      apiVersion: object.apiVersion ?? "",
      kind: object.kind ?? "",
      namespace: namespaceOf(object),
      name: object.metadata?.name ?? object.metadata?.generateName ?? "",
      rules: rules.map((rule) => explainRule(rule, subject)),
    };
  });
}
