import { spawnSync } from "node:child_process";
import { existsSync, globSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { FINDINGS } from "../src/core/findings.ts";
import { TARGET_KINDS } from "../src/core/names.ts";
import { STORY } from "../src/dev/demo/story.ts";
import { createAuditMetrics } from "../src/observe/audit-metrics.ts";
import { createControllerMetrics } from "../src/observe/controller-metrics.ts";
import { createMetrics } from "../src/observe/metrics.ts";

const ROOT = join(import.meta.dirname, "..");
const DOCS = globSync("**/*.md", {
  cwd: ROOT,
  exclude: (name) => /^(?:node_modules|coverage|dist|\..+)$/.test(name),
}).sort();

function read(file: string): string {
  return readFileSync(join(ROOT, file), "utf8");
}

/** Targets of `[text](target)`, without code, in which such text is no link. */
function linksOf(markdown: string): readonly string[] {
  const prose = markdown.replaceAll(/^```[\s\S]*?^```/gm, "").replaceAll(/`[^`\n]*`/g, "");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? "");
}

/** The anchors that GitHub makes of headings, and those written as HTML. */
function anchorsOf(markdown: string): readonly string[] {
  const headings = [...markdown.matchAll(/^#+ (.+)$/gm)].map((match) => match[1] ?? "");
  const made = headings.map((text) =>
    text
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, "")
      .trim()
      .replaceAll(" ", "-"),
  );
  return [...made, ...[...markdown.matchAll(/<a id="([^"]+)">/g)].map((match) => match[1] ?? "")];
}

describe.each(DOCS)("%s", (file) => {
  test("has only links that lead somewhere", () => {
    for (const link of linksOf(read(file)).filter((target) => !/^[a-z]+:/.test(target))) {
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? join(ROOT, file) : resolve(ROOT, dirname(file), path);
      expect(existsSync(target), `${link} in ${file}`).toBe(true);
      if (anchor !== undefined) expect(anchorsOf(readFileSync(target, "utf8")), `${link} in ${file}`).toContain(anchor);
    }
  });

  test("names no path of somebody's machine", () => {
    expect(read(file).match(/(?<![\w.~-])\/(?:home|root|Users|work|mnt|private)\/[^\s`)]*/g)).toBeNull();
  });

  test("names only findings that exist", () => {
    const named = read(file).match(/\bFL[0-9]{3}\b/g) ?? [];
    expect(named.filter((code) => !Object.hasOwn(FINDINGS, code))).toEqual([]);
  });
});

test("docs/errors.md has every finding", () => {
  const errors = read("docs/errors.md");
  expect(
    Object.keys(FINDINGS).filter((code) => !errors.includes(`<a id="${code.toLowerCase()}"></a>${code} |`)),
  ).toEqual([]);
});

test("docs/operations.md has every metric with its labels, and no other", async () => {
  const { registry } = createMetrics({
    knownKinds: TARGET_KINDS,
    meshVersions: () => [],
    stalenessSeconds: () => [],
    certificateNotAfterMs: () => undefined,
    nowMs: () => 0,
    processMetrics: false,
  });
  const notScraped = (): never => {
    throw new Error("not scraped");
  };
  createControllerMetrics(registry, notScraped);
  createAuditMetrics(registry, notScraped);
  const registered = registry.getMetricsAsArray().map((metric) => {
    const { labelNames = [] } = metric as unknown as { readonly labelNames?: readonly string[] };
    return `${metric.name}: ${labelNames.join(", ")}`;
  });
  const rows = [...read("docs/operations.md").matchAll(/^\| `(fairlead_\w+)` \| \w+ \| ([\w, ]*)\|/gm)];
  expect(rows.map((row) => `${row[1]}: ${(row[2] ?? "").trim()}`).sort()).toEqual(registered.sort());
});

test.each(["review", "plan"])("docs/%s.md has every flag of the command, and no other", (command) => {
  const { stdout } = spawnSync(process.execPath, ["src/cli.ts", command, "--help"], { cwd: ROOT, encoding: "utf8" });
  const known = [...stdout.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)]
    .map((match) => match[1])
    .filter((flag) => flag !== "--help");
  const table = [...read(`docs/${command}.md`).matchAll(/^\| `(?:-\w, )?(--[\w-]+)/gm)].map((match) => match[1] ?? "");
  expect(new Set(table)).toEqual(new Set(known));
});

test("the transcript in README.md tells the story of the demo", () => {
  const readme = read("README.md");
  const told = STORY.map(({ title, why }, index) =>
    [`${index + 1}. ${title}`, ...why.map((text) => `   ${text}`)].join("\n"),
  );
  expect(told.filter((text) => !readme.includes(text))).toEqual([]);
});

test.each([
  ["README.md", "review -f examples/refused"],
  ["README.md", "plan --mesh istio -f examples/breaker.yaml"],
  ["docs/istio.md", "plan -f examples/traffic-split.yaml"],
])("%s shows what `fairlead %s` prints; UPDATE=1 rewrites it", (file, command) => {
  const env = { ...process.env, NO_COLOR: "1", INIT_CWD: ROOT };
  const { stdout } = spawnSync(process.execPath, ["src/cli.ts", ...command.split(" ")], {
    cwd: ROOT,
    encoding: "utf8",
    env,
  });
  const head = `\`\`\`\n$ npm run -s fairlead -- ${command}\n`;
  const shown = `${head}${stdout}\`\`\`\n`;
  if (process.env["UPDATE"] === "1") {
    const [before = "", after = ""] = read(file).split(head);
    writeFileSync(join(ROOT, file), `${before}${shown}${after.replace(/^[\s\S]*?^```\n/m, "")}`);
  }
  expect(read(file)).toContain(shown);
});

test("the records of decisions are numbered without a gap", () => {
  const numbers = globSync("docs/adr/*.md", { cwd: ROOT })
    .sort()
    .map((path) => Number(path.slice("docs/adr/".length, -3).split("-")[0]));
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
});
