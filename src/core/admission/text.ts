import { annotationKey, type Finding } from "../finding.ts";
import { WARNING_LENGTH_MAX, WARNINGS_MAX } from "../limits.ts";
import type { Mode } from "../names.ts";

/** A shorter rest of the message would say nothing. */
const MESSAGE_LENGTH_MIN = 24;
/**
 * Findings as warnings: one line each, at most 200 characters, at most 15 and then how many more there are. The API
 * server drops a warning with a line break without a word.
 */
export function warningTexts(findings: readonly Finding[], mode: Mode | undefined): readonly string[] {
  const shown = findings.filter((item) => item.severity === "warn" || mode === "warn");
  const lines = shown.slice(0, WARNINGS_MAX).map(warningText);
  const more = shown.length - lines.length;
  return more > 0 ? [...lines, `${more} more: fairlead review`] : lines;
}

/** What to do comes last and matters most, so what is too long loses the end of the message first. */
function warningText(item: Finding): string {
  const would = item.severity === "deny" ? "would be refused: " : "";
  const head = oneLine(`${item.code} ${would}${where(item)}`);
  const message = oneLine(item.message);
  const fix = oneLine(`; ${item.fix}`);
  const room = WARNING_LENGTH_MAX - head.length - fix.length;
  if (room >= message.length) return `${head}${message}${fix}`;
  const clause = message.slice(0, message.lastIndexOf("; ", room));
  if (message.lastIndexOf("; ", room) > 0) return `${head}${clause}${fix}`;
  return room >= MESSAGE_LENGTH_MIN
    ? `${head}${cut(message, room)}${fix}`
    : cut(`${head}${message}${fix}`, WARNING_LENGTH_MAX);
}

/** The text of a denial: every finding that denies, with its fix. */
export function denialText(subject: string, findings: readonly Finding[]): string {
  const denied = findings.filter((item) => item.severity === "deny");
  const count = denied.length === 1 ? "1 problem" : `${denied.length} problems`;
  return [`${subject} cannot be accepted, ${count}:`, ...denied.map(denialItem)].join("\n");
}

function denialItem(item: Finding): string {
  const excerpt = item.excerpt === undefined ? "" : `${item.excerpt.replaceAll(/^/gm, "  ")}\n`;
  return `- ${oneLine(`${where(item)}${item.message}`)} (${item.code})\n${excerpt}  fix: ${oneLine(item.fix)}`;
}

/** An annotation is named by its key alone: the key says where it is. */
function where(item: Finding): string {
  if (item.path === "") return "";
  return `${annotationKey(item.path) ?? item.path}: `;
}

function oneLine(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, " ");
}

function cut(text: string, length: number): string {
  if (text.length <= length) return text;
  return `${text.slice(0, length - 1).replace(/[\uD800-\uDBFF]$/u, "")}…`;
}
