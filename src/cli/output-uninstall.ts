import type { UninstallResult } from "../uninstall.ts";

export const UNINSTALL_FORMATS = ["table", "json"] as const;
export type UninstallFormat = (typeof UNINSTALL_FORMATS)[number];

const WORDS: Readonly<Record<UninstallResult["result"], string>> = {
  planned: "to do",
  deleted: "deleted",
  changed: "changed",
  gone: "gone",
  kept: "kept",
  left: "LEFT",
};

/** One line an object and the sum; or an array of the results. */
export function renderUninstall(results: readonly UninstallResult[], format: UninstallFormat): string {
  if (format === "json") return `${JSON.stringify(results, null, 2)}\n`;
  if (results.length === 0) return "Nothing of Fairlead is in the cluster.\n";
  const rows = [["KIND", "NAMESPACE", "NAME", "RESULT", "WHAT"], ...results.map(rowOf)];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return `${lines.join("\n")}\n\n${sum(results)}\n`;
}

function rowOf(result: UninstallResult): readonly string[] {
  const { kind, apiVersion, namespace, name } = result;
  // Two groups have an HTTPRoute.
  const group = apiVersion.includes("/") ? `.${apiVersion.split("/")[0]}` : "";
  const shownKind = kind === "HTTPRoute" ? `${kind}${group}` : kind;
  return [shownKind, namespace || "-", name, WORDS[result.result], whatOf(result)];
}

function whatOf({ removed, restored, kept, message, result }: UninstallResult): string {
  const isWhole = result !== "left" && removed.length === 0 && Object.keys(restored).length === 0;
  const values = Object.entries(restored).map(([key, value]) => `${key}=${value}`);
  const parts = [
    isWhole && result !== "kept" ? "the whole object" : "",
    removed.length > 0 ? `remove ${removed.join(", ")}` : "",
    values.length > 0 ? `restore ${values.join(", ")}` : "",
    kept.length > 0 ? `keep ${kept.join(", ")} (edited since)` : "",
    message.replaceAll(/\s+/g, " "),
  ];
  return parts.filter((part) => part !== "").join("; ");
}

function sum(results: readonly UninstallResult[]): string {
  const counts = Object.entries(WORDS).flatMap(([result, word]) => {
    const count = results.filter((entry) => entry.result === result).length;
    return count === 0 ? [] : [`${count} ${word}`];
  });
  return `${results.length} objects: ${counts.join(", ")}`;
}
