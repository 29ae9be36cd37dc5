import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, expect, test } from "vitest";
import { renderUninstall } from "../../src/cli/output-uninstall.ts";
import { confirmed } from "../../src/cli/uninstall.ts";
import { type CommandResult, runCommand } from "../../src/dev/control-plane/command.ts";
import type { UninstallResult } from "../../src/uninstall.ts";

const ROOT = join(import.meta.dirname, "../..");

/** Without a cluster and without a terminal. */
function uninstall(...flags: string[]): Promise<CommandResult> {
  const command = [process.execPath, join(ROOT, "src/cli.ts"), "uninstall", ...flags] as const;
  return runCommand([...command], { directory: ROOT, kubeconfigPath: "" });
}

describe("bad usage ends with 2 and says what is wanted, before anything is read", () => {
  test.each([
    [
      [],
      /^fairlead: Cannot ask before writing: standard input is no terminal; look at --dry-run first, then give --yes\n/,
    ],
    [["--dry-run", "--timeout", "soon"], /^fairlead: Found --timeout soon, wanted a duration such as /],
    [["--dry-run", "-o", "yaml"], /argument 'yaml' is invalid. Allowed choices are table, json/],
    [["--dry-run", "--mesh-version", "1.8"], /^fairlead: Found --mesh-version 1\.8, wanted /],
    [["--all"], /unknown option '--all'/],
  ])("%j", async (flags, stderr) => {
    const run = await uninstall(...flags);
    expect(run).toMatchObject({ code: 2, stdout: "" });
    expect(run.stderr).toMatch(stderr);
  });
});

test("a cluster that cannot be found or reached ends with 1 and one line", async () => {
  const missing = await uninstall("--dry-run");
  expect(missing).toMatchObject({ code: 1, stdout: "" });
  expect(missing.stderr).toMatch(/^fairlead: Cannot find a cluster: .* set KUBECONFIG\n$/);
  const unreadable = await uninstall("--dry-run", "--kubeconfig", "nothing");
  expect(unreadable).toMatchObject({ code: 1, stdout: "" });
  expect(unreadable.stderr).toMatch(/^fairlead: Cannot use kubeconfig nothing: ENOENT.*\n$/);
});

describe("the question", () => {
  test.each([
    ["y\n", true],
    [" YES \n", true],
    ["n\n", false],
    ["\n", false],
    ["yesterday\n", false],
    ["", false],
  ])("%j", async (answer, expected) => {
    const input = new PassThrough();
    const output = new PassThrough();
    const answered = confirmed("Take this back? [y/N] ", input, output);
    input.end(answer);
    expect(await answered).toBe(expected);
    output.end();
    expect(await text(output)).toBe("Take this back? [y/N] ");
  });
});

const NOTHING = { removed: [], restored: {}, kept: [], message: "" };
const RESULTS: readonly UninstallResult[] = [
  {
    ...NOTHING,
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    namespace: "",
    name: "fairlead",
    result: "deleted",
  },
  {
    apiVersion: "v1",
    kind: "Service",
    namespace: "iam",
    name: "web",
    result: "changed",
    removed: ["fairlead.dev/injected"],
    restored: { "timeout.linkerd.io/idle": "9s" },
    kept: ["timeout.linkerd.io/request"],
    message: "",
  },
  {
    ...NOTHING,
    apiVersion: "policy.linkerd.io/v1beta3",
    kind: "HTTPRoute",
    namespace: "iam",
    name: "web",
    result: "left",
    removed: ["fairlead.dev/injected"],
    message: "refused,\n\tby somebody",
  },
  { ...NOTHING, apiVersion: "v1", kind: "Secret", namespace: "f", name: "x", result: "kept", message: "Another's" },
];

test("one line an object, and the sum", () => {
  expect(renderUninstall(RESULTS, "table").split("\n")).toEqual([
    "KIND                          NAMESPACE  NAME      RESULT   WHAT",
    "MutatingWebhookConfiguration  -          fairlead  deleted  the whole object",
    "Service                       iam        web       changed  remove fairlead.dev/injected; restore timeout.linkerd.io/idle=9s; keep timeout.linkerd.io/request (edited since)",
    "HTTPRoute.policy.linkerd.io   iam        web       LEFT     remove fairlead.dev/injected; refused, by somebody",
    "Secret                        f          x         kept     Another's",
    "",
    "4 objects: 1 deleted, 1 changed, 1 kept, 1 LEFT",
    "",
  ]);
  expect(renderUninstall([], "table")).toBe("Nothing of Fairlead is in the cluster.\n");
});

test("json is an array of the results, also of none", () => {
  expect(JSON.parse(renderUninstall(RESULTS, "json"))).toEqual(RESULTS);
  expect(renderUninstall([], "json")).toBe("[]\n");
});

test("docs/operations.md has every flag, and no other", async () => {
  const { stdout } = await uninstall("--help");
  const known = [...stdout.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map((match) => match[1]);
  const section = readFileSync(join(ROOT, "docs/operations.md"), "utf8")
    .split(/^## /m)
    .find((it) => it.startsWith("Uninstall"));
  const table = [...(section ?? "").matchAll(/^\| (`-.*?) \|/gm)].flatMap(
    (row) => (row[1] ?? "").match(/--[\w-]+/g) ?? [],
  );
  expect(new Set(table)).toEqual(new Set(known.filter((flag) => flag !== "--help")));
});
