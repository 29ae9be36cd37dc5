import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, describe, expect, test } from "vitest";
import { resolveBinary } from "../../src/dev/control-plane/binaries.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { ROOT } from "./support.ts";

const CLI = join(ROOT, "src", "cli.ts");
/** A machine without binaries builds them first. */
const BUILD_TIMEOUT_MS = 40 * 60_000;

const directories: string[] = [];
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

function emptyDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "fairlead-demo-test-"));
  directories.push(directory);
  return directory;
}

interface Demo {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the demo from another directory, as an installed program would be run. */
async function demo(
  args: readonly string[],
  options: { readonly env?: NodeJS.ProcessEnv; readonly endWhen?: RegExp } = {},
): Promise<Demo> {
  const child = spawn(process.execPath, [CLI, "demo", ...args], {
    cwd: tmpdir(),
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const { endWhen } = options;
  let seen = "";
  child.stdout.on("data", (chunk: Buffer) => {
    if (endWhen === undefined || endWhen.test(seen)) return;
    seen += chunk.toString();
    if (endWhen.test(seen)) child.kill("SIGINT");
  });
  const closed = new Promise<number | null>((resolve) => child.once("close", resolve));
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  return { code, stdout, stderr };
}

/** Nothing of the control plane is left: neither its directory nor a process that names it. */
async function expectNothingLeft(stdout: string): Promise<void> {
  const log = /log of Fairlead: (\S+)/.exec(stdout)?.[1] ?? "";
  expect(log).toMatch(/fairlead\.log$/);
  const directory = dirname(log);
  await waitFor("the processes to end", () => processesNaming(directory).length === 0);
  expect(existsSync(directory)).toBe(false);
}

function processesNaming(directory: string): readonly string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => commandLine(pid))
    .filter((line) => line.includes(directory));
}

/** Empty for a process that has just ended. */
function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

describe("fairlead demo", () => {
  test("--once tells the whole story, exits with 0 and leaves nothing behind", {
    timeout: BUILD_TIMEOUT_MS,
  }, async () => {
    const { code, stdout, stderr } = await demo(["--once"]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
    for (const line of [
      "   $ kubectl apply -f examples/iam-policy-service/service.yaml -o json",
      "     + retry.linkerd.io/http: gateway-error,429\n",
      '     Error from server (Forbidden): error when creating "examples/refused/service.yaml": ' +
        'admission webhook "services.fairlead.dev" denied the request: Service checkout/cart cannot be accepted, 3 problems:\n',
      '       fix: write "5xx,429"\n',
      "     Warning: FL401 would be refused: timeout.linkerd.io/request: ",
      "     Service policy-service does not exist in namespace iam-policy-service; create what is missing, or correct",
      "     + timeout.linkerd.io/request: 2500ms\n",
      "     - balancer.linkerd.io/failure-accrual-consecutive-max-failures: 7\n",
      "     - timeout.linkerd.io/request: 10000ms\n     + timeout.linkerd.io/request: 5000ms\n",
      "     Warning: FL504 retry.linkerd.io/limit: ",
      "Somebody changed what ResiliencePolicy sessions had set; it is put back\n",
      "     stock-stock-fairlead-rest ",
      "   equal to the manifest, but for the limit that was removed by hand\n",
      "Service warehouse/stock: rule request-timeout: the request timeout in force is 120s, wanted at most 30s",
      "11 of 11 steps went as told, in ",
    ]) {
      expect(stdout).toContain(line);
    }
    expect(stdout).not.toContain("\u001B");
    await expectNothingLeft(stdout);
  });

  test("stays up, prints a kubeconfig, and is gone after Ctrl-C", async () => {
    const { code, stdout } = await demo([], { endWhen: /\/metrics \| grep/ });
    expect(stdout).toMatch(/^ {2}export KUBECONFIG=\S+$/m);
    expect(stdout).toContain("Stopping.");
    expect(code).toBe(0);
    await expectNothingLeft(stdout);
  });

  test("exits with 1 and says what was wanted where the cluster does something else", async () => {
    const assets = emptyDirectory();
    const silent = `#!/bin/sh\nexec "${await resolveBinary("kubectl")}" "$@" 2>/dev/null\n`;
    writeFileSync(join(assets, "kubectl"), silent, { mode: 0o755 });
    const { code, stdout, stderr } = await demo(["--once"], { env: { KUBEBUILDER_ASSETS: assets } });
    expect(code).toBe(1);
    expect(stderr).toContain("It did not go as told. Wanted a warning that the target does not exist yet");
    expect(stderr).toContain("The end of Fairlead's log:");
    expect(stdout).not.toContain("steps went as told");
    await expectNothingLeft(stdout);
  });

  test("exits with 1 and says what to install where it cannot start", async () => {
    const { code, stderr } = await demo(["--once"], { env: { PATH: emptyDirectory() } });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^\nfairlead demo: .*Go/);
    expect(stderr).not.toContain("    at ");
  });
});
