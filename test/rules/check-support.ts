import { type Checked, check } from "../../src/core/rules/cel/check.ts";
import type { CheckEnvironment } from "../../src/core/rules/cel/check-scope.ts";
import { parse } from "../../src/core/rules/cel/parser.ts";
import { formatProblems } from "../../src/core/rules/cel/problems.ts";
import { STANDARD } from "../../src/core/rules/cel/standard.ts";
import { kubernetesLibraries } from "../../src/core/rules/library/all.ts";
import { readType, typeText } from "../../src/core/rules/cel/type-text.ts";
import type { Type } from "../../src/core/rules/cel/types.ts";
import type { Shape } from "../../src/core/rules/schema-shape.ts";
import { shapeType } from "../../src/core/rules/schema-types.ts";
import { SERVICE } from "../../src/core/rules/schemas/service.ts";

const EXTRA: Shape = {
  "a-b": "string:10",
  namespace: "string",
  items: ["string:20", 5],
  when: "timestamp",
  wait: "duration",
  ratio: "double",
  data: "bytes",
  nested: [{ names: ["string:8", 3] }, 4],
  tags: { "*7": "string:9" },
};

/** A Service with a field of every form, as `object` and `oldObject`. */
export const SHAPE: Shape = { ...(SERVICE as Readonly<Record<string, Shape>>), extra: EXTRA };
const OBJECT = shapeType(SHAPE, "Service");

const VARIABLES: Readonly<Record<string, Type>> = Object.fromEntries(
  Object.entries({
    i: "int",
    u: "uint",
    d: "double",
    s: "string",
    b: "bool",
    x: "dyn",
    t: "timestamp",
    du: "duration",
    by: "bytes",
    ls: "list(string)",
    li: "list(int)",
    ld: "list(dyn)",
    m: "map(string, string)",
    mi: "map(string, int)",
    oi: "optional_type(int)",
    os: "optional_type(string)",
  }).map(([name, type]) => [name, readType(type)]),
);

export const ENVIRONMENT: CheckEnvironment = {
  variables: { object: OBJECT, oldObject: OBJECT, ...VARIABLES },
  libraries: [STANDARD, ...kubernetesLibraries("1.36")],
};

/** Parses and checks. */
export function checkText(text: string, environment: Partial<CheckEnvironment> = {}): Checked {
  const parsed = parse(
    text,
    ENVIRONMENT.libraries.flatMap(({ macros = [] }) => macros),
  );
  if (!parsed.ok) throw new Error(`Cannot parse ${text}: ${parsed.problem.message}`);
  return check(parsed.expression, text, { ...ENVIRONMENT, ...environment });
}

/** The type, or the problems as they are printed. */
export function outcome(text: string, environment: Partial<CheckEnvironment> = {}): string {
  const { problems, type } = checkText(text, environment);
  return problems.length > 0 ? formatProblems(text, problems) : typeText(type);
}
