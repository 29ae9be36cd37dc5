import { spawnSync } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { REGISTRATION_NAME } from "../../src/core/admission/registration.ts";
import { RIGHTS, ROLES } from "../../src/core/rights.ts";

const ROOT = join(import.meta.dirname, "..", "..");

function read(file: string): string {
  return readFileSync(join(ROOT, file), "utf8");
}

describe("the chart", () => {
  const templates = globSync("charts/fairlead/templates/*", { cwd: ROOT }).filter((file) => /\.\w+$/.test(file));

  test("has the version of the package", () => {
    const { version } = JSON.parse(read("package.json")) as { version: string };
    expect(parse(read("charts/fairlead/Chart.yaml"))).toMatchObject({ version, appVersion: version });
  });

  test("gives only flags that fairlead serve has", () => {
    const { stdout } = spawnSync(process.execPath, ["src/cli.ts", "serve", "--help"], { cwd: ROOT, encoding: "utf8" });
    const known = new Set([...stdout.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map((match) => match[1]));
    const given = templates.flatMap((file) => [...read(file).matchAll(/^ *- (--[\w-]+)/gm)].map((match) => match[1]));
    expect(given.length).toBeGreaterThan(9);
    expect(given.filter((flag) => !known.has(flag))).toEqual([]);
  });

  test("uses every value, and no other", () => {
    const [table = ""] = read("docs/chart.md").split("## What each role may do");
    const values = [...table.matchAll(/^\| `([\w.]+)` \|/gm)].map((match) => match[1] ?? "");
    const text = templates.map(read).join("\n");
    const parents = new Set(values.map((value) => value.slice(0, value.lastIndexOf("."))));
    const used = [...new Set([...text.matchAll(/\.Values\.([\w.]+)/g)].map((match) => match[1] ?? ""))];
    expect(used.filter((value) => !values.includes(value) && !parents.has(value))).toEqual([]);
    const unused = values.filter((value) => !text.includes(`.${value}`) && !text.includes(`.${lastOf(value)}`));
    expect(unused.filter((value) => !value.startsWith("certManager.issuerRef."))).toEqual([]);
  });
});

function lastOf(value: string): string {
  return value.slice(value.lastIndexOf(".") + 1);
}

describe("rights", () => {
  const everything = ROLES.flatMap((role) => RIGHTS[role]);

  test("are never for everything", () => {
    const words = everything.flatMap((right) => [right.apiGroup, ...right.resources, ...right.verbs]);
    expect(words.filter((word) => word.includes("*"))).toEqual([]);
  });

  test("to create are never by name, which RBAC would never match", () => {
    expect(everything.filter(({ verbs, resourceNames }) => verbs.includes("create") && resourceNames)).toEqual([]);
  });

  test("of admission are to read, and never a Secret", () => {
    const verbs = new Set(RIGHTS.admission.flatMap((right) => right.verbs));
    expect([...verbs].sort()).toEqual(["get", "list", "watch"]);
    expect(RIGHTS.admission.filter((right) => right.resources.includes("secrets"))).toEqual([]);
  });

  test("to Secrets and webhook configurations are by name and never to list", () => {
    const sensitive = everything.filter((right) =>
      right.resources.some((name) => /secrets|configurations$/.test(name)),
    );
    const named = sensitive.filter(({ verbs }) => !verbs.includes("create"));
    expect(named.map((right) => right.resourceNames?.join())).toEqual([
      REGISTRATION_NAME,
      REGISTRATION_NAME,
      "fairlead-path",
      "fairlead-ca,fairlead-tls",
    ]);
    expect(sensitive.filter(({ verbs }) => verbs.includes("list") || verbs.includes("watch"))).toEqual([]);
  });
});

test("the image is built from files that exist and that .dockerignore lets through", () => {
  const allowed = read(".dockerignore").match(/(?<=^!).+$/gm) ?? [];
  const copied = [...read("Dockerfile").matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((match) =>
    match[1]?.split(" "),
  );
  expect(new Set(copied)).toEqual(new Set(allowed));
  expect(allowed.filter((file) => !existsSync(join(ROOT, file)))).toEqual([]);
});
