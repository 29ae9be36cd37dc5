import { styleText } from "node:util";
import type { Miss } from "./expectations.ts";
import { jsonText } from "./json-text.ts";
import { lineDiff } from "./line-diff.ts";
import { escapeXml } from "./output-junit.ts";
import type { CaseResult } from "./test.ts";

export const TEST_FORMATS = ["table", "json", "junit"] as const;
export type TestFormat = (typeof TEST_FORMATS)[number];

type Renderer = (results: readonly CaseResult[], colour: boolean) => string;

const RENDERERS: Readonly<Record<TestFormat, Renderer>> = { table: renderTable, json: renderJson, junit: renderJunit };

/** Renders the results of `fairlead test`; `colour` only for a terminal. */
export function renderTest(results: readonly CaseResult[], format: TestFormat, colour: boolean): string {
  return RENDERERS[format](results, colour);
}

function renderTable(results: readonly CaseResult[], colour: boolean): string {
  const paint = (style: "green" | "red" | "bold", text: string): string =>
    colour ? styleText(style, text, { validateStream: false }) : text;
  const lines = suitesOf(results).flatMap(({ file, suite, cases }) => [
    paint("bold", suite === file ? file : `${file}: ${suite}`),
    ...cases.flatMap(({ name, line, misses }) =>
      misses.length === 0
        ? [paint("green", `  ok    ${name}`)]
        : [
            paint("red", `  MISS  ${name} (line ${line})`),
            ...misses.flatMap(missLines).map((text) => `        ${text}`),
          ],
    ),
    "",
  ]);
  const missed = results.filter(({ misses }) => misses.length > 0).length;
  const sum = `${results.length} ${results.length === 1 ? "case" : "cases"}, ${missed} not as expected`;
  return [...lines, paint(missed === 0 ? "green" : "red", sum), ""].join("\n");
}

/** `-` is what was expected and not found, `+` the reverse. */
function missLines({ field, expected, found }: Miss): readonly string[] {
  if (typeof found === "boolean") return [`${field}: expected ${String(expected)}, found ${found}`];
  return [`${field}:`, ...lineDiff(textOf(expected), textOf(found)).map((line) => line.trimEnd())];
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value.trimEnd() : value === undefined ? "nothing" : jsonText(value);
}

function renderJson(results: readonly CaseResult[]): string {
  const items = results.map(({ file, line, suite, name, misses, review: { result, message, stored } }) => {
    const { allowed, warnings, findings, patch } = result;
    const found = { allowed, message, warnings, findings, patch, stored: stored ?? null };
    return { file, line, suite, name, ok: misses.length === 0, misses, found };
  });
  return `${jsonText(items)}\n`;
}

function renderJunit(results: readonly CaseResult[]): string {
  const suites = suitesOf(results).map(({ file, suite, cases }) => {
    const failures = cases.filter(({ misses }) => misses.length > 0).length;
    const open = `  <testsuite name="${escapeXml(suite)}" file="${escapeXml(file)}" tests="${cases.length}" failures="${failures}">`;
    return [open, ...cases.map(junitCase), "  </testsuite>"].join("\n");
  });
  return ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>", ...suites, "</testsuites>", ""].join("\n");
}

function junitCase({ file, line, suite, name, misses }: CaseResult): string {
  const attributes = { classname: suite, name, file, line: String(line) };
  const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${escapeXml(value)}"`);
  const open = `    <testcase${written.join("")}`;
  if (misses.length === 0) return `${open}/>`;
  const text = misses.flatMap(missLines).join("\n");
  return `${open}><failure message="not as expected">${escapeXml(text)}</failure></testcase>`;
}

interface SuiteResults {
  readonly file: string;
  readonly suite: string;
  readonly cases: readonly CaseResult[];
}

/** The results by suite, in the order of the suites. */
function suitesOf(results: readonly CaseResult[]): readonly SuiteResults[] {
  const groups = Map.groupBy(results, ({ file, suite }) => JSON.stringify([file, suite]));
  return [...groups.values()].flatMap((cases) => {
    const [first] = cases;
    return first === undefined ? [] : [{ file: first.file, suite: first.suite, cases }];
  });
}
