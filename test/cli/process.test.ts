import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { parse } from "yaml";

const CLI = join(import.meta.dirname, "../../src/cli.ts");
const directory = mkdtempSync(join(tmpdir(), "fairlead-cli-"));
afterAll(() => rmSync(directory, { recursive: true }));

const GOOD = "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: iam}\nspec: {ports: [{port: 80}]}\n";
const BAD = GOOD.replace("namespace: iam", 'namespace: iam, annotations: {retry.linkerd.io/http: "5xx, 429"}');
writeFileSync(join(directory, "good.yaml"), GOOD);
writeFileSync(join(directory, "bad.yaml"), BAD);
const POLICY = `apiVersion: fairlead.dev/v1alpha1
kind: ResiliencePolicy
metadata: {name: a, namespace: iam}
spec: {targetRefs: [{kind: Service, name: a}], timeout: {request: 2s}}
`;
writeFileSync(join(directory, "policy.yaml"), POLICY);
const SUITE =
  "apiVersion: cli.fairlead.dev/v1alpha1\nkind: Test\ncases:\n- {name: a, object: bad.yaml, expect: {allowed: false}}\n";
const RULE = `apiVersion: fairlead.dev/v1alpha1
kind: AdmissionRule
metadata: {name: named-ports}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: ["*"], resources: [services]}]}
  validations: [{expression: "object.spec.ports.all(port, has(port.name))"}]
`;
writeFileSync(join(directory, "rule.yaml"), RULE);
writeFileSync(join(directory, "wrong-rule.yaml"), RULE.replace("spec.ports", "spec.prots"));
writeFileSync(join(directory, "fairlead-test.yaml"), SUITE);
writeFileSync(join(directory, "missed.yaml"), SUITE.replace("allowed: false", "allowed: true"));
writeFileSync(join(directory, "broken.yaml"), `${GOOD}---\nkind: {\n`);

interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Options {
  readonly stdin?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/** The CLI as a process of its own; never a terminal. */
async function fairlead(
  args: readonly string[],
  { stdin = "", env = {}, cwd = directory }: Options = {},
): Promise<Run> {
  const { INIT_CWD: _, ...inherited } = process.env;
  const child = spawn(process.execPath, [CLI, ...args], { cwd, env: { ...inherited, ...env } });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
  child.stdin.on("error", () => undefined).end(stdin);
  const { promise, resolve } = Promise.withResolvers<number | null>();
  child.on("close", resolve);
  return { code: await promise, ...output };
}

const REVIEW: Readonly<Record<string, readonly [args: readonly string[], code: number]>> = {
  "all allowed": [["review", "-f", "good.yaml"], 0],
  "something denied": [["review", "-f", "good.yaml", "-f", "bad.yaml"], 1],
  "one -f with two files": [["review", "-f", "good.yaml", "bad.yaml"], 1],
  "denied in warn mode is allowed": [["review", "--mode", "warn", "-f", "bad.yaml"], 0],
  "denied in audit mode is allowed": [["review", "--mode", "audit", "-f", "bad.yaml"], 0],
  "an old Linkerd does not read it": [["review", "--mesh-version", "2.15", "-f", "bad.yaml"], 0],
  "Istio does not read it": [["review", "--mesh", "istio", "-f", "bad.yaml"], 0],
  "every test as expected": [["test", "."], 0],
  "a test that is not as expected": [["test", "fairlead-test.yaml", "missed.yaml"], 1],
  "a rule that is explained": [["explain", "-f", "rule.yaml", "good.yaml"], 0],
  "a rule that denies": [["review", "-f", "rule.yaml", "good.yaml"], 1],
  "a plan that changes nothing": [["plan", "-f", "good.yaml"], 0],
  "a plan that changes something": [["plan", "--before", "good.yaml", "-f", "policy.yaml"], 1],
  "a plan that takes something away": [
    ["plan", "--before", "good.yaml", "policy.yaml", "-f", "good.yaml", "--prune"],
    1,
  ],
  "a plan with a write that is refused": [["plan", "--before", "good.yaml", "-f", "policy.yaml", "bad.yaml"], 3],
  help: [["review", "--help"], 0],
  "help of all": [["--help"], 0],
};

test.concurrent.each(Object.entries(REVIEW))("exit status: %s", async (_, [args, code]) => {
  const run = await fairlead(args);
  expect(run).toMatchObject({ code, stderr: "" });
  expect(run.stdout).not.toBe("");
});

const USAGE: Readonly<Record<string, readonly [args: readonly string[], stderr: RegExp]>> = {
  "no command": [[], /^Usage: fairlead/],
  "an unknown command": [["reviews"], /unknown command/],
  "an unknown flag": [["review", "-f", "good.yaml", "--fast"], /unknown option '--fast'/],
  "no file": [["review"], /required option/],
  "-f without a name": [["review", "-f"], /argument missing/],
  "a file that is not there": [["review", "-f", "nothing.yaml"], /^fairlead: Cannot read nothing\.yaml: ENOENT/],
  "a broken file after a good one": [["review", "-f", "good.yaml", "broken.yaml"], /^fairlead: broken\.yaml:[67]: /],
  "a suite that is none": [
    ["test", "good.yaml"],
    /^fairlead: good\.yaml:1: Found kind Service of v1, wanted kind Test/,
  ],
  "explain without a rule": [["explain", "-f", "good.yaml"], /^fairlead: Found no rule in the input/],
  "a rule that does not compile": [
    ["review", "-f", "wrong-rule.yaml", "good.yaml"],
    /^fairlead: wrong-rule\.yaml:6: AdmissionRule named-ports: .*undefined field 'prots'.*\n \| object/,
  ],
  "a plan from a file that is not there": [
    ["plan", "--before", "nothing.yaml", "-f", "good.yaml"],
    /^fairlead: Cannot read nothing\.yaml: ENOENT/,
  ],
  "a plan with a rule before that does not compile": [
    ["plan", "--before", "wrong-rule.yaml", "-f", "good.yaml"],
    /^fairlead: wrong-rule\.yaml:6: AdmissionRule named-ports/,
  ],
  "test without a path": [["test"], /missing required argument 'path'/],
  "an unknown format": [["review", "-f", "good.yaml", "-o", "xml"], /table, json, junit, sarif/],
  "an unknown mode": [["review", "-f", "good.yaml", "--mode", "strict"], /enforce, warn, audit/],
  "an unknown mesh": [
    ["review", "-f", "good.yaml", "--mesh", "consul"],
    /^fairlead: Found --mesh consul, wanted Linkerd or Istio\n$/,
  ],
  "an unknown version": [
    ["review", "-f", "good.yaml", "--mesh-version", "1.8"],
    /^fairlead: Found --mesh-version 1\.8/,
  ],
  "a port that is none": [["serve", "--port", "http"], /^fairlead: Found the port http/],
  "a client CA that is not there": [
    ["serve", "--client-ca", "ca.pem"],
    /^fairlead: Cannot read --client-ca ca\.pem: ENOENT/,
  ],
};

test.concurrent.each(Object.entries(USAGE))("exit status 2 and nothing on stdout: %s", async (_, [args, stderr]) => {
  const run = await fairlead(args);
  expect(run).toMatchObject({ code: 2, stdout: "" });
  expect(run.stderr).toMatch(stderr);
  expect(run.stderr).not.toContain("    at ");
});

test("- reads standard input", async () => {
  const run = await fairlead(["review", "-f", "-", "-o", "json"], { stdin: BAD });
  expect(run).toMatchObject({ code: 1, stderr: "" });
  expect(JSON.parse(run.stdout)).toMatchObject([
    { kind: "Service", namespace: "iam", name: "a", allowed: false, patch: [] },
  ]);
});

test("broken standard input is named", async () => {
  const run = await fairlead(["review", "-f", "-"], { stdin: "a: [" });
  expect(run).toMatchObject({ code: 2, stdout: "" });
  expect(run.stderr).toMatch(/^fairlead: <stdin>:1: /);
});

test("empty standard input is no object", async () => {
  expect(await fairlead(["review", "-f", "-"])).toMatchObject({ code: 2, stdout: "" });
});

test("relative paths are relative to INIT_CWD, where npm was called", async () => {
  const run = await fairlead(["review", "-f", "good.yaml"], { cwd: "/", env: { INIT_CWD: directory } });
  expect(run).toMatchObject({ code: 0, stderr: "" });
});

test.each([{}, { NO_COLOR: "1" }, { FORCE_COLOR: "1" }])("no colour where stdout is no terminal: %j", async (env) => {
  const run = await fairlead(["review", "-f", "bad.yaml"], { env });
  expect(run.stdout).not.toContain("\u001b");
  expect(run.stdout).toContain("Service  iam        a     denied");
  expect(run.stdout).toContain("- retry.linkerd.io/http: Found item");
  expect(run.stdout).toContain('fix: write "5xx,429"');
});

test("equal input gives equal bytes", async () => {
  const [first, second] = await Promise.all([
    fairlead(["review", "-f", ".", "-o", "json"]),
    fairlead(["review", "-f", ".", "-o", "json"]),
  ]);
  expect(first).toEqual(second);
});

test("a list of aliases that cannot be expanded is unreadable input", async () => {
  const bomb = [
    "- &a [x, x, x, x, x, x, x, x, x, x]",
    ...["ab", "bc", "cd", "de", "ef"].map(
      ([from, to]) => `- &${to} [${Array.from({ length: 10 }, () => `*${from}`).join(", ")}]`,
    ),
  ];
  const run = await fairlead(["review", "-f", "-"], { stdin: `${bomb.join("\n")}\n` });
  expect(run.code).toBe(2);
});

test("a reader that closes early is no error", async () => {
  writeFileSync(
    join(directory, "many.json"),
    JSON.stringify({ apiVersion: "v1", kind: "List", items: Array(2_000).fill(parse(GOOD)) }),
  );
  const child = spawn(process.execPath, [CLI, "review", "-f", "many.json", "-o", "json"], {
    cwd: directory,
    env: { ...process.env, INIT_CWD: directory },
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdout.once("data", () => child.stdout.destroy());
  const ended = await once(child, "close");
  expect(stderr).toBe("");
  expect(ended).toEqual([0, null]);
});

const NO_CLUSTER = { KUBECONFIG: "", KUBERNETES_SERVICE_HOST: "" };

test.each([
  [
    [],
    "fairlead: Cannot find a cluster: no kubeconfig was given and KUBERNETES_SERVICE_HOST is not set; outside a pod, ",
  ],
  [["--kubeconfig", "nothing"], "fairlead: Cannot use kubeconfig nothing: ENOENT"],
  [["--kubeconfig", "broken.yaml"], "fairlead: Cannot use kubeconfig broken.yaml: "],
])("serve without a cluster fails with a hint: %j", async (args, stderr) => {
  const run = await fairlead(["serve", ...args], { env: NO_CLUSTER });
  expect(run).toMatchObject({ code: 1, stdout: "" });
  expect(run.stderr).toContain(stderr);
  expect(run.stderr.trimEnd().split("\n")).toHaveLength(1);
});

test("serve ends at SIGTERM also while it starts", async () => {
  const asked = Promise.withResolvers<void>();
  // An API server that takes connections and never says a word.
  const mute = createServer(() => asked.resolve()).listen(0, "127.0.0.1");
  await once(mute, "listening");
  const server = `https://127.0.0.1:${(mute.address() as AddressInfo).port}`;
  const kubeconfig = {
    "current-context": "mute",
    contexts: [{ name: "mute", context: { cluster: "mute", user: "mute" } }],
    clusters: [{ name: "mute", cluster: { server } }],
    users: [{ name: "mute", user: {} }],
  };
  writeFileSync(join(directory, "mute.kubeconfig"), JSON.stringify(kubeconfig));
  const child = spawn(process.execPath, [CLI, "serve", "--kubeconfig", "mute.kubeconfig"], { cwd: directory });
  const ended = once(child, "close");
  try {
    await asked.promise;
    const startMs = performance.now();
    child.kill("SIGTERM");
    expect(await ended).toEqual([0, null]);
    expect(performance.now() - startMs).toBeLessThan(10_000);
  } finally {
    child.kill("SIGKILL");
    await ended;
    mute.close();
  }
});
