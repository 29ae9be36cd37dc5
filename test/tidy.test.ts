import { spawnSync } from "node:child_process";
import { cpSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { staleFiles } from "../src/gen/all.ts";

const ROOT = join(import.meta.dirname, "..");
const SOURCES = globSync("src/**/*.ts", { cwd: ROOT }).sort();

/** The part of src that a file belongs to: its folder, or itself for a file of src. */
function partOf(file: string): string {
  return file.split("/")[1] ?? "";
}

/** Who may import whom (docs/architecture.md). Composition roots and development tools may import everything. */
const IMPORTS: Readonly<Record<string, readonly string[]>> = {
  api: [],
  core: ["api"],
  observe: [],
  k8s: ["api", "core"],
  controller: ["core", "k8s"],
  http: ["core", "observe"],
  gen: ["api", "core"],
  cli: ["api", "core", "config.ts", "main.ts", "observe", "uninstall.ts", "usage-error.ts"],
  "usage-error.ts": [],
};
const MAY_IMPORT_ALL = ["dev", "main.ts", "cli.ts", "config.ts", "uninstall.ts", "roles"];

/** The only folders that may import these packages. */
const PACKAGE_HOMES: Readonly<Record<string, readonly string[]>> = {
  "@bufbuild/cel-spec": [],
  "@bufbuild/protobuf": [],
  "@kubernetes/client-node": ["k8s"],
  "@opentelemetry/api": ["observe"],
  "@opentelemetry/exporter-trace-otlp-http": ["observe"],
  "@opentelemetry/resources": ["observe"],
  "@opentelemetry/sdk-trace": ["observe"],
  express: ["http"],
  pino: ["observe", "http", "controller", "roles", "main.ts"],
  "prom-client": ["observe"],
  "node-forge": ["controller", "dev"],
  commander: ["cli.ts"],
  rfc6902: ["cli"],
  re2js: ["core"],
};

function importsOf(file: string): readonly string[] {
  const text = readFileSync(join(ROOT, file), "utf8");
  return [...text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((match) => match[1] ?? "");
}

describe("imports run one way", () => {
  test.each(SOURCES)("%s", (file) => {
    const part = partOf(file);
    for (const specifier of importsOf(file)) {
      if (specifier.startsWith(".")) {
        const target = partOf(relative(ROOT, resolve(ROOT, dirname(file), specifier)));
        const allowed = MAY_IMPORT_ALL.includes(part) || target === part || IMPORTS[part]?.includes(target);
        expect(allowed, `${file} imports ${specifier}; ${part} may import ${IMPORTS[part]?.join(", ")}`).toBe(true);
      } else {
        const name = specifier
          .split("/")
          .slice(0, specifier.startsWith("@") ? 2 : 1)
          .join("/");
        expect(PACKAGE_HOMES[name] ?? [part], `${file} imports ${name}`).toContain(part);
      }
    }
  });
});

describe("sizes", () => {
  const lengths = SOURCES.map((file) => ({ file, lines: readFileSync(join(ROOT, file), "utf8").split("\n").length }));

  test("no file is longer than 400 lines", () => {
    expect(lengths.filter(({ lines }) => lines > 400)).toEqual([]);
  });

  test("the median is at most 120 lines", () => {
    const sorted = lengths.map(({ lines }) => lines).sort((a, b) => a - b);
    expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThanOrEqual(120);
  });

  test("at most 15 runtime dependencies, each with a line in the ADR", () => {
    const { dependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    const names = Object.keys(dependencies);
    expect(names.length).toBeLessThanOrEqual(15);
    const adr = globSync("docs/adr/*dependencies*.md", { cwd: ROOT }).map((file) =>
      readFileSync(join(ROOT, file), "utf8"),
    );
    expect(names.filter((name) => !adr.some((text) => text.includes(`\`${name}\``)))).toEqual([]);
  });
});

test("generated files are fresh", () => {
  expect(staleFiles()).toEqual([]);
});

test("nothing is left over", () => {
  const left = [...SOURCES, ...globSync("test/**/*.ts", { cwd: ROOT })]
    .filter((file) => file !== "test/tidy.test.ts")
    .filter((file) => /\b(?:TODO|FIXME|XXX)\b|\.(?:only|skip|todo)\(/.test(readFileSync(join(ROOT, file), "utf8")));
  expect(left).toEqual([]);
});

describe("the linter keeps core pure", () => {
  let directory: string;

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "fairlead-lint-"));
    cpSync(join(ROOT, ".oxlintrc.json"), join(directory, ".oxlintrc.json"));
    mkdirSync(join(directory, "src/core/mesh"), { recursive: true });
  });

  afterAll(() => {
    rmSync(directory, { recursive: true, force: true });
  });

  function lint(code: string): { readonly status: number | null; readonly stdout: string } {
    const file = join(directory, "src/core/mesh/subject.ts");
    writeFileSync(file, code);
    const oxlint = join(ROOT, "node_modules/.bin/oxlint");
    return spawnSync(oxlint, ["--deny-warnings", "src"], { cwd: directory, encoding: "utf8" });
  }

  test("a module of core may import its own", () => {
    expect(lint('import { a } from "../finding.ts";\nexport const b = a;\n').status).toBe(0);
  });

  test.each([
    ["a Node module", 'import { readFileSync } from "node:fs";\nexport const a = readFileSync;\n'],
    ["the Kubernetes client", 'import { b } from "../../k8s/client.ts";\nexport const a = b;\n'],
    ["a type of the log", 'import type { Log } from "../../observe/log.ts";\nexport type A = Log;\n'],
    ["a package", 'import pino from "pino";\nexport const a = pino;\n'],
    ["a re-export", 'export * from "../../http/server.ts";\n'],
    ["the clock", "export const a = Date.now();\n"],
    ["randomness", "export const a = Math.random();\n"],
    ["a .js file", 'import { a } from "../finding.js";\nexport const b = a;\n'],
  ])("refuses %s", (_, code) => {
    const { status, stdout } = lint(code);
    expect(status, stdout).toBe(1);
    expect(stdout).toContain("no-restricted");
  });
});
