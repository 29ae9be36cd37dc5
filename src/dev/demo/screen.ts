import { styleText } from "node:util";
import type { CommandResult } from "../control-plane/command.ts";

/** Longer values are cut: the record alone repeats every key. */
const VALUE_LENGTH_MAX = 72;

/** Annotations and labels of one object, labels as `label NAME`. */
export type Settings = Readonly<Record<string, string>>;

type Style = "bold" | "dim" | "green" | "red" | "yellow";

/** styleText itself looks at the terminal and at NO_COLOR. */
function paint(style: Style, text: string): string {
  return styleText(style, text);
}

function line(text = ""): void {
  process.stdout.write(`${text}\n`);
}

/** What the demo writes to standard output. */
export const screen = {
  line,
  heading: (text: string): void => line(paint("bold", text)),
  note: (text: string): void => line(`   ${text}`),
  good: (text: string): void => line(`   ${paint("green", text)}`),

  /** One thing that was started, and how long that took. */
  started: (what: string, ms: number): void => line(`   ${what} ${paint("dim", `(${seconds(ms)})`)}`),

  /** A kubectl command with all that it printed, in kubectl's own words. */
  command(args: readonly string[], result: CommandResult, ms: number): void {
    line(`   ${paint("bold", `$ kubectl ${args.map(quoted).join(" ")}`)} ${paint("dim", `(${Math.round(ms)} ms)`)}`);
    for (const text of printed(result)) line(`     ${coloured(text, result.code)}`);
  },

  /** The settings that were added, replaced and removed. */
  difference(before: Settings, after: Settings): void {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
    const changed = keys.filter((key) => before[key] !== after[key]);
    if (changed.length === 0) line(`     ${paint("dim", "no annotation or label differs")}`);
    for (const key of changed) {
      if (before[key] !== undefined) line(`     ${paint("red", `- ${key}: ${cut(before[key])}`)}`);
      if (after[key] !== undefined) line(`     ${paint("green", `+ ${key}: ${cut(after[key])}`)}`);
    }
  },
};

export function seconds(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

/** As it would be typed into a shell. */
function quoted(arg: string): string {
  return /^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg}'`;
}

/** With `-o json` standard output is an object for the program, not for the reader. */
function printed({ stdout, stderr }: CommandResult): readonly string[] {
  const shown = stdout.startsWith("{") ? stderr : stderr + stdout;
  return shown.split("\n").filter((text) => text !== "");
}

function coloured(text: string, code: number): string {
  if (text.startsWith("Warning:")) return paint("yellow", text);
  return code === 0 || / (created|unchanged|configured)$/.test(text) ? text : paint("red", text);
}

function cut(value: string): string {
  return value.length <= VALUE_LENGTH_MAX ? value : `${value.slice(0, VALUE_LENGTH_MAX - 1)}…`;
}
