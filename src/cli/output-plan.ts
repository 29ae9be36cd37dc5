import { styleText } from "node:util";
import { stringify } from "yaml";
import {
  type Change,
  type PlannedCarrier,
  type PlannedSide,
  type PlannedTarget,
  policyOf,
  type SectionInForce,
  withoutMembers,
} from "../core/plan/compare.ts";
import type { Json } from "../core/rules/shown-settings.ts";
import { jsonText } from "./json-text.ts";
import { lineDiff } from "./line-diff.ts";
import type { Plan } from "./plan.ts";
import type { Review } from "./review.ts";

export const PLAN_FORMATS = ["text", "json"] as const;
export type PlanFormat = (typeof PLAN_FORMATS)[number];

type Style = "green" | "red" | "yellow" | "bold" | "dim";
type Paint = (style: Style, text: string) => string;

/** So many lines around each change, as `diff -u` shows them. */
const CONTEXT_LINES = 3;

/** Renders a plan; `colour` only for a terminal. */
export function renderPlan({ targets, reviews }: Plan, format: PlanFormat, colour: boolean): string {
  if (format === "json") return `${jsonText({ targets, writes: reviews.map(({ result }) => result) })}\n`;
  const paint: Paint = (style, text) => (colour ? styleText(style, text, { validateStream: false }) : text);
  const blocks = [
    ...reviews.map((review) => writeLines(review, paint)),
    ...targets.map((target) => targetLines(target, paint)),
  ].filter((lines) => lines.length > 0);
  return [...blocks.map((lines) => lines.join("\n")), `${summary(targets, reviews)}\n`].join("\n\n");
}

/** Only what the writer would be told. */
function writeLines({ result, message }: Review, paint: Paint): readonly string[] {
  const { kind, namespace, name, warnings, allowed } = result;
  if (allowed && warnings.length === 0) return [];
  return [
    paint("bold", `${kind} ${namespace}/${name}${allowed ? "" : ", refused"}`),
    ...warnings.map((warning) => paint("yellow", `  Warning: ${warning}`)),
    ...message.split("\n").flatMap((text) => (text === "" ? [] : [paint("red", `  ${text}`)])),
  ];
}

const WORDS: Readonly<Record<Change, string>> = {
  none: "as before",
  add: "to add",
  change: "to change",
  remove: "to remove",
};

function targetLines(target: PlannedTarget, paint: Paint): readonly string[] {
  const { kind, namespace, name, change, before, after, carriers, findings } = target;
  if (change === "none" && findings.length === 0) return [];
  return [
    paint("bold", `${kind} ${namespace}/${name}, ${WORDS[change]} (${meshText(before, after)})`),
    ...sectionLines(before, after, paint),
    ...carriers.flatMap((carrier) => carrierLines(carrier, target, paint)),
    ...findings.flatMap(({ code, path, message, fix }) => [
      paint("yellow", `  ${code} ${path === "" ? "" : `${path}: `}${message}`),
      `    fix: ${fix}`,
    ]),
  ];
}

function meshText(before: PlannedSide | null, after: PlannedSide | null): string {
  const texts = [before, after].flatMap((side) =>
    side === null ? [] : `${String(side.mesh["name"])} ${String(side.mesh["version"])}`,
  );
  return [...new Set(texts)].join(" -> ");
}

/** Sections that change, each as a whole. */
function sectionLines(before: PlannedSide | null, after: PlannedSide | null, paint: Paint): readonly string[] {
  const [old, now] = [before?.inForce ?? {}, after?.inForce ?? {}];
  const lines = Object.keys({ ...old, ...now }).flatMap((section) => {
    const [from, to] = [sectionText(section, old), sectionText(section, now)];
    return from === to ? [] : difference(from, to);
  });
  return lines.length === 0 ? [] : ["  in force:", ...lines.map((line) => painted(line, paint))];
}

/** YAML, with who asked for it; empty where the section is not in force. */
function sectionText(section: string, inForce: Json): string {
  const value = inForce[section] as SectionInForce | undefined;
  if (value === undefined) return "";
  const policy = policyOf(value);
  const source = policy === "" ? "written by hand" : `ResiliencePolicy ${policy}`;
  return `${section}: # ${source}\n${indented(yaml(withoutMembers(value, ["policy", "revision"])))}`;
}

function carrierLines(carrier: PlannedCarrier, target: PlannedTarget, paint: Paint): readonly string[] {
  const { kind, group, name, change, before, after } = carrier;
  if (change === "none") return [];
  const isTarget = kind === target.kind && group === target.group && name === target.name;
  const head = isTarget ? `  annotations of ${kind} ${name}:` : `  ${kind} ${name} (${group}), ${WORDS[change]}:`;
  const text = (content: Json | null): string => {
    if (content === null) return "";
    return yaml(isTarget ? content["annotations"] : content);
  };
  return [head, ...withContext(difference(text(before), text(after))).map((line) => painted(line, paint))];
}

function yaml(value: unknown): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false }).trimEnd();
}

/** As `diff` marks lines, in the first column, so that a pull request can show them in colour. */
function difference(before: string, after: string): readonly string[] {
  if (before === "")
    return indented(after)
      .split("\n")
      .map((line) => `+ ${line}`);
  if (after === "")
    return indented(before)
      .split("\n")
      .map((line) => `- ${line}`);
  return lineDiff(indented(before), indented(after));
}

function indented(text: string): string {
  return text.replaceAll(/^/gm, "  ");
}

function withContext(lines: readonly string[]): readonly string[] {
  const isNear = (index: number): boolean =>
    lines.slice(Math.max(0, index - CONTEXT_LINES), index + CONTEXT_LINES + 1).some((line) => !line.startsWith(" "));
  const shown: string[] = [];
  for (const [index, line] of lines.entries()) {
    if (isNear(index)) shown.push(line);
    else if (shown.at(-1) !== ELLIPSIS) shown.push(ELLIPSIS);
  }
  return shown;
}

const ELLIPSIS = "    …";

function painted(line: string, paint: Paint): string {
  if (line.startsWith("+")) return paint("green", line);
  return line.startsWith("-") ? paint("red", line) : line;
}

function summary(targets: readonly PlannedTarget[], reviews: readonly Review[]): string {
  const counts = (["add", "change", "remove", "none"] as const).map(
    (change) => `${targets.filter((target) => target.change === change).length} ${WORDS[change]}`,
  );
  const refused = reviews.filter(({ result }) => !result.allowed).length;
  const targetsText = `${targets.length} ${targets.length === 1 ? "target" : "targets"}: ${counts.join(", ")}`;
  return refused === 0 ? targetsText : `${targetsText}; ${refused} ${refused === 1 ? "write" : "writes"} refused`;
}
